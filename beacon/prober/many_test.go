package prober_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// rounds is how many rounds TestNoBoundBelowTheDelay runs on each path: few in every run, 100,000 with URSA_ROUNDS=100000.
func rounds(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("URSA_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 600
}

// TestNoBoundBelowTheDelay: over paths with jitter, loss, reordering and duplication, with QUIC's acknowledgements delayed as
// they are, no statement ever has a round trip below twice the one-way delay, in either direction.
func TestNoBoundBelowTheDelay(t *testing.T) {
	for _, path := range []exchange.PathKind{exchange.PathWrapped, exchange.PathTransport, exchange.PathDatagram} {
		t.Run(path.String(), func(t *testing.T) {
			done, failed := 0, 0
			for seed := uint64(1); done < rounds(t); seed++ {
				n, f := manyRounds(t, path, seed)
				done, failed = done+n, failed+f
				if seed > 20 && done == 0 {
					t.Fatal("nobody answers")
				}
			}
			t.Logf("%d rounds verified, %d exchanges had too few", done, failed)
		})
	}
}

// manyRounds lets one core ask twenty beacons at different distances and returns how many rounds were verified and how many
// exchanges failed.
func manyRounds(t *testing.T, path exchange.PathKind, seed uint64) (verified, failed int) {
	synctest.Test(t, func(t *testing.T) {
		links := map[string]fabric.Link{}
		for i := range 20 {
			links[fmt.Sprintf("beacon-%d", i)] = fabric.Link{
				OneWay: time.Duration(1+i*i) * 137 * time.Microsecond,
				Jitter: []fabric.Law{nil, fabric.Exponential{Mean: time.Millisecond}, fabric.Uniform{Max: 2 * time.Millisecond},
					fabric.Mixture{Clean: 0.5, Else: fabric.Exponential{Mean: 2 * time.Millisecond}}}[i%4],
				Loss: []float64{0, 0.02, 0.05}[i%3],
			}
		}
		c, stop := buildOn(t, fabric.Config{Seed: seed, Overtake: true, Duplicate: 0.05}, links, func(_ string, s *server.Config) {
			s.Path = path
			s.Limits = exchange.DefaultLimits()
			s.Limits.Agree, s.Limits.Budget = 0, 5*time.Second
		})
		defer stop()
		out := c.probe(t, func(p *prober.Config) { p.Path = path })
		failed = len(out.Failures)
		for _, a := range out.Answers {
			truth := 2 * int64(links[a.Beacon.Place].OneWay)
			if a.Statement.RTTBeaconMinNS < truth || int64(a.RTTCore) < truth || a.Statement.RTTCoreMinNS < truth {
				t.Errorf("seed %d, %s: beacon %d, core %d ns over a path of %d", seed, a.Beacon.Place, a.Statement.RTTBeaconMinNS, a.RTTCore, truth)
			}
			verified += int(a.Statement.RoundsOK)
		}
	})
	return verified, failed
}
