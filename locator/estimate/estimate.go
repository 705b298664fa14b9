package estimate

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// What Locate refuses.
var (
	ErrNothing   = errors.New("no measurement")
	ErrTooMany   = errors.New("more measurements than beacons")
	ErrUnknown   = errors.New("measurement of an unknown beacon")
	ErrDuplicate = errors.New("two measurements of one beacon")
)

// Observation is one round trip between the core and a beacon.
type Observation struct {
	Beacon int // index in the mesh
	RTT    earth.RTT
}

// Options tune a location; the zero value is the default.
type Options struct {
	Prior Prior
	// Without lists beacons of the mesh that are to be as if they did not exist: the target itself, when beacons locate each other.
	Without []int
	// Brief leaves out what only people look at: what drove the estimate.
	Brief bool
}

// Jurisdiction is a country with its probability.
type Jurisdiction struct {
	Country string  `json:"country"` // ISO 3166-1 alpha-2; empty for the sea and for land of no agreed state
	P       float64 `json:"p"`
}

// Estimate is where a core probably is. It has nothing in common with a verdict, and grants nothing.
type Estimate struct {
	l        *Locator
	q        *search
	prior    Prior
	mass     []float64 // of each candidate
	raster   *raster
	drivers  []Driver
	observed int
}

// Locate returns the posterior for a core that measured the given round trips.
func (l *Locator) Locate(seen []Observation, o Options) (*Estimate, error) {
	gone, err := l.absent(o.Without)
	if err != nil {
		return nil, err
	}
	list, err := l.check(seen, gone)
	if err != nil {
		return nil, err
	}
	if !o.Prior.Valid() {
		return nil, fmt.Errorf("%w: %d", ErrPrior, o.Prior)
	}
	q, ok := l.candidates(list, gone, o.Prior == Uniform)
	if !ok {
		return nil, ErrNothing
	}
	e := &Estimate{l: l, q: q, prior: o.Prior, observed: len(list)}
	e.mass = o.Prior.apply(l.t, q.found)
	e.raster = rasterise(q.found, e.mass, l.t.spreadKM, q.withSea)
	if !o.Brief {
		e.drivers = e.explain()
	}
	return e, nil
}

func (l *Locator) absent(without []int) (absent, error) {
	if len(without) == 0 {
		return nil, nil
	}
	gone := make(absent, l.mesh.Len())
	for _, b := range without {
		if b < 0 || b >= len(gone) {
			return nil, fmt.Errorf("%w: number %d of %d", ErrUnknown, b, len(gone))
		}
		gone[b] = true
	}
	return gone, nil
}

func (l *Locator) check(seen []Observation, gone absent) ([]observed, error) {
	n := l.mesh.Len()
	if len(seen) == 0 {
		return nil, ErrNothing
	}
	if len(seen) > n {
		return nil, fmt.Errorf("%w: %d for %d beacons", ErrTooMany, len(seen), n)
	}
	was := make([]bool, n)
	out := make([]observed, len(seen))
	for i, s := range seen {
		switch {
		case s.Beacon < 0 || s.Beacon >= n || gone.has(s.Beacon):
			return nil, fmt.Errorf("%w: number %d of %d", ErrUnknown, s.Beacon, n)
		case was[s.Beacon]:
			return nil, fmt.Errorf("%w: %s", ErrDuplicate, l.mesh.beacons[s.Beacon].Name)
		case s.RTT <= 0 || s.RTT > maxRTT:
			return nil, fmt.Errorf("%w: %v from %s, must be positive and at most ten minutes", ErrRTT, s.RTT, l.mesh.beacons[s.Beacon].Name)
		}
		was[s.Beacon] = true
		out[i] = observed{s.Beacon, model.LogRTT(s.RTT)}
	}
	return out, nil
}

// Jurisdictions returns the probability of each country that has any worth naming (a millionth), the likeliest first.
func (e *Estimate) Jurisdictions() []Jurisdiction { return jurisdictions(e.l, e.q.found, e.mass) }

