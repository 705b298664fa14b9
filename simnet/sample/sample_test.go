package sample_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func builtin(t testing.TB) *world.World {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func sampler(t testing.TB, limits exchange.Limits) *sample.Sampler {
	t.Helper()
	s, err := sample.New(builtin(t), limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func anyEnd(t *rapid.T, name string) sample.End {
	return sample.End{
		Access: world.Access(rapid.IntRange(1, int(world.Satellite)).Draw(t, name)),
		Factor: rapid.Float64Range(0.1, 10).Draw(t, name+" factor"),
		Loss:   rapid.Float64Range(0, 1).Draw(t, name+" loss"),
	}
}

// Nothing that is drawn is early, whatever the path; rounds are within the limits; the same key draws the same.
func TestNeverEarly(t *testing.T) {
	s := sampler(t, exchange.DefaultLimits())
	given := 0
	rapid.Check(t, func(t *rapid.T) {
		p := sample.Path{Least: earth.RTT(rapid.Int64Range(1, 400e6).Draw(t, "least")), Beacon: anyEnd(t, "beacon"), Core: anyEnd(t, "core")}
		key := sample.Key(rapid.Uint64().Draw(t, "key"))
		m, ok := s.Exchange(p, key)
		if again, okAgain := s.Exchange(p, key); again != m || okAgain != ok {
			t.Fatalf("one key, two draws: %+v and %+v", m, again)
		}
		if m.Sent < m.Valid || m.Sent > 64 || ok && m.Valid < 8 {
			t.Fatalf("rounds: %+v", m)
		}
		if ok {
			given++
			if m.Beacon < p.Least || m.Core < p.Least {
				t.Fatalf("%+v over a path of %d ns", m, p.Least)
			}
		}
	})
	if given == 0 {
		t.Error("no path gave a statement: the test showed nothing")
	}
}

// A clock that runs slow measures short by as much, and one of coarse ticks is wrong by less than one tick, both ways.
func TestClocks(t *testing.T) {
	s := sampler(t, exchange.DefaultLimits())
	plain := sample.Path{Least: 30e6, Beacon: sample.Plain(world.DataCentre), Core: sample.Plain(world.DataCentre)}
	slow, coarse := plain, plain
	slow.Core.Clock.RatePPB = -500_000_000
	coarse.Beacon.Clock.Tick = 4e6
	below := 0
	for i := range uint64(1000) {
		m, _ := s.Exchange(plain, sample.Key(i))
		half, _ := s.Exchange(slow, sample.Key(i))
		if d := half.Core - (m.Core+1)/2; half.Beacon != m.Beacon || d < -1 || d > 1 {
			t.Fatalf("a clock at half speed: %+v, the true one %+v", half, m)
		}
		rough, ok := s.Exchange(coarse, sample.Key(i))
		if !ok || rough.Beacon%4e6 != 0 || rough.Beacon <= plain.Least-4e6 || rough.Beacon > 44e6 {
			t.Fatalf("a clock of 4 ms: %+v", rough)
		}
		if rough.Beacon < plain.Least {
			below++
		}
	}
	if below == 0 {
		t.Error("a coarse clock never measured short: that is why its tick is added to a bound")
	}
}

func TestNoStatement(t *testing.T) {
	s := sampler(t, exchange.DefaultLimits())
	end := sample.Plain(world.DataCentre)
	for name, p := range map[string]sample.Path{
		"no path":           {Beacon: end, Core: end},
		"slower than timed": {Least: earth.RTT(600 * time.Millisecond), Beacon: end, Core: end},
		"nothing arrives":   {Least: 1e6, Beacon: end, Core: sample.End{Access: world.DataCentre, Factor: 1, Loss: 1}},
		"no class":          {Least: 1e6, Beacon: end},
	} {
		if m, ok := s.Exchange(p, 1); ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
	for _, rounds := range []int{0, 7, 65} {
		if _, err := sample.Fixed(rounds); !errors.Is(err, sample.ErrRounds) {
			t.Errorf("%d rounds: %v", rounds, err)
		}
	}
	w := builtin(t)
	for name, err := range map[string]error{
		"no class": second(sample.NewLaw(w, 0, 32, 0)), "half lost": second(sample.NewLaw(w, world.Wired, 32, 0.5)), "loss of NaN": second(sample.NewLaw(w, world.Wired, 32, math.NaN())),
	} {
		if !errors.Is(err, sample.ErrLaw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sample.New(w, exchange.Limits{}); !errors.Is(err, exchange.ErrLimits) {
		t.Errorf("no limits: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNothingIsAllocated(t *testing.T) {
	s := sampler(t, exchange.DefaultLimits())
	law, err := sample.NewLaw(builtin(t), world.Wired, 32, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := sample.Path{Least: 10e6, Beacon: sample.Plain(world.DataCentre), Core: sample.Plain(world.Wired)}
	if n := testing.AllocsPerRun(100, func() {
		key := sample.KeyOf(1, sample.Hash("core"), sample.Hash("beacon"), 0)
		s.Exchange(p, key)
		law.Bound(p.Least, key)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Keys of neighbouring names are unrelated: the bits of a million sums do not repeat, and half of them are set.
func TestKeys(t *testing.T) {
	seen, ones := map[sample.Key]bool{}, [64]int{}
	const cores, beacons = 200, 50
	for c := range uint64(cores) {
		for b := range uint64(beacons) {
			k := sample.KeyOf(1, sample.Name(c), sample.Name(b), 0)
			if seen[k] {
				t.Fatalf("two pairs share the key %x", k)
			}
			seen[k] = true
			for bit := range ones {
				ones[bit] += int(k >> bit & 1)
			}
		}
	}
	for bit, n := range ones {
		if d := math.Abs(float64(n)/(cores*beacons) - 0.5); d > 0.025 { // five standard deviations
			t.Errorf("bit %d is set %d times of %d", bit, n, cores*beacons)
		}
	}
	if sample.KeyOf(1, 2, 3, 0) == sample.KeyOf(1, 3, 2, 0) || sample.KeyOf(1, 2, 3, 0) == sample.KeyOf(2, 2, 3, 0) || sample.KeyOf(1, 2, 3, 0) == sample.KeyOf(1, 2, 3, 1) {
		t.Error("keys of different things are equal")
	}
	if sample.Hash("a") == sample.Hash("b") || sample.Hash("") == sample.Hash("\x00") {
		t.Error("names share a hash")
	}
}
