package model

import (
	"math"
	"slices"
)

// maxOffsetPasses bounds the polish; it stops earlier when nothing moves by more than a microsecond.
const maxOffsetPasses = 12

// link is one pair as the polish sees it: the two ends and by how many milliseconds it is slower than the curve's median.
type link struct {
	a, b   int
	excess float64
}

// offsets returns for each of n nodes the delay in milliseconds that all its paths share beyond the curve's median at their
// distance: residual(a, b) ≈ offset(a) + offset(b), fitted by median polish. A median does not care about a liar's size. known is
// false for a node without any pair.
func offsets(n int, links []link) (ms []float64, known []bool) {
	at := make([][]int32, n)
	for i, l := range links {
		at[l.a] = append(at[l.a], int32(i))
		at[l.b] = append(at[l.b], int32(i))
	}
	ms, known = make([]float64, n), make([]bool, n)
	next := make([]float64, n)
	var rest []float64
	for range maxOffsetPasses {
		moved := 0.0
		for i := range n {
			if known[i] = len(at[i]) > 0; !known[i] {
				continue
			}
			rest = rest[:0]
			for _, j := range at[i] {
				l := links[j]
				rest = append(rest, l.excess-ms[l.a+l.b-i])
			}
			// Halfway, because both ends move at once: the full step would swing for ever in a bipartite graph.
			next[i] = (ms[i] + median(rest)) / 2
			moved = max(moved, math.Abs(next[i]-ms[i]))
		}
		copy(ms, next)
		if moved < 1e-3 {
			break
		}
	}
	return ms, known
}

// median reorders its argument, which must not be empty.
func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
