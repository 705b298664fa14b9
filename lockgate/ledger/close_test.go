package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// TestCloseInTheMiddle: a log that is closed while leaves are carried over ends,
// and the next one goes on where it was, however often it is asked to look
// again meanwhile.
func TestCloseInTheMiddle(t *testing.T) {
	dir, k, src := t.TempDir(), newKey(t), &list{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for ctx.Err() == nil {
			src.append(5)
			time.Sleep(time.Millisecond)
		}
	})
	for i := range 24 {
		l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: src})
		if err != nil {
			t.Fatal(err)
		}
		asking, enough := context.WithCancel(ctx)
		feeding.Go(func() {
			for asking.Err() == nil {
				l.Kick()
				time.Sleep(10 * time.Microsecond)
			}
		})
		time.Sleep(time.Duration(i) * time.Millisecond)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		enough()
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
