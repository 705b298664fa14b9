package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// TestCloseInTheMiddle: a log that is closed while leaves are carried over ends,
// and the next one goes on where it was.
func TestCloseInTheMiddle(t *testing.T) {
	dir, k, src := t.TempDir(), newKey(t), &list{}
	ctx, cancel := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for ctx.Err() == nil {
			src.append(5)
			time.Sleep(time.Millisecond)
		}
	})
	for i := range 8 {
		l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: src})
		if err != nil {
			t.Fatal(err)
		}
		l.Kick()
		time.Sleep(time.Duration(3*i) * time.Millisecond)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	feeding.Wait()
	l := openLog(t, dir, k, src)
	size, err := src.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, l, size-1)
}
