package ledger_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// TestNothingIsWrittenAfterClose: whoever closes a log may take its folder away,
// also in the moment in which the library publishes, which it does by itself.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	const seed = 1
	rng, k, root := rand.New(rand.NewPCG(seed, 0)), newKey(t), t.TempDir()
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		s, dir := &list{}, filepath.Join(root, "log")
		l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: s})
		if err != nil {
			t.Fatal(err)
		}
		s.append(1)
		if err := l.Integrated(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		at := time.Now() // around this time a checkpoint is due
		if info, err := os.Stat(filepath.Join(dir, "checkpoint")); err == nil {
			at = info.ModTime().Add(95*time.Millisecond + time.Duration(rng.IntN(15_000))*time.Microsecond)
		}
		time.Sleep(time.Until(at))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
