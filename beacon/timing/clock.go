package timing

import (
	"time"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// started anchors the monotonic readings of this process.
var started = time.Now()

// Now returns the process's monotonic clock, for time-outs. Under testing/synctest it is virtual.
func Now() stamp.Instant { return stamp.Instant(time.Since(started)) }

// GoClock is a stamp.Clock over the time package: its raw clock is Go's monotonic clock, which NTP may slew, so a host that has
// a raw clock should use HostClock. It is what tests under testing/synctest use, where time is virtual.
type GoClock struct{ Q stamp.Quality }

// RealNS implements stamp.Clock.
func (GoClock) RealNS() int64 { return time.Now().UnixNano() }

// RawNS implements stamp.Clock.
func (GoClock) RawNS() int64 { return int64(time.Since(started)) }

// Quality implements stamp.Clock.
func (c GoClock) Quality() stamp.Quality { return c.Q }

// measureGranularity returns the smallest step seen between neighbouring different readings of a running clock, in nanoseconds.
// No clock steps by less than its granularity, so this is an upper limit of it: what the clock does, not what it claims. It
// looks until it has seen enough steps, at most limit readings; a clock that stands still gets the worst granularity there is.
func measureGranularity(read func() int64, steps, limit int) uint64 {
	smallest := int64(0)
	last := read()
	for seen := 0; seen < steps && limit > 0; limit-- {
		now := read()
		if step := now - last; step > 0 {
			seen++
			if smallest == 0 || step < smallest {
				smallest = step
			}
		}
		last = now
	}
	if smallest == 0 {
		return stamp.MaxGranularityNS
	}
	return uint64(smallest)
}
