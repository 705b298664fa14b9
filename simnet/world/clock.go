package world

import (
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
)

// Clock is how a host's clock goes wrong. The zero Clock is right.
type Clock struct {
	Offset   time.Duration // at the world's start, ahead of true time
	DriftPPM float64       // how much too fast it runs, in millionths
	Steps    []Step        // in order of time
}

// Step sets a clock forward, or back when By is negative.
type Step struct {
	At, By time.Duration
}

// Reading returns what the clock shows at a moment counted from the world's start, on the same count.
func (c Clock) Reading(at time.Duration) time.Duration { return at + c.Error(at) }

// Error returns how far ahead of true time the clock is at a moment.
func (c Clock) Error(at time.Duration) time.Duration {
	wrong := c.Offset + time.Duration(float64(at)*c.DriftPPM/1e6)
	for _, s := range c.Steps {
		if at >= s.At {
			wrong += s.By
		}
	}
	return wrong
}

// clocks is how the clocks of a world are drawn, and those that are not drawn.
type clocks struct {
	offsetMS float64 // standard deviation
	driftPPM float64
	hosts    map[string]Clock
}

// Clock returns the clock of a host by its name: the one that the world's file gives it, or one drawn from the seed and the name.
// In a world without clocks every clock is right.
func (w *World) Clock(host string) Clock {
	if c, ok := w.rules.clocks.hosts[host]; ok {
		return c
	}
	law := w.rules.clocks
	if law.offsetMS == 0 && law.driftPPM == 0 {
		return Clock{}
	}
	rnd := source.New(w.seed, "clock", host)
	return Clock{Offset: time.Duration(law.offsetMS * 1e6 * deviate(rnd)), DriftPPM: law.driftPPM * deviate(rnd)}
}
