package core

import (
	"time"

	"golang.org/x/sys/unix"
)

// HostClock reads the clocks that nobody but the kernel's or the machine's master
// can set: the raw oscillator, which no daemon slews, and the one that goes on
// while the machine is suspended. Of two readings it counts the longer step.
func HostClock() func() time.Duration {
	clocks := [...]int32{unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_BOOTTIME}
	var last [len(clocks)]time.Duration
	var at time.Duration
	read := func() {
		step := time.Duration(0)
		for i, c := range clocks {
			var ts unix.Timespec
			if unix.ClockGettime(c, &ts) != nil {
				continue // a kernel without this clock; the other one counts
			}
			now := time.Duration(ts.Nano())
			step = max(step, now-last[i])
			last[i] = now
		}
		at += step
	}
	read()
	return func() time.Duration { read(); return at }
}
