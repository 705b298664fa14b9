package trial_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// europe is a constellation of a beacon in each town of the built-in world that stands in Europe, and the permit EU27.
func europe(t testing.TB, seed uint64) trial.Setup {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	permit, err := atlas.Parse("EU27", atlas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var towns []world.Place
	for _, p := range w.Places() {
		if p.At.Lon > -12 && p.At.Lon < 32 && p.At.Lat > 34 {
			towns = append(towns, p)
		}
	}
	return trial.Setup{World: w, Beacons: trial.Constellation(w, towns), Committee: 8, Permit: permit, Class: earth.Vacuum, Seed: seed}
}

// The control: honest cores are held by their region, and no verdict is wrong about them.
func TestHonestCores(t *testing.T) {
	tr := prepare(t, europe(t, 1))
	inside := 0
	for i := range uint64(200) {
		c, ok := tr.Honest(i, world.DataCentre)
		if !ok {
			t.Fatal("no town inside")
		}
		o := run(t, tr, c)
		if !o.Holds || o.FalseAccept || o.Stands != atlas.In || o.Cheats {
			t.Fatalf("core %d: %+v", i, o)
		}
		if o.Kind == verdict.Inside {
			inside++
		}
	}
	if inside < 50 {
		t.Errorf("of 200 honest cores %d were proven: the world shows nothing", inside)
	}
}

func prepare(t testing.TB, s trial.Setup) *trial.Trial {
	t.Helper()
	tr, err := s.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func run(t testing.TB, tr *trial.Trial, c trial.Core) trial.Outcome {
	t.Helper()
	o, err := tr.Run(c)
	if err != nil {
		t.Fatalf("%s with seed %d: %v", c.ID, tr.Setup().Seed, err)
	}
	return o
}
