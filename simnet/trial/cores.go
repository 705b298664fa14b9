package trial

import (
	"math"
	"strconv"

	"github.com/golang/geo/r3"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func pointOf(v r3.Vector) s2.Point { return s2.Point{Vector: v.Normalize()} }

// towns are the world's places by how they lie to the permit.
type towns struct{ inside, outside []world.Place }

func newTowns(w *world.World, permit *atlas.Region) towns {
	var t towns
	for _, p := range w.Places() {
		switch permit.ClassPoint(p.At) {
		case atlas.In:
			t.inside = append(t.inside, p)
		case atlas.Out:
			t.outside = append(t.outside, p)
		}
	}
	return t
}

// countryside is how far from its town a core stands that does not stand in it.
const countryside earth.Metres = 300_000

// tries bounds the search for a place on the right side of the border; the town itself is on it.
const tries = 32

// Honest returns core number n of those that stand inside the permit and claim where they stand: half in towns, half in the country
// around one, so that borders are met. False when the world has no town inside.
func (t *Trial) Honest(n uint64, access world.Access) (Core, bool) {
	if len(t.towns.inside) == 0 {
		return Core{}, false
	}
	d := sample.KeyOf(t.setup.Seed, sample.Name(n), sample.Hash("honest core"), 0).Draws()
	id := "honest-" + strconv.FormatUint(n, 10)
	at := t.somewhere(&d, pick(&d, t.towns.inside), id, access, atlas.In)
	return Core{ID: id, Stands: at, Claim: at}, true
}

// Cheat returns core number n of those that stand outside the permit and claim a place inside: half near the claim, half anywhere.
// Where beacons were moved, it stands in the town of one and claims the place from which it was moved. False when the world has no
// town inside, or none outside.
func (t *Trial) Cheat(n uint64, access world.Access) (Core, bool) {
	if len(t.towns.inside) == 0 || len(t.towns.outside) == 0 {
		return Core{}, false
	}
	d := sample.KeyOf(t.setup.Seed, sample.Name(n), sample.Hash("cheating core"), 0).Draws()
	id := "cheat-" + strconv.FormatUint(n, 10)
	if len(t.moved) > 0 {
		m := t.moved[d.Uint64()%uint64(len(t.moved))]
		stands := t.somewhere(&d, m.to, id, access, atlas.Out)
		claim := t.setup.World.Host(m.from, id+" claim")
		claim.At, claim.Access = m.stated, access
		return Core{ID: id, Stands: stands, Claim: claim}, true
	}
	claim := t.somewhere(&d, pick(&d, t.towns.inside), id+" claim", access, atlas.In)
	town := pick(&d, t.towns.outside)
	if d.Uint64()&1 == 0 {
		town = nearestOf(&d, t.towns.outside, claim.ECEF())
	}
	return Core{ID: id, Stands: t.somewhere(&d, town, id, access, atlas.Out), Claim: claim}, true
}

func pick(d *sample.Draws, list []world.Place) world.Place { return list[d.Uint64()%uint64(len(list))] }

// nearestOf returns the nearest of a dozen drawn.
func nearestOf(d *sample.Draws, list []world.Place, to earth.ECEF) world.Place {
	best := pick(d, list)
	for range 11 {
		if p := pick(d, list); earth.Chord(p.ECEF(), to) < earth.Chord(best.ECEF(), to) {
			best = p
		}
	}
	return best
}

// somewhere draws a place in the town or around it, on the wanted side of the border.
func (t *Trial) somewhere(d *sample.Draws, town world.Place, id string, access world.Access, side atlas.Class) world.Place {
	p := t.setup.World.Host(town, id)
	p.Access = access
	if d.Uint64()&1 == 0 && t.setup.Permit.ClassPoint(p.At) == side {
		return p
	}
	for range tries {
		p.At = around(town.At, d)
		if t.setup.Permit.ClassPoint(p.At) == side {
			return p
		}
	}
	p.At = town.At
	return p
}

// around draws a place within the countryside of a town.
func around(town earth.LatLon, d *sample.Draws) earth.LatLon {
	angle := float64(countryside) * math.Sqrt(d.Float64()) / float64(earth.SemiMajor)
	bearing := 2 * math.Pi * d.Float64()
	n := town.Point()
	east := s2.Point{Vector: n.Ortho()}
	north := n.Cross(east.Vector)
	v := n.Mul(math.Cos(angle)).Add(east.Mul(math.Sin(angle) * math.Cos(bearing))).Add(north.Mul(math.Sin(angle) * math.Sin(bearing)))
	return earth.LatLonOf(pointOf(v))
}
