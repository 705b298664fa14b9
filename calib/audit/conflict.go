package audit

import (
	"cmp"
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// pair is a measured pair of nodes, i < j.
type pair struct {
	i, j  int
	rtt   earth.RTT
	chord earth.Metres // between the claimed places
}

// reach is the farthest that a signal of the class gets in half the round trip.
func (p pair) reach(c earth.SpeedClass) earth.Metres {
	return earth.Metres(float64(c.Speed()) / 2 * float64(p.rtt) * 1e-9)
}

// excess is by how much the claimed distance exceeds the reach; positive when the claims contradict the measurement.
func (p pair) excess(c earth.SpeedClass) earth.Metres { return p.chord - p.reach(c) }

// field is a set made ready: positions and pairs as the audit uses them.
type field struct {
	set   *dataset.Set
	at    []earth.ECEF
	pairs []pair
	// rtt[i][j] in milliseconds, 0 where nothing was measured: float32 keeps a million pairs in 8 MB and its seven digits are more
	// than any statistic here needs. Contradictions are judged on `pairs`, in nanoseconds.
	rtt [][]float32
}

func newField(set *dataset.Set) *field {
	n := set.Len()
	f := &field{set: set, at: make([]earth.ECEF, n), rtt: make([][]float32, n)}
	for i, node := range set.Nodes {
		// Height zero: a node 3 km up is at most 3 km farther than reckoned, which ClaimUnc covers.
		f.at[i] = node.At.ECEF(0)
		f.rtt[i] = make([]float32, n)
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			rtt, ok := set.RTT(i, j)
			if !ok {
				continue
			}
			f.pairs = append(f.pairs, pair{i, j, rtt, earth.Chord(f.at[i], f.at[j])})
			f.rtt[i][j] = float32(rtt.Millis())
			f.rtt[j][i] = f.rtt[i][j]
		}
	}
	return f
}

// peers counts the nodes that i was measured with.
func (f *field) peers(i int) int {
	n := 0
	for _, r := range f.rtt[i] {
		if r > 0 {
			n++
		}
	}
	return n
}

// chord is the distance between the claimed places in kilometres.
func (f *field) chord(i, j int) float64 { return earth.Chord(f.at[i], f.at[j]).Kilometres() }

// conflicts returns the pairs whose claims exceed the class's reach by more than slack, the worst first.
func (f *field) conflicts(class earth.SpeedClass, slack earth.Metres) []pair {
	var found []pair
	for _, p := range f.pairs {
		if p.excess(class) > slack {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b pair) int { return cmp.Compare(b.excess(class), a.excess(class)) })
	return found
}

// conflictGraph joins the two ends of each conflict.
func conflictGraph(n int, conflicts []pair) *graph {
	g := newGraph(n)
	for _, p := range conflicts {
		g.connect(p.i, p.j)
	}
	return g
}
