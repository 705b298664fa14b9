package timing_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// TestHostClockAgreesWithItself measures empty intervals: the clock rule must accept nearly all, and the slew margin must stay
// small beside a round trip.
func TestHostClockAgreesWithItself(t *testing.T) {
	clock, err := timing.HostClock()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("granularity %d ns", clock.Quality().GranularityNS)
	refused, sum, least := 0, int64(0), int64(1<<62)
	const n = 2000
	for range n {
		d, err := stamp.Send(clock, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		look, err := stamp.Receive(clock, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		at, err := look.Arrival()
		if err != nil {
			t.Fatal(err)
		}
		i, err := stamp.Between(d, at, clock.Quality().GranularityNS)
		if err != nil {
			refused++
			continue
		}
		sum += i.SlewNS()
		least = min(least, i.NS())
	}
	t.Logf("%d of %d refused, mean margin %d ns, smallest interval %d ns", refused, n, sum/n, least)
	if refused > n/10 {
		t.Errorf("%d of %d empty intervals refused", refused, n)
	}
}
