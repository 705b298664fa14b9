//go:build unix

package trial_test

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// fleet is a constellation of n beacons in the towns of the built-in world, further ones in the same towns again.
func fleet(b *testing.B, n int) trial.Setup {
	b.Helper()
	s := europe(b, 1)
	towns := s.World.Places()
	s.Beacons = nil
	for i := range n {
		s.Beacons = append(s.Beacons, trial.Survey(s.World.Host(towns[i%len(towns)], "beacon "+string(rune('a'+i/len(towns))))))
	}
	return s
}

// study tries many cores and reports cores a second by the clock and by the processors' time, and the largest memory of the process.
func study(b *testing.B, s trial.Setup, cores uint64) {
	if os.Getenv("URSA_LONG") == "" {
		b.Skip("takes minutes: set URSA_LONG=1")
	}
	tr := prepare(b, s)
	var sum trial.Tally
	for b.Loop() {
		before := processor(b)
		begin := time.Now()
		tally, err := tr.Count(b.Context(), cores/2, world.DataCentre)
		if err != nil {
			b.Fatal(err)
		}
		sum.Merge(tally)
		busy := processor(b) - before
		b.ReportMetric(float64(cores)/time.Since(begin).Seconds(), "cores/s")
		b.ReportMetric(busy.Seconds(), "cpu-s")
		b.ReportMetric(busy.Seconds()/float64(runtime.GOMAXPROCS(0)), "s-if-alone")
	}
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(use.Maxrss)/1024, "MB-peak")
	b.Logf("%s", line(sum))
	if sum.FalseAccepts > 0 || sum.Lost > 0 {
		b.Error("a verdict is wrong")
	}
}

// processor returns the processor time of the process.
func processor(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// All of 250 beacons are asked by each of 10,000 cores.
func BenchmarkTenThousandCores(b *testing.B) {
	s := fleet(b, 250)
	s.Committee = 0
	study(b, s, 10_000)
}

// Eight of 1,000 beacons are asked by each of a million cores, or of as many as URSA_CORES says.
func BenchmarkMillionCores(b *testing.B) {
	cores := uint64(1_000_000)
	if text := os.Getenv("URSA_CORES"); text != "" {
		var err error
		if cores, err = strconv.ParseUint(text, 10, 32); err != nil || cores < 2 {
			b.Fatalf("URSA_CORES=%s is no number of cores", text)
		}
	}
	study(b, fleet(b, 1000), cores)
}
