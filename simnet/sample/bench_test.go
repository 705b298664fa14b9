package sample_test

import (
	"fmt"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// Exchanges by the protocol's own limits and of fixed numbers of rounds, over paths known beforehand.
func BenchmarkExchange(b *testing.B) {
	w := builtin(b)
	fixed := func(n int) exchange.Limits {
		l, err := sample.Fixed(n)
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	for name, limits := range map[string]exchange.Limits{"protocol": exchange.DefaultLimits(), "8": fixed(8), "32": fixed(32)} {
		for _, access := range []world.Access{world.DataCentre, world.Wired} {
			b.Run(fmt.Sprintf("%s/%s", name, access), func(b *testing.B) {
				s, err := sample.New(w, limits)
				if err != nil {
					b.Fatal(err)
				}
				p := sample.Path{Least: 10e6, Beacon: sample.Plain(world.DataCentre), Core: sample.Plain(access)}
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := uint64(0); pb.Next(); i++ {
						s.Exchange(p, sample.KeyOf(1, 2, 3, i))
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
			})
		}
	}
}

// Bounds of 32 rounds by the closed law.
func BenchmarkBound(b *testing.B) {
	law, err := sample.NewLaw(builtin(b), world.Wired, 32, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := uint64(0); pb.Next(); i++ {
			law.Bound(10e6, sample.KeyOf(1, 2, 3, i))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
}

func BenchmarkNewLaw(b *testing.B) {
	for b.Loop() {
		if _, err := sample.NewLaw(builtin(b), world.Wired, 32, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// Paths drawn anew for each exchange.
func BenchmarkBetween(b *testing.B) {
	w := builtin(b)
	places := w.Places()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			sample.Between(w, places[i%len(places)], places[i/7%len(places)], 0)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
}

func builtin(t testing.TB) *world.World {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
