//go:build unix

package sample_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// measure runs on all processors and reports the rate by the clock, and the rate that two processors would reach if nobody else used
// them, which is what a shared machine can tell.
func measure(b *testing.B, one func(i uint64)) {
	b.ReportAllocs()
	before := processor(b)
	b.RunParallel(func(pb *testing.PB) {
		for i := uint64(0); pb.Next(); i++ {
			one(i)
		}
	})
	busy := processor(b) - before
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
	b.ReportMetric(2e3*float64(b.N)/float64(max(1, busy)), "M/s-two-cores")
}

// processor returns the nanoseconds that processors spent on this process.
func processor(b *testing.B) int64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return use.Utime.Nano() + use.Stime.Nano()
}

// Exchanges by the protocol's own rule and of fixed numbers of rounds, both sides timed, over paths known beforehand.
func BenchmarkExchange(b *testing.B) {
	fixed := func(n int) exchange.Limits {
		l, err := sample.Fixed(n)
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	for _, c := range []struct {
		name   string
		limits exchange.Limits
	}{{"protocol", exchange.DefaultLimits()}, {"8", fixed(8)}, {"32", fixed(32)}} {
		for _, access := range []world.Access{world.DataCentre, world.Wired} {
			b.Run(fmt.Sprintf("%s/%s", c.name, access), func(b *testing.B) {
				s := sampler(b, c.limits)
				p := sample.Path{Least: 10e6, Beacon: sample.Plain(world.DataCentre), Core: sample.Plain(access)}
				measure(b, func(i uint64) { s.Exchange(p, sample.KeyOf(1, 2, 3, i)) })
			})
		}
	}
}

// Bounds of 32 rounds by the closed law, over paths known beforehand.
func BenchmarkBound(b *testing.B) {
	law, err := sample.NewLaw(builtin(b), world.Wired, 32, 0)
	if err != nil {
		b.Fatal(err)
	}
	measure(b, func(i uint64) { law.Bound(10e6, sample.KeyOf(1, 2, 3, i)) })
}

// Bounds of 32 rounds by the closed law, each over a path of its own that is drawn first.
func BenchmarkBoundOfAnyPair(b *testing.B) {
	w := builtin(b)
	law, err := sample.NewLaw(w, world.Wired, 32, 0)
	if err != nil {
		b.Fatal(err)
	}
	places := w.Places()
	names := make([]sample.Name, len(places))
	for i, p := range places {
		names[i] = sample.Hash(p.ID)
	}
	measure(b, func(i uint64) {
		from, to := i%uint64(len(places)), i/7%uint64(len(places))
		if least, ok := w.MinRTT(places[from], places[to]); ok {
			law.Bound(least, sample.KeyOf(1, names[from], names[to], 0))
		}
	})
}

func BenchmarkNewLaw(b *testing.B) {
	w := builtin(b)
	for b.Loop() {
		if _, err := sample.NewLaw(w, world.Wired, 32, 0); err != nil {
			b.Fatal(err)
		}
	}
}
