package ledger

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestPortions: portions are as wide as some queue, take no leaf twice and
// leave none, and a batch of any size needs few of them.
func TestPortions(t *testing.T) {
	for range 10_000 {
		n := 1 + rand.Uint64N(5000)
		left, portions := n, uint64(0)
		for left > 0 {
			w := widest(left)
			if bits.OnesCount64(w) != 1 || w > left || bits.Len64(w) > laneCount {
				t.Fatalf("%d leaves of %d: a portion of %d", left, n, w)
			}
			left -= w
			portions++
		}
		if most := n/256 + laneCount - 1; portions > most {
			t.Fatalf("%d leaves: %d portions, want at most %d", n, portions, most)
		}
	}
}
