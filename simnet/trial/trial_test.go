package trial_test

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
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

// What a core experiences depends on nothing but the setup and itself: not on order, not on the number of processors, not on who
// else is tried, not on the order of the beacons.
func TestSameOutcomes(t *testing.T) {
	s := europe(t, 2)
	s.Adversary = adversary.Adversary{Name: adversary.LyingMoved, Strength: 3}
	s.Quarantine = true
	first, again := prepare(t, s), s
	again.Beacons = slices.Clone(s.Beacons)
	slices.Reverse(again.Beacons)
	second := prepare(t, again)
	if !slices.Equal(first.Convicted(), second.Convicted()) {
		t.Fatalf("convicted %v, and %v when asked in another order", first.Convicted(), second.Convicted())
	}
	for i := range uint64(20) {
		a, _ := first.Cheat(i, world.Wired)
		b, _ := second.Cheat(19-i, world.Wired)
		run(t, second, b)
		if x, y := run(t, first, a), run(t, second, a); x != y {
			t.Fatalf("core %d: %+v and %+v", i, x, y)
		}
	}
	one := count(t, first, 1, 60)
	if two := count(t, first, 3, 60); one != two {
		t.Errorf("on one processor %+v, on three %+v", one, two)
	}
}

func count(t *testing.T, tr *trial.Trial, processors int, n uint64) trial.Tally {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	tally, err := tr.Count(t.Context(), n, world.DataCentre)
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

// The committee against its definition: sort everything, take the nearest that bring new domains until there are 2f+1, then the
// nearest. It is what topology/plan chooses when delays grow with distance.
func TestCommittee(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := europe(t, 3)
		s.F, s.Committee = 2, 7
		if shared {
			for i := range s.Beacons {
				s.Beacons[i].Domains = []string{fmt.Sprint("operator ", i%6)}
			}
		}
		tr := prepare(t, s)
		spread := 0
		for i := range uint64(60) {
			c, _ := tr.Honest(i, world.DataCentre)
			got, want := tr.Committee(c.Claim.At), slowCommittee(s, c.Claim.At)
			if !slices.Equal(got, want) {
				t.Fatalf("shared %v, claim %v: %v, want %v", shared, c.Claim.At, got, want)
			}
			domains := map[string]bool{}
			for _, id := range got {
				for _, b := range s.Beacons {
					if b.Place.ID == id {
						domains[b.Domains[0]] = true
					}
				}
			}
			if len(domains) < 5 {
				t.Fatalf("a committee of %d domains for f = 2", len(domains))
			}
			if len(domains) == 5 {
				spread++
			}
		}
		if shared && spread == 0 {
			t.Error("no committee had to look for domains: the test showed nothing")
		}
	}
}

func slowCommittee(s trial.Setup, claim earth.LatLon) []string {
	left := slices.Clone(s.Beacons)
	slices.SortFunc(left, func(a, b trial.Beacon) int {
		return cmp.Or(cmp.Compare(earth.Chord(claim.ECEF(0), a.Stated.ECEF(0)), earth.Chord(claim.ECEF(0), b.Stated.ECEF(0))), cmp.Compare(a.Place.ID, b.Place.ID))
	})
	var taken, rest []trial.Beacon
	domains := map[string]bool{}
	for _, b := range left {
		if len(domains) < 2*s.F+1 && !domains[b.Domains[0]] {
			domains[b.Domains[0]] = true
			taken = append(taken, b)
		} else {
			rest = append(rest, b)
		}
	}
	var ids []string
	for _, b := range append(taken, rest...)[:s.Committee] {
		ids = append(ids, b.Place.ID)
	}
	slices.Sort(ids)
	return ids
}

