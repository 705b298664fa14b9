package audit

import (
	"cmp"
	"math"
	"slices"
)

// witness compares places by what third parties measured. It holds who may testify (trusted nodes only) and the law of the set.
type witness struct {
	f       *field
	law     *law
	trusted []bool
	against *graph    // contradicting pairs never testify: the graph has counted them already
	table   []band    // what honest nodes show at places so far away
	nearest []float64 // what honest nodes show at the place of their nearest peer in time, ascending
}

// better returns how much better, in nats, node i's round trips with trusted third parties fit standing at the claimed place of c
// than standing at its own. Positive says: rather there. Round trips share paths, so that nats add up too fast: the number ranks,
// its false-alarm rate is measured (falseAlarm), it is never read as odds.
func (w *witness) better(i, c int) float64 {
	total := 0.0
	for j, ms := range w.f.rtt[i] {
		if ms <= 0 || j == c || !w.trusted[j] || w.against.adj[i].has(j) {
			continue
		}
		total += w.law.at(w.f.chord(c, j), float64(ms)) - w.law.at(w.f.chord(i, j), float64(ms))
	}
	return total
}

// bestPlace returns the trusted node at whose place i most likely stands. Hosts stand where other hosts stand, so that the claimed
// places of others are the candidates: those whose round trip to i is at most twice the shortest plus a millisecond, of which the
// one that fits best, its own round trip included. ok is false when i has no trusted peer.
func (w *witness) bestPlace(i int) (c int, ok bool) {
	shortest := math.Inf(1)
	for j, ms := range w.f.rtt[i] {
		if ms > 0 && w.trusted[j] && j != i {
			shortest = min(shortest, float64(ms))
		}
	}
	best := math.Inf(-1)
	for j, ms := range w.f.rtt[i] {
		if ms <= 0 || !w.trusted[j] || j == i || float64(ms) > 2*shortest+1 {
			continue
		}
		if v := w.better(i, j) + w.law.at(0, float64(ms)); v > best {
			best, c, ok = v, j, true
		}
	}
	return c, ok
}

// band holds, for one range of distance, what honest nodes show when they are compared with places that far from their own:
// ascending, one value per node, the best of several places.
type band struct {
	upToKM float64
	values []float64
}

const (
	bandRatio  = 1.5 // each band ends that much farther than it begins
	bandStart  = 50.0
	bandPlaces = 6   // places tried for each node and band
	bandNodes  = 400 // nodes in a band at most, drawn evenly; the resolution of a rate is one part in that
)

// calibrate fills the table of false alarms: every trusted node takes the place of the accused and is compared with up to six
// trusted places in each range of distance.
func (w *witness) calibrate() {
	var nodes []int
	for i, ok := range w.trusted {
		if ok && w.f.peers(i) >= minPeers {
			nodes = append(nodes, i)
		}
	}
	stride := max(1, (len(nodes)+bandNodes-1)/bandNodes)
	for k := 0; k < len(nodes); k += stride {
		if j, ok := w.nearestInTime(nodes[k]); ok {
			w.nearest = append(w.nearest, w.better(nodes[k], j))
		}
	}
	slices.Sort(w.nearest)
	for km := bandStart; km < maxKM; km *= bandRatio {
		b := band{upToKM: km * bandRatio}
		for k := 0; k < len(nodes); k += stride {
			if v, ok := w.honest(nodes[k], km, b.upToKM); ok {
				b.values = append(b.values, v)
			}
		}
		slices.Sort(b.values)
		w.table = append(w.table, b)
	}
}

// honest returns the most that a trusted node's residuals speak for a trusted place between the two distances.
func (w *witness) honest(i int, from, to float64) (most float64, ok bool) {
	type place struct {
		j  int
		ms float64
	}
	var near []place
	for j := range w.trusted {
		if ms := float64(w.f.rtt[i][j]); w.trusted[j] && ms > 0 {
			if km := w.f.chord(i, j); km >= from && km < to {
				near = append(near, place{j, ms})
			}
		}
	}
	// The accused is compared with the places nearest to it in time; so are these.
	slices.SortFunc(near, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.j, b.j))
	})
	most = math.Inf(-1)
	for _, p := range near[:min(len(near), bandPlaces)] {
		most, ok = max(most, w.better(i, p.j)), true
	}
	return most, ok
}

// nearestInTime returns the trusted peer with the shortest round trip to i that is not next door.
func (w *witness) nearestInTime(i int) (c int, ok bool) {
	for j, ms := range w.f.rtt[i] {
		if ms > 0 && w.trusted[j] && (!ok || ms < w.f.rtt[i][c]) && w.f.chord(i, j) >= bandStart {
			c, ok = j, true
		}
	}
	return c, ok
}

// falseAlarm returns the share of honest nodes of this set that look at least as misplaced by their residuals as an accused with this
// value at a place so far away: the conformal p-value (1 + how many do) / (1 + how many there are). Two groups of honest nodes are
// asked, at places so far away and at the place of their nearest peer in time, which is the place that an accused is asked about;
// the larger share counts. It is never zero; with m comparable nodes it resolves 1/(m+1). With nobody to compare it is 1.
func (w *witness) falseAlarm(km, value float64) float64 {
	for _, b := range w.table {
		if km < b.upToKM {
			return max(share(b.values, value), share(w.nearest, value))
		}
	}
	return 1
}

func share(sorted []float64, value float64) float64 {
	at, _ := slices.BinarySearch(sorted, value)
	return float64(1+len(sorted)-at) / float64(1+len(sorted))
}

// comparable returns how many honest nodes a rate at this distance was measured on.
func (w *witness) comparable(km float64) int {
	for _, b := range w.table {
		if km < b.upToKM {
			return len(b.values)
		}
	}
	return 0
}
