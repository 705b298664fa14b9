package estimate

import (
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/locator/estimate/places"
	"github.com/ursa-virtual/ursa/topology/earth"
)

type kind uint8

const (
	populated  kind = iota // ref is a site
	beaconSite             // ref is a beacon
	coarseCell             // ref is a coarse cell's index
	fineCell               // ref is index·fineInside + which
)

// candidate is one place where the target may stand.
type candidate struct {
	kind kind
	ref  int32
	at   vec
	f    [features]float64
	// fixed is the log prior that no weight touches: the area of a cell, in fine cells.
	fixed float64
}

// The search. A place is feasible when at most allowed of the quickest beacons say that even light in fibre could not have come from
// there; some beacon may stand elsewhere than it says. When no place is, more are allowed.
const (
	vetoes       = 12
	allowed      = 1
	toleranceKM  = 25 // of claimed positions, which are cities
	keepNats     = 20 // places that fall behind the best by more are dropped, and all but so many
	keepMost     = 1200
	keepCellNats = 40 // cells are kept longer: they hold what no place explains
	refineNats   = 7  // coarse cells within this of the best cell are refined
	densityNear  = 300.0
	densityClose = 30.0
)

// veto is one of the quickest beacons as the search sees it.
type veto struct {
	at      vec
	reachKM float64
	cos     float64 // of the reach
}

func vetoesOf(m *Mesh, quick []observed) []veto {
	var out []veto
	for _, o := range quick[:min(len(quick), vetoes)] {
		reach := math.Expm1(o.log)*float64(earth.Light)*earth.FibreFactor/2e6 + toleranceKM
		out = append(out, veto{m.at[o.beacon], reach, cosOf(reach)})
	}
	return out
}

func vetoed(list []veto, at vec) (n int) {
	for i := range list {
		if at.Dot(list[i].at) < list[i].cos {
			n++
		}
	}
	return n
}

// search collects the candidates of one target.
type search struct {
	l        *Locator
	s        *sight
	gone     absent
	vetoes   []veto
	allowed  int
	withSea  bool // cells without land are candidates too
	found    []candidate
	cells    []int32 // feasible coarse cells
	violated int     // quickest beacons that no place satisfies
}

// run finds the candidates and fills in their features. Their likelihood is first taken roughly; those that fall far behind are
// dropped before the mesh is asked about the rest.
func (q *search) run() []candidate {
	for q.allowed = min(allowed, len(q.vetoes)-1); ; q.allowed++ {
		q.places()
		q.cellsOf()
		if len(q.found)+len(q.cells) > 0 || q.allowed >= len(q.vetoes) {
			break
		}
	}
	q.violated = max(0, q.allowed-allowed)
	q.prune(0, q.roughly(0)-keepNats)
	from := len(q.found)
	for _, c := range q.cells {
		q.found = append(q.found, q.cellCandidate(coarseCell, c, 0))
	}
	q.prune(from, q.roughly(from)-keepCellNats)
	for i := range q.found {
		q.likelihood(&q.found[i], q.weights(&q.found[i]), used)
	}
	q.refine(from)
	return q.found
}

// places finds the sites in feasible cells, and the beacons.
func (q *search) places() {
	q.found, q.cells = q.found[:0], q.cells[:0]
	g, list := grid(), q.l.sites
	for i := range g {
		c := &g[i]
		n := 0
		for j := range q.vetoes {
			if v := &q.vetoes[j]; km(c.centre, v.at)-c.radius > v.reachKM {
				n++
			}
		}
		if n > q.allowed {
			continue
		}
		if c.land > 0 || q.withSea {
			q.cells = append(q.cells, int32(i))
		}
		for j := q.l.siteFrom[i]; j < q.l.siteFrom[i+1]; j++ {
			if vetoed(q.vetoes, list[j].at) <= q.allowed {
				q.found = append(q.found, candidate{kind: populated, ref: j, at: list[j].at})
			}
		}
	}
	for b, at := range q.l.mesh.at {
		if !q.gone.has(b) && vetoed(q.vetoes, at) <= q.allowed {
			q.found = append(q.found, candidate{kind: beaconSite, ref: int32(b), at: at})
		}
	}
	for i := range q.found {
		q.prior(&q.found[i])
	}
}

// cellsOf drops the feasible coarse cells whose land is out of reach.
func (q *search) cellsOf() {
	g := grid()
	q.cells = slices.DeleteFunc(q.cells, func(c int32) bool {
		return vetoed(q.vetoes, g[c].middle) > q.allowed && vetoed(q.vetoes, g[c].centre) > q.allowed && !q.anyFine(&g[c])
	})
}

func (q *search) anyFine(c *coarse) bool {
	for i, id := range c.fine {
		if (c.country[i] != sea || q.withSea) && vetoed(q.vetoes, id.Point().Vector) <= q.allowed {
			return true
		}
	}
	return false
}

