package trial_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
)

func benchmarkTrial(b *testing.B, s trial.Setup) {
	tr := prepare(b, s)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		c, _ := tr.Honest(n, world.DataCentre)
		run(b, tr, c)
		n++
	}
}

func BenchmarkRun8(b *testing.B) { benchmarkTrial(b, europe(b, 1)) }

func BenchmarkRunAll(b *testing.B) {
	s := europe(b, 1)
	s.Committee = 0
	benchmarkTrial(b, s)
}
