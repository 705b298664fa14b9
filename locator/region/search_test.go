package region_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/golang/geo/s2"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func anyWorld(t *rapid.T) (*world, int) {
	f := rapid.IntRange(0, 3).Draw(t, "f")
	n := rapid.IntRange(1, 12).Draw(t, "n")
	return newWorld(rapid.Uint64().Draw(t, "seed"), n, f, rapid.Bool().Draw(t, "shared")), f
}

// The theorem: whatever at most f domains say, the true place stays in the region.
func TestTruthStaysInTheRegion(t *testing.T) {
	lied := 0
	rapid.Check(t, func(t *rapid.T) {
		w, f := anyWorld(t)
		r, err := region.Search(w.bounds, f, region.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Contains(w.at) {
			t.Fatalf("seed %d: the core at %v is not in the region", w.seed, w.at)
		}
		if violSlow(w.bounds, w.core) > 0 {
			lied++
		}
	})
	if lied == 0 {
		t.Error("in no world did a liar exclude the truth: the test showed nothing")
	}
}

// A share of those who answered in place of an absolute f would let the true place go: the mutant of which the design warns.
func TestMutantFAsShareLosesTheTruth(t *testing.T) {
	lost := 0
	for seed := range uint64(200) {
		w := newWorld(seed, 5, 2, false)
		if share := len(w.bounds) / 4; !search(t, w.bounds, share).Contains(w.at) {
			lost++
		}
	}
	if lost == 0 {
		t.Error("the mutant was never caught")
	}
}

// slow twin: a grid of points around the core, each judged by the definition.
func TestAgainstBruteForceGrid(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(seed, 3+int(seed%8), int(seed%3), seed%2 == 0)
		f := int(seed % 3)
		r := search(t, w.bounds, f)
		for range 400 {
			p := near(w.rng, w.at, 20+w.rng.ExpFloat64()*1000)
			x := p.ECEF(height(w.rng))
			if violSlow(w.bounds, x) <= f && !r.Contains(p) {
				t.Fatalf("seed %d: %v is allowed by the definition and not in the region", seed, p)
			}
		}
	}
}

// The region is not only sound but tight: each kept cell would be allowed if the radii were longer by three widths of its column
// and the height of the shell.
func TestKeptCellsAreNearlyAllowed(t *testing.T) {
	for seed := range uint64(60) {
		f := int(seed % 3)
		w := newWorld(seed, 3+int(seed%8), f, seed%2 == 0)
		for _, id := range search(t, w.bounds, f).Cells() {
			grown := slices.Clone(w.bounds)
			for i := range grown {
				grown[i].Radius += 3*earth.ColumnOf(id).Thick() + earth.MaxHeight - earth.MinHeight
			}
			if violSlow(grown, earth.LatLonOf(id.Point()).ECEF(0)) > f {
				t.Fatalf("seed %d: cell %v is kept far outside the bounds", seed, id)
			}
		}
	}
}

// weaken returns weaker evidence.
func weaken(rng *rand.Rand, bounds []region.Bound, f int) ([]region.Bound, int) {
	weak := slices.Clone(bounds)
	for i := range weak {
		switch rng.IntN(3) {
		case 0:
			weak[i].Radius += earth.Metres(rng.ExpFloat64() * 1e5)
		case 1:
			weak[i].Radius += earth.Metres(rng.ExpFloat64() * 10)
		}
	}
	weak = slices.DeleteFunc(weak, func(region.Bound) bool { return rng.IntN(5) == 0 })
	return weak, f + rng.IntN(2)
}

// Promise 2, for the cells and for the comparison.
func TestWeakerEvidenceNeverHelps(t *testing.T) {
	within, mixed := 0, 0
	for seed := range uint64(500) {
		f := int(seed % 2)
		w := newWorld(seed, 1+int(seed%12), f, seed%3 == 0)
		weak, g := weaken(w.rng, w.bounds, f)
		strong, loose := search(t, w.bounds, f), search(t, weak, g)
		all := loose.Cells()
		for _, id := range strong.Cells() {
			if !all.ContainsCellID(id) {
				t.Fatalf("seed %d: stronger evidence keeps cell %v, weaker does not", seed, id)
			}
		}
		_, hi := loose.Reach(w.core)
		area := ball{w.core, hi * earth.Metres(w.rng.Float64()*1.3)}
		before, _ := strong.Compare(area)
		after, _ := loose.Compare(area)
		if after == region.Within && before != region.Within && before != region.Empty {
			t.Fatalf("seed %d: weaker evidence turned %v into within", seed, before)
		}
		if after == region.Within {
			within++
		}
		if before == region.Mixed {
			mixed++
		}
	}
	if within == 0 || mixed == 0 {
		t.Errorf("the hard cases did not happen: %d within, %d mixed", within, mixed)
	}
}

