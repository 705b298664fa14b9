//go:build !linux

package core

import "time"

// HostClock is the monotonic clock of the process, where there is no better one.
func HostClock() func() time.Duration { return goClock() }
