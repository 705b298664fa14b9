//go:build !linux

package timing

import "github.com/ursa-virtual/ursa/beacon/timing/stamp"

// HostClock returns Go's clocks: this platform's raw clock is not reachable. Its monotonic clock may be slewed by NTP, by at
// most 500 ppm, which is added to the rate error.
func HostClock() (stamp.Clock, error) {
	c := GoClock{Q: stamp.Quality{GranularityNS: 1, ErrPPB: stamp.QuartzPPB + 500_000}}
	c.Q.GranularityNS = measureGranularity(c.RealNS, 64, 1<<20)
	return c, c.Q.Validate()
}
