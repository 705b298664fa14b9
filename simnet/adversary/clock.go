package adversary

import (
	"math/big"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// SlowClock is a host's clock that runs at a fraction of the truth from the moment it was made: an interval that it measures is
// too short by the same fraction. Both of the host's clocks are slowed alike, so that comparing them shows nothing.
type SlowClock struct {
	of              stamp.Clock
	real0, raw0     int64
	part, truth     int64
	claimedAccuracy stamp.Quality
}

// NewSlowClock slows a clock so that an interval of truth nanoseconds reads as part nanoseconds. It goes on claiming the accuracy
// of the honest clock.
func NewSlowClock(of stamp.Clock, part, truth int64) *SlowClock {
	return &SlowClock{of: of, real0: of.RealNS(), raw0: of.RawNS(), part: part, truth: truth, claimedAccuracy: of.Quality()}
}

// RealNS implements stamp.Clock.
func (c *SlowClock) RealNS() int64 { return c.real0 + c.slow(c.of.RealNS()-c.real0) }

// RawNS implements stamp.Clock.
func (c *SlowClock) RawNS() int64 { return c.raw0 + c.slow(c.of.RawNS()-c.raw0) }

// Quality implements stamp.Clock.
func (c *SlowClock) Quality() stamp.Quality { return c.claimedAccuracy }

// slow scales in big integers: nanoseconds times nanoseconds overflow after three seconds.
func (c *SlowClock) slow(ns int64) int64 {
	p := new(big.Int).Mul(big.NewInt(ns), big.NewInt(c.part))
	return p.Quo(p, big.NewInt(c.truth)).Int64()
}
