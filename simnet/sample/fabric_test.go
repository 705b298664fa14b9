package sample_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// falseAlarm is how often the comparison of two samples of one law fails. The seeds stand fixed, so a failure is not chance but a
// change of one of the laws; among new seeds one in so many would fail.
const falseAlarm = 1e-4

// distance is the two-sample Kolmogorov–Smirnov statistic, and the distance that two samples of one law exceed with probability
// falseAlarm (Smirnov's limit, which is on the safe side for samples of hundreds).
func distance(a, b []float64) (d, limit float64) {
	slices.Sort(a)
	slices.Sort(b)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n, m := float64(len(a)), float64(len(b))
	return d, math.Sqrt(-math.Log(falseAlarm/2)/2) * math.Sqrt((n+m)/(n*m))
}

// drawn returns the bounds of n exchanges.
func drawn(t *testing.T, w *world.World, limits exchange.Limits, p sample.Path, n int) []float64 {
	t.Helper()
	s, err := sample.New(w, limits)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, 0, n)
	for i := range n {
		if m, ok := s.Exchange(p, sample.KeyOf(7, sample.Hash("core"), sample.Hash("beacon"), uint64(i))); ok {
			out = append(out, float64(m.Bound()))
		}
	}
	return out
}

// One truth at two speeds: bounds that the real machines measure over the fabric's lanes, with all their signatures, and bounds that
// are drawn, over the same pairs of the same world, have one distribution. What is drawn by a law that differs in one thing has
// another: the comparison can fail.
func TestSampleIsTheFabric(t *testing.T) {
	runs := 150
	switch {
	case os.Getenv("URSA_LONG") != "":
		runs = 4000
	case testing.Short():
		runs = 60
	}
	w, stage := builtin(t), newCast(t)
	frankfurt, madrid := find(t, w, "Frankfurt"), find(t, w, "Madrid")
	for i, access := range []world.Access{world.DataCentre, world.Wired, world.Cellular} {
		t.Run(access.String(), func(t *testing.T) {
			beacon, core := w.Host(frankfurt, "beacon"), w.Host(madrid, "core")
			core.Access = access
			path, ok := sample.Between(w, beacon, core, 0)
			if !ok {
				t.Fatal("no path")
			}
			real := make([]float64, 0, runs)
			for n := range runs {
				b, c, ok := stage.exchange(t, w, beacon, core, exchange.DefaultLimits(), uint64(i*1_000_000+n)).run()
				if !ok {
					continue
				}
				if b < int64(path.Least) || c < int64(path.Least) {
					t.Fatalf("exchange %d: %d and %d ns over a path of %d", n, b, c, path.Least)
				}
				real = append(real, float64(max(b, c)))
			}
			if len(real) < runs*9/10 {
				t.Fatalf("%d of %d exchanges gave a statement", len(real), runs)
			}
			if d, limit := distance(real, drawn(t, w, exchange.DefaultLimits(), path, 20_000)); d > limit {
				t.Errorf("%v apart by %.4f; %d exchanges of one law exceed %.4f once in %.0f", access, d, len(real), limit, 1/falseAlarm)
			} else {
				t.Logf("%d exchanges: apart by %.4f, limit %.4f", len(real), d, limit)
			}
			for name, mutant := range mutants(t, path) {
				if d, limit := distance(real, drawn(t, w, mutant.limits, mutant.path, 20_000)); d <= limit {
					t.Errorf("%s: apart by %.4f only, limit %.4f", name, d, limit)
				}
			}
		})
	}
}

type mutant struct {
	limits exchange.Limits
	path   sample.Path
}

// mutants are laws that differ in one thing: when an exchange ends, what the beacon's packets wait, the least of the path.
func mutants(t *testing.T, path sample.Path) map[string]mutant {
	t.Helper()
	fixed, err := sample.Fixed(64)
	if err != nil {
		t.Fatal(err)
	}
	shorter, quieter, longer := exchange.DefaultLimits(), path, path
	shorter.MaxRounds = 8
	quieter.Beacon.Factor, quieter.Core.Factor = 0.25, 0.25
	longer.Least += 100_000
	all := map[string]mutant{"a quarter of the waits": {exchange.DefaultLimits(), quieter}}
	if path.Core.Access == world.DataCentre {
		all["0.1 ms more"] = mutant{exchange.DefaultLimits(), longer}
		all["always 64 rounds"] = mutant{fixed, path}
	} else {
		all["never more than 8 rounds"] = mutant{shorter, path}
	}
	return all
}

// The closed law against the walk.
func TestClosedLawIsTheWalk(t *testing.T) {
	w := builtin(t)
	for _, rounds := range []int{16, 64} {
		for _, access := range []world.Access{world.DataCentre, world.Wired, world.Satellite} {
			t.Run(fmt.Sprintf("%v/%d", access, rounds), func(t *testing.T) {
				limits, err := sample.Fixed(rounds)
				if err != nil {
					t.Fatal(err)
				}
				law, err := sample.NewLaw(w, access, rounds, 0)
				if err != nil {
					t.Fatal(err)
				}
				const n = 20_000
				p := sample.Path{Least: 20e6, Beacon: sample.Plain(world.DataCentre), Core: sample.EndOf(w, world.Place{ID: "core", Access: access}, 0)}
				closed := make([]float64, n)
				for i := range closed {
					closed[i] = float64(law.Bound(p.Least, sample.KeyOf(3, 1, 2, uint64(i))))
				}
				if d, limit := distance(drawn(t, w, limits, p, n), closed); d > limit {
					t.Errorf("apart by %.4f, limit %.4f", d, limit)
				}
			})
		}
	}
}

func find(t *testing.T, w *world.World, name string) world.Place {
	t.Helper()
	p, err := w.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