func jurisdictions(l *Locator, list []candidate, mass []float64) []Jurisdiction {
	book := countries()
	sum := make([]float64, len(book.codes))
	g := grid()
	for i := range list {
		switch c := &list[i]; c.kind {
		case populated:
			sum[l.sites[c.ref].country] += mass[i]
		case beaconSite:
			sum[l.mesh.country[c.ref]] += mass[i]
		case fineCell:
			sum[landOf(g[c.ref/fineInside].country[c.ref%fineInside])] += mass[i]
		case coarseCell:
			cell := &g[c.ref]
			for _, country := range cell.country {
				if country != sea {
					sum[country] += mass[i] / float64(max(1, cell.land))
				} else if cell.land == 0 {
					sum[0] += mass[i] / fineInside
				}
			}
		}
	}
	var out []Jurisdiction
	for i, p := range sum {
		if p >= 1e-6 {
			out = append(out, Jurisdiction{book.codes[i], p})
		}
	}
	slices.SortStableFunc(out, func(a, b Jurisdiction) int { return pick(a.P > b.P, -1, pick(a.P < b.P, 1, 0)) })
	return out
}

func landOf(country uint16) uint16 {
	if country == sea {
		return 0
	}
	return country
}

// P returns the probability of a country, or of several together.
func (e *Estimate) P(country ...string) float64 {
	sum := 0.0
	for _, j := range e.Jurisdictions() {
		if slices.Contains(country, j.Country) {
			sum += j.P
		}
	}
	return sum
}

// Point is a place with the distance that the truth is expected to have from it.
type Point struct {
	At         earth.LatLon
	Near       string  // the populated place or the beacon that stands there, with its country
	ExpectedKM float64 // posterior mean of the distance
}

// tolerance is the distance in km beyond which an error hardly gets worse for Best.
const tolerance = 100

// Best returns the point with the least expected log(distance + 100 km): close to the likeliest metro when there is one, in the
// middle when there is none.
func (e *Estimate) Best() Point {
	return e.pointBy(func(d float64) float64 { return math.Log(d + tolerance) })
}

// Median returns the geometric median: the point with the least expected distance.
func (e *Estimate) Median() Point { return e.pointBy(func(d float64) float64 { return d }) }

// Mode returns the middle of the densest cell.
func (e *Estimate) Mode() Point {
	at := e.raster.pieces[0].id.Point().Vector
	return e.pointAt(at)
}

// Mean returns the posterior mean, projected back to the surface. It may lie where nobody lives.
func (e *Estimate) Mean() Point {
	var sum vec
	for i := range e.q.found {
		sum = sum.Add(e.q.found[i].at.Mul(e.mass[i]))
	}
	if sum.Norm() < 1e-9 {
		return e.Mode()
	}
	return e.pointAt(sum.Normalize())
}

// Limits of the search for a point: so many candidates are tried, against so many.
const (
	pointTried   = 150
	pointAgainst = 400
)

// pointBy returns the candidate with the least expected loss, among the likeliest.
func (e *Estimate) pointBy(loss func(km float64) float64) Point {
	order := e.likeliest(pointAgainst)
	best, least := order[0], math.Inf(1)
	for _, i := range order[:min(pointTried, len(order))] {
		sum := 0.0
		for _, j := range order {
			if sum += e.mass[j] * loss(km(e.q.found[i].at, e.q.found[j].at)); sum >= least {
				break
			}
		}
		if sum < least {
			best, least = i, sum
		}
	}
	return e.pointAt(e.q.found[best].at)
}

// likeliest returns the indices of the likeliest candidates, at most n.
func (e *Estimate) likeliest(n int) []int {
	order := make([]int, len(e.mass))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if e.mass[a] != e.mass[b] {
			return pick(e.mass[a] > e.mass[b], -1, 1)
		}
		return a - b
	})
	return order[:min(n, len(order))]
}

// pointAt describes a place.
func (e *Estimate) pointAt(at vec) Point {
	p := Point{At: latLonOf(at)}
	nearest := 20.0 // km
	for i := range e.q.found {
		c := &e.q.found[i]
		d := km(at, c.at)
		p.ExpectedKM += e.mass[i] * d
		if d < nearest && c.kind < coarseCell {
			nearest, p.Near = d, e.name(c)
		}
	}
	return p
}

// name says what stands at a candidate.
func (e *Estimate) name(c *candidate) string {
	switch c.kind {
	case populated:
		p := e.l.sites[c.ref].place
		return p.Name + " " + p.Country
	case beaconSite:
		return "beacon " + e.l.mesh.beacons[c.ref].Name
	}
	return fmt.Sprintf("land at %v", latLonOf(c.at))
}
