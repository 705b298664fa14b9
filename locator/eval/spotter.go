package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/golang/geo/s2"
	"gonum.org/v1/gonum/mat"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// spotter is Spotter: Laki, Mátray, Hága, Sebők, Csabai, Vattay, Spotter: a model based active geolocation service, INFOCOM 2011.
// One relation for all beacons: given a round trip, the distance is normal, with mean and standard deviation polynomials of the
// round trip. Beacons are independent, so that the posterior is the product of their rings, over land. The answer is its mean.
//
// Left out: the paper's conversion of round trips to router-level segments and its hand-made rejection of beacons. Where it is
// silent: polynomials are cubic, in the square root of the round trip, which keeps them tame at both ends; the mean is held within
// half the circumference and the deviation above 30 km.
//
// The fit is made anew for each target, from the pairs of its beacons.
type spotter struct {
	t    *task
	land []s2.CellID // coarse cells with land
}

const (
	spotterDegree = 3
	spotterLevel  = 5
	spotterFinest = 9
	// spotterNats is how far below the best a cell may lie to be divided.
	spotterNats = 12
	leastSigma  = 30
)

func newSpotter(t *task) (*spotter, error) {
	s := &spotter{t: t}
	for id := s2.CellIDFromFace(0).ChildBeginAtLevel(spotterLevel); id != s2.CellIDFromFace(5).ChildEndAtLevel(spotterLevel); id = id.Next() {
		for fine := id.ChildBeginAtLevel(spotterLevel + 2); fine != id.ChildEndAtLevel(spotterLevel+2); fine = fine.Next() {
			if countryOf(fine) != "" {
				s.land = append(s.land, id)
				break
			}
		}
	}
	if len(s.land) == 0 {
		return nil, fmt.Errorf("%w: the atlas has no land", ErrNoData)
	}
	return s, nil
}

// law is the fitted relation: mean and deviation of distance given a round trip.
type law struct{ mean, square []float64 }

func basis(ms float64) (p [spotterDegree + 1]float64) {
	x := math.Sqrt(ms) / 10
	p[0] = 1
	for i := 1; i <= spotterDegree; i++ {
		p[i] = p[i-1] * x
	}
	return p
}

// fit solves the two least-squares problems over the pairs of the target's beacons: distance, then the squared rest.
func (s *spotter) fit(target int) (law, bool) {
	absent := s.t.absent(target)
	var beacons []int
	for _, b := range s.t.roster {
		if b != absent && b != target {
			beacons = append(beacons, b)
		}
	}
	each := func(f func(ms, km float64)) {
		for i, a := range beacons {
			for _, b := range beacons[:i] {
				if ms := s.t.ms[a][b]; ms > 0 {
					f(ms, s.t.km[a][b])
				}
			}
		}
	}
	mean, ok := leastSquares(each)
	if !ok {
		return law{}, false
	}
	l := law{mean: mean}
	square, ok := leastSquares(func(f func(ms, v float64)) {
		each(func(ms, km float64) {
			rest := km - l.at(l.mean, ms)
			f(ms, rest*rest)
		})
	})
	l.square = square
	return l, ok
}

func (l law) at(c []float64, ms float64) float64 {
	sum := 0.0
	for i, p := range basis(ms) {
		sum += c[i] * p
	}
	return sum
}

func leastSquares(each func(f func(ms, v float64))) ([]float64, bool) {
	const n = spotterDegree + 1
	a, b := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	each(func(ms, v float64) {
		p := basis(ms)
		for i := range n {
			b.SetVec(i, b.AtVec(i)+p[i]*v)
			for j := i; j < n; j++ {
				a.SetSym(i, j, a.At(i, j)+p[i]*p[j])
			}
		}
	})
	for i := range n {
		a.SetSym(i, i, a.At(i, i)+1e-9)
	}
	var factor mat.Cholesky
	if !factor.Factorize(a) {
		return nil, false
	}
	var x mat.VecDense
	if err := factor.SolveVecTo(&x, b); err != nil {
		return nil, false
	}
	return slices.Clone(x.RawVector().Data), true
}