// cellCandidate makes a candidate of a coarse cell (by its land) or of one of its fine cells.
func (q *search) cellCandidate(k kind, cell int32, which int) candidate {
	c := &grid()[cell]
	out := candidate{kind: k, ref: cell, at: c.middle}
	switch {
	case k == fineCell:
		out.ref = cell*fineInside + int32(which)
		out.at = c.fine[which].Point().Vector
	case q.withSea:
		out.at, out.fixed = c.centre, math.Log(fineInside)
	default:
		out.fixed = math.Log(float64(c.land))
	}
	q.prior(&out)
	return out
}

// prior fills in the features of the prior.
func (q *search) prior(c *candidate) {
	self := -1
	switch c.kind {
	case populated:
		s := &q.l.sites[c.ref]
		c.f[population], c.f[town], c.f[region] = s.logPop, s.town, s.region
		c.f[capital], c.f[seat] = rankFeatures(s.place.Rank)
	case beaconSite:
		c.f[metro], self = 1, int(c.ref)
	default:
		c.f[land] = 1
	}
	a := q.around(c)
	nearSum, closeSum := 0.0, 0.0
	for i := range a.n {
		if int(a.beacon[i]) != self {
			nearSum += math.Exp(-a.km[i] / densityNear)
			closeSum += math.Exp(-a.km[i] / densityClose)
		}
	}
	c.f[crowded], c.f[taken] = math.Log(nearSum+0.03), math.Log(closeSum+0.1)
}

func (q *search) around(c *candidate) around {
	if c.kind == populated && !q.l.near[c.ref].misses(q.gone) {
		return q.l.near[c.ref]
	}
	return nearestBeacons(q.l.mesh, c.at, q.gone)
}

// weights returns what kriging says about a candidate; for sites it is prepared unless an absent beacon takes part in it.
func (q *search) weights(c *candidate) weights {
	if c.kind == populated && !q.l.near[c.ref].misses(q.gone) {
		return q.l.krige[c.ref]
	}
	return q.l.t.kernel.krige(q.l.mesh, q.around(c))
}

// roughly takes the likelihood of the candidates from an index on by a few beacons and without the mesh, and returns the best score
// of the starting pool.
func (q *search) roughly(from int) float64 {
	best := math.Inf(-1)
	for i := range q.found[from:] {
		c := &q.found[from+i]
		q.likelihood(c, weights{open: 1}, groupEnd[quick])
		best = max(best, startPool.score(&c.f, 1)+c.fixed)
	}
	return best
}

// prune drops the candidates from an index on whose score is below the least, and all but the best keepMost.
func (q *search) prune(from int, least float64) {
	score := func(c candidate) float64 { return startPool.score(&c.f, 1) + c.fixed }
	list := slices.DeleteFunc(q.found[from:], func(c candidate) bool { return score(c) < least })
	if len(list) > keepMost {
		scores := make([]float64, len(list))
		for i := range list {
			scores[i] = score(list[i])
		}
		slices.Sort(scores)
		least = scores[len(scores)-keepMost]
		list = slices.DeleteFunc(list, func(c candidate) bool { return score(c) < least })
	}
	q.found = q.found[:from+len(list)]
}

// refine replaces the likelier coarse cells, which stand at the end of the list from an index on, by their fine cells.
func (q *search) refine(from int) {
	best := math.Inf(-1)
	for i := range q.found[from:] {
		c := &q.found[from+i]
		best = max(best, startPool.score(&c.f, 1)+c.fixed)
	}
	cells := slices.Clone(q.found[from:])
	q.found = q.found[:from]
	for _, c := range cells {
		if startPool.score(&c.f, 1)+c.fixed < best-refineNats {
			q.found = append(q.found, c)
			continue
		}
		g := &grid()[c.ref]
		for which := range fineInside {
			if g.country[which] != sea || q.withSea {
				fine := q.cellCandidate(fineCell, c.ref, which)
				q.likelihood(&fine, q.weights(&fine), used)
				q.found = append(q.found, fine)
			}
		}
	}
}

// likelihood fills in the features of the likelihood from the first beacons in order.
func (q *search) likelihood(c *candidate, w weights, until int) {
	s, table := q.s, q.l.t.table
	until = min(until, len(s.order))
	s.place(&w, until)
	clear(c.f[:likelihoods])
	from := 0
	for group := feature(0); from < until; group++ {
		sum, product := 0.0, 1.0
		to := min(until, groupEnd[group])
		for k := from; k < to; k++ {
			z, slope := table.Score(s.delay[k], model.Kilometres(km(c.at, q.l.mesh.at[s.order[k].beacon])))
			sum += slope - s.f.logDiagonal[k]
			if product *= s.innovation(k, z); k%8 == 7 { // one logarithm for eight factors, each above 1e-15
				sum += math.Log(product)
				product = 1
			}
		}
		c.f[group] = sum + math.Log(product)
		from = to
	}
}

func rankFeatures(r places.Rank) (isCapital, isSeat float64) {
	switch r {
	case places.Capital:
		return 1, 0
	case places.Seat:
		return 0, 1
	case places.Section:
		return 0, -1
	}
	return 0, 0
}
