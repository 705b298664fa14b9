package region_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// world is a random constellation with a core in it, of which the faulty domains are known to the test only.
type world struct {
	seed   uint64
	rng    *rand.Rand
	core   earth.ECEF
	at     earth.LatLon
	faulty map[string]bool
	bounds []region.Bound
}

// place is uniform on the sphere, with a taste for the awkward: poles, antimeridian, cube corners.
func place(rng *rand.Rand) earth.LatLon {
	awkward := []earth.LatLon{{Lat: 90}, {Lat: -90, Lon: 12}, {Lat: -17, Lon: 180}, {Lat: -17, Lon: -179.99}, {Lat: 35.2644, Lon: 45}, {}}
	if rng.IntN(6) == 0 {
		return awkward[rng.IntN(len(awkward))]
	}
	v := s2.PointFromCoords(rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64())
	return earth.LatLonOf(v)
}

// near is within about km kilometres of p.
func near(rng *rand.Rand, p earth.LatLon, km float64) earth.LatLon {
	c := s2.CapFromCenterAngle(p.Point(), s2.LatLngFromDegrees(km/111, 0).Lat)
	q := s2.PointFromCoords(rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64())
	w := rng.Float64() * c.Radius().Radians()
	return earth.LatLonOf(s2.Point{Vector: p.Point().Add(q.Sub(p.Point().Mul(q.Dot(p.Point().Vector))).Normalize().Mul(w)).Normalize()})
}

func height(rng *rand.Rand) earth.Metres {
	return earth.MinHeight + earth.Metres(rng.Float64())*(earth.MaxHeight-earth.MinHeight)
}

// newWorld makes n bounds in domains, shared by chance when shared is set; liars of f faulty domains collude on another place half
// of the time, and bound at random otherwise.
func newWorld(seed uint64, n, f int, shared bool) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{seed: seed, rng: rng, at: place(rng), faulty: map[string]bool{}}
	w.core = w.at.ECEF(height(rng))
	pool := max(2*f+1, n)
	for len(w.faulty) < f {
		w.faulty[fmt.Sprint("d", rng.IntN(pool))] = true
	}
	decoy := place(rng)
	collude := rng.IntN(2) == 0
	for i := range n {
		b := region.Bound{Beacon: fmt.Sprintf("b%03d", i), Domains: []string{fmt.Sprint("d", rng.IntN(pool))}}
		for shared && len(b.Domains) < region.MaxBeaconDomains && rng.IntN(3) == 0 {
			if d := fmt.Sprint("d", rng.IntN(pool)); !slices.Contains(b.Domains, d) {
				b.Domains = append(b.Domains, d)
			}
		}
		at := near(rng, w.at, 50+float64(rng.IntN(3000)))
		b.Centre = at.ECEF(height(rng))
		lies := slices.ContainsFunc(b.Domains, func(d string) bool { return w.faulty[d] })
		target := w.core
		if lies && collude {
			at = near(rng, decoy, 300)
			b.Centre, target = at.ECEF(0), decoy.ECEF(0)
		}
		b.Radius = earth.Chord(b.Centre, target)*earth.Metres(1+rng.Float64()*rng.Float64()) + earth.Metres(1+rng.Float64()*2e4)
		if lies && !collude {
			b.Radius = earth.Metres(1 + rng.ExpFloat64()*3e5)
		}
		w.bounds = append(w.bounds, b)
	}
	return w
}

// violSlow is the definition: the smallest number of domains that meets every bound excluding x, by trying all sets of them.
func violSlow(bounds []region.Bound, x earth.ECEF) int {
	var out []region.Bound
	var names []string
	for _, b := range bounds {
		if earth.Chord(b.Centre, x) > b.Radius {
			out = append(out, b)
			names = append(names, b.Domains...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for k := 0; ; k++ {
		if coverable(out, names, k) {
			return k
		}
	}
}

func coverable(out []region.Bound, names []string, k int) bool {
	if len(out) == 0 {
		return true
	}
	if k == 0 || len(names) == 0 {
		return false
	}
	rest := slices.DeleteFunc(slices.Clone(out), func(b region.Bound) bool { return slices.Contains(b.Domains, names[0]) })
	return coverable(rest, names[1:], k-1) || coverable(out, names[1:], k)
}

// ball is an area for tests: all positions of the shell within a chord of a centre. Sound by earth's columns.
type ball struct {
	centre earth.ECEF
	radius earth.Metres
}

func (b ball) Class(id s2.CellID) atlas.Class {
	c := earth.ColumnOf(id)
	switch {
	case c.MaxChord(b.centre) <= b.radius:
		return atlas.In
	case c.MinChord(b.centre) > b.radius:
		return atlas.Out
	}
	return atlas.Border
}

func search(t testing.TB, bounds []region.Bound, f int) *region.Region {
	t.Helper()
	r, err := region.Search(bounds, f, region.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
