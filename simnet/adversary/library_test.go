package adversary_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func TestLibrary(t *testing.T) {
	seen := map[adversary.Name]bool{}
	for _, k := range adversary.Library() {
		if seen[k.Name] || k.Owns == "" || k.Tries == "" || k.Refused == "" {
			t.Errorf("%+v: named twice, or not described", k)
		}
		seen[k.Name] = true
		usual, err := adversary.Usual(k.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := usual.Kind(); err != nil {
			t.Errorf("%s at its usual strength: %v", k.Name, err)
		}
		if (k.Means == "") != (k.Default == 0 && k.Most == 0) {
			t.Errorf("%s: a strength without a meaning, or a meaning without a strength: %+v", k.Name, k)
		}
		if _, err := (adversary.Adversary{Name: k.Name, Strength: k.Most + 1}).Kind(); !errors.Is(err, adversary.ErrStrength) {
			t.Errorf("%s stronger than it can be: %v", k.Name, err)
		}
		// What breaks an assumption does so at some strength, and nothing else does.
		breaks := false
		for f := range 3 {
			for _, s := range []float64{k.Default, k.Most} {
				a := adversary.Adversary{Name: k.Name, Strength: s}
				breaks = breaks || !a.Holds(f, false) || !a.Holds(f, true)
			}
		}
		if breaks != (k.Breaks != "") {
			t.Errorf("%s: breaks %q, but Holds says %v", k.Name, k.Breaks, !breaks)
		}
	}
	if _, err := adversary.Find("nobody"); !errors.Is(err, adversary.ErrName) {
		t.Errorf("an unknown name: %v", err)
	}
}

// play lets an adversary at a proof of eight beacons around Frankfurt.
func play(t *testing.T, a adversary.Adversary, cheats bool, attempt int) *adversary.Scene {
	t.Helper()
	w := cities(t)
	s := &adversary.Scene{World: w, Claim: standsOf(t, false), Stands: standsOf(t, cheats), Cheats: cheats, F: 1, Speed: earth.Light, Attempt: attempt,
		Draws: sample.KeyOf(1, 2, 3, uint64(attempt)).Draws()}
	for _, p := range w.ByDistance(s.Claim.At)[1:9] {
		l := adversary.Link{Beacon: w.Host(p, "beacon"), Domains: []string{p.ID}}
		l.Stated = l.Beacon.ECEF()
		l.Path, _ = sample.Between(w, l.Beacon, s.Stands, 0)
		s.Links = append(s.Links, l)
	}
	a.Before(s)
	sampler, err := samplerOfCities()
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Links {
		l := &s.Links[i]
		m, ok := sampler.Exchange(l.Path, sample.Key(i))
		l.Silent = l.Silent || !ok
		m.Beacon += l.Adds
		m.Core += l.Adds
		l.Found = m
	}
	a.After(s)
	return s
}

// owners own beacons, their keys or their hosts; keepers own two machines with one key, or have it moved. All others own no more
// than cores and networks, and whatever they do, no statement is shorter than light from the beacon to the core.
var owners = []adversary.Name{adversary.LyingShort, adversary.Colluders, adversary.StolenKey, adversary.PausedVM}
var keepers = []adversary.Name{adversary.ClonedCore, adversary.MovedCore}

func TestNobodyOutrunsLight(t *testing.T) {
	shortened := 0
	for _, k := range adversary.Library() {
		for _, strength := range []float64{k.Least, k.Default, k.Most} {
			a := adversary.Adversary{Name: k.Name, Strength: strength}
			for attempt := range min(3, a.Attempts()) {
				for _, cheats := range []bool{false, true} {
					short := false
					for _, l := range play(t, a, cheats, attempt).Links {
						least := earth.RTT(2 * float64(earth.Chord(l.Beacon.ECEF(), standsOf(t, cheats).ECEF())) / float64(earth.Light) * 1e9)
						short = short || !l.Silent && l.Found.Bound() < least
					}
					mayLie := slices.Contains(owners, k.Name) || cheats && slices.Contains(keepers, k.Name)
					if short && !mayLie {
						t.Errorf("%s, cheats %v: a statement is shorter than light", a, cheats)
					}
					if short {
						shortened++
					}
				}
			}
		}
	}
	if shortened == 0 {
		t.Error("nobody lied: the test showed nothing")
	}
}

var builtin = sync.OnceValues(func() (*world.World, error) { return world.Builtin(world.Config{Seed: 1}) })

var samplerOfCities = sync.OnceValues(func() (*sample.Sampler, error) {
	w, err := builtin()
	if err != nil {
		return nil, err
	}
	return sample.New(w, exchange.DefaultLimits())
})

func cities(t *testing.T) *world.World {
	t.Helper()
	w, err := builtin()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func standsOf(t *testing.T, cheats bool) world.Place {
	t.Helper()
	name := "Frankfurt"
	if cheats {
		name = "Zurich"
	}
	p, err := cities(t).Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each adversary does what its name says: what is silent, what is longer and what is lost, against the control.
func TestEffects(t *testing.T) {
	control := func(cheats bool) *adversary.Scene {
		return play(t, adversary.Adversary{Name: adversary.Honest}, cheats, 0)
	}
	silent := func(s *adversary.Scene) (n int) {
		for _, l := range s.Links {
			if l.Silent {
				n++
			}
		}
		return n
	}
	longer := func(s *adversary.Scene, by earth.RTT) (n int) {
		for i, l := range control(s.Cheats).Links {
			if !s.Links[i].Silent && s.Links[i].Found.Bound() >= l.Found.Bound()+by {
				n++
			}
		}
		return n
	}
	if n := silent(control(false)) + silent(control(true)); n != 0 {
		t.Fatalf("%d silent beacons without an adversary", n)
	}
	for _, c := range []struct {
		a      adversary.Adversary
		cheats bool
		silent int
		longer int // of eight, by a millisecond or more; -1: not looked at
	}{
		{adversary.Adversary{Name: adversary.AddDelayConstant, Strength: 3}, false, 0, 8},
		{adversary.Adversary{Name: adversary.Drop, Strength: 0.25}, false, 2, 0},
		{adversary.Adversary{Name: adversary.Drop, Strength: 1}, true, 8, 0},
		{adversary.Adversary{Name: adversary.Reorder, Strength: 1}, false, 8, 0},
		{adversary.Adversary{Name: adversary.ReplayProof}, true, 8, 0},
		{adversary.Adversary{Name: adversary.ReplayProof}, false, 0, 0},
		{adversary.Adversary{Name: adversary.LyingLong, Strength: 3}, false, 0, 3},
		{adversary.Adversary{Name: adversary.Flooding, Strength: 1}, false, 4, 0},
		{adversary.Adversary{Name: adversary.DistanceHijack}, true, 0, 0},
		{adversary.Adversary{Name: adversary.SlowCore, Strength: 0.5}, true, 0, 0},
		{adversary.Adversary{Name: adversary.Colluders, Strength: 0}, true, 0, 7},
		{adversary.Adversary{Name: adversary.RelayNear, Strength: 0.6}, true, 0, -1},
	} {
		s := play(t, c.a, c.cheats, 0)
		if got := silent(s); got != c.silent {
			t.Errorf("%s: %d silent, want %d", c.a, got, c.silent)
		}
		if got := longer(s, 1e6); c.longer >= 0 && got != c.longer {
			t.Errorf("%s: %d longer, want %d", c.a, got, c.longer)
		}
	}
	for _, l := range play(t, adversary.Adversary{Name: adversary.SlowCore, Strength: 0.5}, true, 0).Links {
		if l.Found.Core*10 > l.Found.Beacon*6 {
			t.Errorf("a core's clock at half speed measures %v, the beacon's %v", l.Found.Core, l.Found.Beacon)
		}
	}
	// A core outside that fits its answers to the claim is held by each of their bounds at the claim.
	for _, name := range []adversary.Name{adversary.AddDelayAdaptive, adversary.FasterLink} {
		a, _ := adversary.Usual(name)
		s := play(t, a, true, 0)
		for _, l := range s.Links {
			if !l.Silent && float64(l.Found.Bound())/1e9*float64(earth.Light)/2 < float64(earth.Chord(l.Stated, s.Claim.ECEF())) {
				t.Errorf("%s: a bound does not hold the claim", a)
			}
		}
	}
	// A picky prover leaves 2f+1 at least, and not the same each time.
	a := adversary.Adversary{Name: adversary.PickyProver, Strength: 8}
	counts := map[int]bool{}
	for attempt := range 8 {
		n := silent(play(t, a, true, attempt))
		if n > 5 || attempt == 0 && n > 0 {
			t.Errorf("attempt %d leaves out %d of 8", attempt, n)
		}
		counts[n] = true
	}
	if len(counts) < 3 {
		t.Errorf("a picky prover picks alike each time: %v", counts)
	}
}