// Shortcuts change nothing: a comparison asked cell by cell at the finest level agrees with Compare.
func TestCompareAgainstLeaves(t *testing.T) {
	seen := map[region.Relation]int{}
	for seed := range uint64(150) {
		w := newWorld(seed, 5, 0, false)
		r := search(t, w.bounds, 0)
		_, hi := r.Reach(w.core)
		area := ball{near(w.rng, w.at, 3*hi.Kilometres()*w.rng.Float64()).ECEF(0), hi * earth.Metres(w.rng.Float64()*2)}
		got, refined := r.Compare(area)
		seen[got]++
		for range 50 {
			p := near(w.rng, w.at, hi.Kilometres())
			x := p.ECEF(height(w.rng))
			if violSlow(w.bounds, x) > 0 {
				continue
			}
			in := earth.Chord(area.centre, x) <= area.radius
			if got == region.Within && !in || got == region.Apart && in || got == region.Empty {
				t.Fatalf("seed %d: %v, but %v is allowed and inside = %v", seed, got, p, in)
			}
			if !refined.Contains(p) {
				t.Fatalf("seed %d: refinement lost %v", seed, p)
			}
		}
	}
	if seen[region.Within] == 0 || seen[region.Apart] == 0 || seen[region.Mixed] == 0 {
		t.Errorf("relations seen: %v", seen)
	}
}

// grey answers Border for every cell that meets a small ball, as an atlas does for disputed ground, and one class for all others.
type grey struct {
	spot ball
	rest atlas.Class
}

func (g grey) Class(id s2.CellID) atlas.Class {
	if g.spot.Class(id) == atlas.Out {
		return g.rest
	}
	return atlas.Border
}

// A kept cell of which nobody knows whether it is in the area rules out both answers, however small it is.
func TestGreyGroundIsNeitherInNorOut(t *testing.T) {
	at := earth.LatLon{Lat: 50, Lon: 8}
	r := search(t, []region.Bound{bound("a", at, 100e3)}, 0)
	for _, rest := range []atlas.Class{atlas.In, atlas.Out} {
		inside := grey{ball{earth.LatLon{Lat: 50.3, Lon: 8}.ECEF(0), 500}, rest}
		if rel, _ := r.Compare(inside); rel != region.Mixed {
			t.Errorf("500 m of grey ground in the region: %v", rel)
		}
		if found, ok := r.NearestOutside(inside, at.ECEF(0)); !ok || rest == atlas.In && earth.Chord(found.At.ECEF(0), inside.spot.centre) > 1500 {
			t.Errorf("the grey ground is not found: %v", found)
		}
		outside := grey{ball{earth.LatLon{Lat: 52, Lon: 8}.ECEF(0), 500}, rest}
		want := map[atlas.Class]region.Relation{atlas.In: region.Within, atlas.Out: region.Apart}[rest]
		if rel, _ := r.Compare(outside); rel != want {
			t.Errorf("grey ground outside the region: %v, want %v", rel, want)
		}
	}
}

func TestOrderAndGoroutinesLeaveNoTrace(t *testing.T) {
	w := newWorld(11, 24, 2, true)
	want := search(t, w.bounds, 2)
	geo := want.GeoJSON()
	var wg sync.WaitGroup
	for g := range 8 {
		mixed := slices.Clone(w.bounds)
		rand.New(rand.NewPCG(uint64(g), 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		wg.Go(func() {
			got, err := region.Search(mixed, 2, region.Options{})
			if err != nil || !slices.Equal(got.Cells(), want.Cells()) || got.AreaKM2() != want.AreaKM2() || string(got.GeoJSON()) != string(geo) {
				t.Errorf("order %d: another region (%v)", g, err)
			}
			a, _ := want.Compare(ball{w.core, 1e6}) // shared by all goroutines
			b, _ := got.Compare(ball{w.core, 1e6})
			if a != b {
				t.Errorf("order %d: another relation", g)
			}
		})
	}
	wg.Wait()
}

func TestNearestOutsideAgainstSampling(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed, 4, 0, false)
		r := search(t, w.bounds, 0)
		_, hi := r.Reach(w.core)
		area := ball{w.core, hi / 3}
		found, ok := r.NearestOutside(area, w.core)
		if !ok {
			continue
		}
		if !r.Contains(found.At) {
			t.Fatalf("seed %d: %v is not in the region", seed, found.At)
		}
		leaf := earth.ColumnOf(s2.CellFromPoint(found.At.Point()).ID().Parent(min(r.Level()+region.RefineLevels, region.MaxLevel)))
		for range 500 {
			p := near(w.rng, w.at, hi.Kilometres())
			x := p.ECEF(0)
			if r.Contains(p) && violSlow(w.bounds, x) == 0 && earth.Chord(x, area.centre) > area.radius &&
				earth.Chord(x, w.core) < found.Distance-3*leaf.Thick()-(earth.MaxHeight-earth.MinHeight) {
				t.Fatalf("seed %d: %v is nearer than %v", seed, p, found.At)
			}
		}
	}
}
