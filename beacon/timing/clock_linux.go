package timing

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// hostClock reads CLOCK_REALTIME through the vDSO and CLOCK_MONOTONIC_RAW by a system call (Go has no other way to it).
type hostClock struct{ q stamp.Quality }

// HostClock returns this host's clocks with their granularity and the rate error of a free-running quartz. Both clocks come
// from one clock source, so the granularity measured on real time (whose reading is quick) is also that of the raw clock,
// unless that claims to be coarser: a system call in a loop would only measure the system call.
func HostClock() (stamp.Clock, error) {
	if _, err := rawNS(); err != nil {
		return nil, fmt.Errorf("reading CLOCK_MONOTONIC_RAW: %w", err)
	}
	var claimed unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_RAW, &claimed); err != nil {
		return nil, fmt.Errorf("asking for the resolution of CLOCK_MONOTONIC_RAW: %w", err)
	}
	c := &hostClock{}
	measured := measureGranularity(c.RealNS, 64, 1<<20)
	c.q = stamp.Quality{GranularityNS: max(measured, uint64(max(1, claimed.Nano()))), ErrPPB: stamp.QuartzPPB}
	return c, c.q.Validate()
}

// RealNS implements stamp.Clock.
func (*hostClock) RealNS() int64 { return time.Now().UnixNano() }

// RawNS implements stamp.Clock. HostClock has seen the call succeed; a kernel that refuses it later yields 0, and the clock
// rule refuses the round.
func (*hostClock) RawNS() int64 {
	ns, err := rawNS()
	if err != nil {
		return 0
	}
	return ns
}

func rawNS() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts); err != nil {
		return 0, err
	}
	return ts.Nano(), nil
}

// Quality implements stamp.Clock.
func (c *hostClock) Quality() stamp.Quality { return c.q }
