package audit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// disc is a permit: everything within a chord of a centre.
type disc struct {
	centre earth.ECEF
	radius earth.Metres
}

func (d disc) Class(id s2.CellID) atlas.Class {
	c := earth.ColumnOf(id)
	switch {
	case c.MaxChord(d.centre) <= d.radius:
		return atlas.In
	case c.MinChord(d.centre) > d.radius:
		return atlas.Out
	}
	return atlas.Border
}

func (d disc) String() string { return "a disc" }

// fleet is a constellation with liars that was calibrated and has to judge a core.
type fleet struct {
	*world
	rng         *rand.Rand
	quarantined map[int]bool
}

// observe lets the beacons that are asked measure a core. Those that lie state whatever puts the core into the disc: their claimed
// place, however false, and a round trip as short as from the nearest point of the disc, or shorter.
func (f *fleet) observe(asked []int, core earth.LatLon, permit disc) (list []verdict.Observation) {
	for _, i := range asked {
		if f.quarantined[i] {
			continue
		}
		ms := f.delay(f.truth[i], core)
		if f.liar[i] {
			// The claim's ball inside the disc, or one that reaches into it.
			far := earth.Chord(f.claim[i].ECEF(0), permit.centre).Kilometres()
			ms = 2 / 299.792458 * max(1, far, permit.radius.Kilometres()/3) * (0.9 + 0.2*f.rng.Float64())
		}
		list = append(list, verdict.Observation{Beacon: fmt.Sprint(i), Domains: []string{fmt.Sprintf("operator:%d", i)}, Position: f.claim[i].ECEF(0),
			PosUnc: 25_000, RTT: earth.RTTFromMillis(ms), Granularity: 100, ErrPPB: 1000, Age: time.Second})
	}
	return list
}

// As long as at most f domains lie no core is ever found inside where it is not: with liars that were not found, with liars that were
// and are in quarantine, and with a model and an audit that they took part in. And where the core is inside, honest fleets say so.
func TestNoFalseInside(t *testing.T) {
	seeds := uint64(6)
	if long() {
		seeds = 200
	}
	inside, outside, framed := map[bool]int{}, 0, 0
	for _, kind := range []string{"moved", "adds delay", "shortens", "collude", "rotate", "frame"} {
		for seed := range seeds {
			w := newWorld(seed, 40)
			k := 1 + int(seed%4)
			w.corrupt(kind, k)
			r := run(t, w.set(t), audit.Options{})
			f := &fleet{world: w, rng: rand.New(rand.NewPCG(seed, 0x1d5)), quarantined: map[int]bool{}}
			for _, a := range r.Convicted {
				f.quarantined[a.Index] = seed%2 == 0 // with and without the directory's next epoch
			}
			for _, within := range []bool{true, false} {
				core, permit := f.stand(within)
				list := f.observe(f.nearest(core), core, permit)
				if !within { // the core may drop whom it likes
					list = slices.DeleteFunc(list, func(o verdict.Observation) bool { return !f.lies(o) && f.rng.IntN(3) == 0 })
				}
				v, err := verdict.Judge(list, verdict.Params{Speed: earth.Vacuum, F: k}, permit, nil)
				if err != nil {
					t.Fatalf("%s, seed %d: %v", kind, seed, err)
				}
				if v.Kind() == verdict.Inside && !within {
					t.Errorf("%s, seed %d: %d liars, f = %d, and a core %v from the disc's centre is inside a disc of %v", kind, seed, k, k,
						earth.Chord(core.ECEF(0), permit.centre), permit.radius)
				}
				if v.Kind() == verdict.Inside {
					inside[within]++
				}
				if !within {
					outside++
					if g, err := verdict.Judge(f.liesOf(list), verdict.Params{Speed: earth.Vacuum}, permit, nil); err == nil && g.Kind() == verdict.Inside {
						framed++ // the same lies, had nobody reckoned with them
					}
				}
			}
		}
	}
	t.Logf("inside %d times with the core inside, never in %d trials outside; their lies alone, with f = 0, would have been believed %d times", inside[true], outside, framed)
	if inside[true] == 0 || framed == 0 {
		t.Errorf("the test shows nothing: %d times inside, %d times wrong without f", inside[true], framed)
	}
}

// lies says whether an observation is a liar's.
func (f *fleet) lies(o verdict.Observation) bool {
	i, err := strconv.Atoi(o.Beacon)
	return err == nil && f.liar[i]
}

func (f *fleet) liesOf(list []verdict.Observation) []verdict.Observation {
	return slices.DeleteFunc(slices.Clone(list), func(o verdict.Observation) bool { return !f.lies(o) })
}

func (f *fleet) someLiar() int {
	for {
		if i := f.rng.IntN(len(f.liar)); f.liar[i] {
			return i
		}
	}
}

// stand chooses a core beside an honest beacon and a disc around it, or one around a liar's claim, far off.
func (f *fleet) stand(within bool) (earth.LatLon, disc) {
	for {
		i := f.rng.IntN(len(f.truth))
		if f.liar[i] {
			continue
		}
		core := f.truth[i]
		centre := core
		radius := earth.Metres(3_500_000)
		if !within {
			centre = f.claim[f.someLiar()]
			radius = 1_500_000
			if earth.Chord(core.ECEF(0), centre.ECEF(0)) < 2*radius {
				continue
			}
		}
		return core, disc{centre.ECEF(0), radius}
	}
}

// nearest are the liars, who see to it that they are asked, and the honest beacons nearest to the core.
func (f *fleet) nearest(core earth.LatLon) (asked []int) {
	var honest []int
	for i := range f.truth {
		if f.liar[i] {
			asked = append(asked, i)
		} else {
			honest = append(honest, i)
		}
	}
	for len(honest) > 0 && len(asked) < 24 {
		best := 0
		for x, i := range honest {
			if earth.GreatCircle(f.truth[i], core) < earth.GreatCircle(f.truth[honest[best]], core) {
				best = x
			}
		}
		asked = append(asked, honest[best])
		honest = append(honest[:best], honest[best+1:]...)
	}
	return asked
}