// ring is one beacon's belief.
type ring struct {
	at        vec
	km, sigma float64
}

// weighed is a cell with its log density, then its probability.
type weighed struct {
	id s2.CellID
	p  float64
}

func (s *spotter) locate(target int, seen []sight) answer {
	l, ok := s.fit(target)
	if !ok {
		a := s.t.shortestPing(target, seen)
		a.empty = true
		return a
	}
	rings := make([]ring, len(seen))
	for i, g := range seen {
		km := math.Max(0, math.Min(math.Pi*radiusKM, l.at(l.mean, g.ms)))
		rings[i] = ring{s.t.vec[g.beacon], km, math.Sqrt(math.Max(leastSigma*leastSigma, l.at(l.square, g.ms)))}
	}
	cells := s.posterior(rings)
	return s.score(target, cells)
}

// posterior goes down from coarse cells with land, dividing those that matter, and returns cells with their probabilities, densest
// first.
func (s *spotter) posterior(rings []ring) []weighed {
	density := func(id s2.CellID) float64 {
		sum := 0.0
		middle := id.Point()
		for _, r := range rings {
			u := (kmBetween(middle, r.at) - r.km) / r.sigma
			sum -= u*u/2 + math.Log(r.sigma)
		}
		return sum
	}
	level := make([]weighed, len(s.land))
	for i, id := range s.land {
		level[i] = weighed{id, density(id)}
	}
	var done []weighed
	for at := spotterLevel; at < spotterFinest; at++ {
		best := math.Inf(-1)
		for _, c := range level {
			best = math.Max(best, c.p)
		}
		var next []weighed
		for _, c := range level {
			if c.p < best-spotterNats {
				done = append(done, c)
				continue
			}
			for _, child := range c.id.Children() {
				if at+1 < spotterFinest || countryOf(child) != "" {
					next = append(next, weighed{child, density(child)})
				}
			}
		}
		level = next
	}
	return normalised(append(done, level...))
}

func normalised(cells []weighed) []weighed {
	best := math.Inf(-1)
	for _, c := range cells {
		best = math.Max(best, c.p)
	}
	slices.SortFunc(cells, func(a, b weighed) int {
		switch {
		case a.p > b.p:
			return -1
		case a.p < b.p:
			return 1
		case a.id < b.id:
			return -1
		}
		return 1
	})
	sum := 0.0
	for i := range cells {
		cells[i].p = math.Exp(cells[i].p-best) * earth.CellArea(cells[i].id)
		sum += cells[i].p
	}
	for i := range cells {
		cells[i].p /= sum
	}
	return cells
}

func (s *spotter) score(target int, cells []weighed) answer {
	a := noAnswer()
	var sum vec
	right, before, found := 0.0, 0.0, false
	truth := s2.CellFromPoint(s.t.vec[target]).ID()
	areaAt := math.NaN()
	area, mass := 0.0, 0.0
	for _, c := range cells {
		sum = vec{Vector: sum.Add(c.id.Point().Mul(c.p))}
		if s.t.country[target] != "" && c.p > 1e-6 && countryOf(c.id) == s.t.country[target] {
			right += c.p
		}
		if c.id.Contains(truth) {
			before, found = mass, true
		}
		if mass < 0.9 {
			area += earth.CellArea(c.id)
			areaAt = area
		}
		mass += c.p
	}
	s.t.answerAt(&a, target, earth.LatLonOf(vec{Vector: sum.Normalize()}))
	a.logP, a.area90 = logOf(right), areaAt
	for i, p := range []float64{0.5, 0.9, 0.95} {
		a.covers[i] = triOf(found && before < p)
	}
	a.nominal = make([]float64, len(reliability))
	for i, p := range reliability {
		if found && before < p {
			a.nominal[i] = 1
		}
	}
	return a
}
