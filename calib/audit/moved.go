package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Move is a node that is not where it was when it was last measured, whatever it claims.
type Move struct {
	Index   int     `json:"-"` // in the later set
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Peers   int     `json:"peers"`    // measured both times
	Changed int     `json:"changed"`  // of these, whose round trip changed by more than the set's usual wander
	ShiftMS float64 `json:"shift_ms"` // median of the changes' sizes
	// ClaimMovedKM is how far the claimed place moved. A move that the claim follows is news; one that it does not follow is a lie.
	ClaimMovedKM float64 `json:"claim_moved_km"`
	Near         string  `json:"likely_near"` // the node at whose place it most likely stands now
	Likely       string  `json:"likely"`      // its country
	// FalseAlarmRate is the share of the common nodes whose changes are at least as large; it resolves one part in their number.
	FalseAlarmRate float64 `json:"false_alarm_rate"`
}

// A pair has changed when its round trip differs by more than wander robust standard deviations of all changes and by more than a
// millisecond; a node has moved when most of its pairs have, by amounts that differ by more than a quarter of their median (equal
// amounts are its own link).
const (
	wander     = 4.0
	leastMS    = 1.0
	sameAmount = 0.25
)

// Moved compares two sets of one constellation, matched by node id, and returns the nodes whose round trips changed as those of a
// host that was carried away do: with most peers, up and down, by amounts that differ.
func Moved(before, after *dataset.Set, o Options) ([]Move, error) {
	if before == nil {
		return nil, fmt.Errorf("%w: nothing to compare with", ErrNoSet)
	}
	o, err := o.complete(after)
	if err != nil {
		return nil, err
	}
	shifts := commonShifts(before, after)
	usual := usualWander(shifts)
	var sizes []float64 // of each common node's median change
	for _, list := range shifts {
		if len(list) > 0 {
			sizes = append(sizes, medianSize(list))
		}
	}
	slices.Sort(sizes)
	var moves []Move
	var e *examination // of the later set, once somebody has moved
	for i, list := range shifts {
		m, ok := hasMoved(list, usual)
		if !ok {
			continue
		}
		if e == nil {
			e = examine(newField(after), o)
		}
		n := after.Nodes[i]
		m.Index, m.ID, m.Name = i, n.ID, n.Name
		old, _ := before.Index(n.ID)
		m.ClaimMovedKM = round(earth.Chord(before.Nodes[old].At.ECEF(0), n.At.ECEF(0)).Kilometres(), 1)
		at, _ := slices.BinarySearch(sizes, m.ShiftMS)
		m.FalseAlarmRate = round(float64(len(sizes)-at)/float64(1+len(sizes)), 5)
		if c, ok := e.w.bestPlace(i); ok {
			m.Near, m.Likely = after.Nodes[c].ID, after.Nodes[c].Country
		}
		m.ShiftMS = round(m.ShiftMS, 3)
		moves = append(moves, m)
	}
	slices.SortStableFunc(moves, func(a, b Move) int { return cmp.Or(cmp.Compare(b.Changed, a.Changed), cmp.Compare(a.ID, b.ID)) })
	return moves, nil
}

// commonShifts returns, for each node of the later set, by how many milliseconds each round trip changed that both sets have.
func commonShifts(before, after *dataset.Set) [][]float64 {
	shifts := make([][]float64, after.Len())
	old := make([]int, after.Len())
	for i, n := range after.Nodes {
		old[i] = -1
		if j, ok := before.Index(n.ID); ok {
			old[i] = j
		}
	}
	for i := range old {
		for j := range old[:i] {
			if old[i] < 0 || old[j] < 0 {
				continue
			}
			was, okWas := before.RTT(old[i], old[j])
			is, okIs := after.RTT(i, j)
			if okWas && okIs {
				d := is.Millis() - was.Millis()
				shifts[i], shifts[j] = append(shifts[i], d), append(shifts[j], d)
			}
		}
	}
	return shifts
}

// usualWander is the robust standard deviation of all changes: half of them may be anything.
func usualWander(shifts [][]float64) float64 {
	var all []float64
	for _, list := range shifts {
		all = append(all, list...)
	}
	if len(all) == 0 {
		return 0
	}
	return 1.4826 * medianSize(all)
}

// hasMoved judges the changes of one node.
func hasMoved(list []float64, usual float64) (Move, bool) {
	if len(list) < minPeers {
		return Move{}, false
	}
	m := Move{Peers: len(list), ShiftMS: medianSize(list)}
	centre := middle(list)
	var off []float64
	for _, d := range list {
		if math.Abs(d) > max(leastMS, wander*usual) {
			m.Changed++
		}
		off = append(off, d-centre)
	}
	varied := 1.4826*medianSize(off) > max(leastMS, sameAmount*math.Abs(centre))
	return m, 2*m.Changed > m.Peers && varied
}

func middle(list []float64) float64 {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// medianSize is the median of the absolute values.
func medianSize(list []float64) float64 {
	sizes := make([]float64, len(list))
	for i, d := range list {
		sizes[i] = math.Abs(d)
	}
	return middle(sizes)
}