// More delay, more faulty domains, fewer beacons and older proofs prove nothing more about the same cores.
func TestWeakerEvidenceProvesNoMore(t *testing.T) {
	s := europe(t, 4)
	tr := prepare(t, s)
	var cores []trial.Core
	for i := uint64(0); len(cores) < 25; i++ {
		if c, _ := tr.Honest(i, world.DataCentre); run(t, tr, c).Kind != verdict.Inside {
			cores = append(cores, c)
		}
	}
	slower, wary, old := s, s, s
	slower.Access = 2e6
	wary.F = 1
	old.Age = time.Hour
	for name, weaker := range map[string]trial.Setup{"2 ms of access": slower, "f = 1": wary, "an hour old": old} {
		tr := prepare(t, weaker)
		for _, c := range cores {
			if o := run(t, tr, c); o.Kind == verdict.Inside {
				t.Errorf("%s: %s is proven, and was not before", name, c.ID)
			}
		}
	}
}

func TestSetupRefuses(t *testing.T) {
	good := europe(t, 1)
	for _, c := range []struct {
		name  string
		spoil func(*trial.Setup)
		want  error
	}{
		{"no world", func(s *trial.Setup) { s.World = nil }, trial.ErrWorld},
		{"no permit", func(s *trial.Setup) { s.Permit = nil }, trial.ErrPermit},
		{"no beacons", func(s *trial.Setup) { s.Beacons = nil }, trial.ErrBeacons},
		{"no class", func(s *trial.Setup) { s.Class = 0 }, verdict.ErrSpeedClass},
		{"f below zero", func(s *trial.Setup) { s.F = -1 }, region.ErrFaulty},
		{"a committee too small for f", func(s *trial.Setup) { s.F, s.Committee = 2, 4 }, trial.ErrCommittee},
		{"a negative delay", func(s *trial.Setup) { s.Access = -1 }, trial.ErrAccess},
		{"a negative age", func(s *trial.Setup) { s.Age = -1 }, trial.ErrAge},
		{"seven rounds", func(s *trial.Setup) { s.Rounds = 7 }, sample.ErrRounds},
		{"an unknown adversary", func(s *trial.Setup) { s.Adversary.Name = "nobody" }, adversary.ErrName},
		{"too strong", func(s *trial.Setup) { s.Adversary = adversary.Adversary{Name: adversary.Drop, Strength: 2} }, adversary.ErrStrength},
		{"two of one id", func(s *trial.Setup) { s.Beacons[1] = s.Beacons[0] }, trial.ErrBeacon},
		{"no domain", func(s *trial.Setup) { s.Beacons[0].Domains = nil }, trial.ErrBeacon},
		{"no uncertainty", func(s *trial.Setup) { s.Beacons[0].PosUnc = 0 }, trial.ErrBeacon},
		{"no class of access", func(s *trial.Setup) { s.Beacons[0].Place.Access = 0 }, trial.ErrBeacon},
		{"off the Earth", func(s *trial.Setup) { s.Beacons[0].Stated.Lat = 91 }, trial.ErrBeacon},
	} {
		s := good
		s.Beacons = slices.Clone(good.Beacons)
		c.spoil(&s)
		if _, err := s.Prepare(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The audit finds moved beacons in the drawn mesh, and those who are convicted are asked no more. What they would have let in stays
// out.
func TestQuarantine(t *testing.T) {
	convicted := 0
	for seed := uint64(5); seed < 9 && convicted == 0; seed++ {
		s := europe(t, seed)
		s.Adversary = adversary.Adversary{Name: adversary.LyingMoved, Strength: 4}
		open := prepare(t, s)
		s.Quarantine = true
		closed := prepare(t, s)
		for _, id := range closed.Convicted() {
			convicted++
			if slices.ContainsFunc(closed.Asked(), func(b trial.Beacon) bool { return b.Place.ID == id }) {
				t.Errorf("%s is convicted and asked", id)
			}
			if !slices.ContainsFunc(open.Asked(), func(b trial.Beacon) bool { return b.Place.ID == id && b.Place.At != b.Stated }) {
				t.Errorf("%s is convicted and was not moved", id)
			}
		}
	}
	if convicted == 0 {
		t.Error("nobody was convicted: the test showed nothing")
	}
}
