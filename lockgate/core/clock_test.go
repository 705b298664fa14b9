package core_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload/workloadtest"
)

// brokenClock goes right until somebody lays hands on it.
type brokenClock struct {
	mu     sync.Mutex
	begun  time.Time
	offset time.Duration // added to the readings
	stands bool
	at     time.Duration // where it stands
}

func (c *brokenClock) read() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stands {
		c.at = time.Since(c.begun) + c.offset
	}
	return c.at
}

func (c *brokenClock) spoil(f func()) { c.mu.Lock(); f(); c.mu.Unlock() }

// TestClocksProlongNothing: while the gate is gone, the host's clock is set back,
// or stopped. The workload stands within T_off by the true clock; with a stopped
// one as soon as so much work was done that T_off must have passed.
func TestClocksProlongNothing(t *testing.T) {
	const tOff = 20 * time.Second
	cores := time.Duration(runtime.NumCPU())
	for name, tt := range map[string]struct {
		hands func(*brokenClock)
		most  time.Duration
	}{
		"left alone": {func(*brokenClock) {}, tOff},
		"set back":   {func(c *brokenClock) { c.offset -= time.Hour }, tOff + time.Second},
		"set ahead":  {func(c *brokenClock) { c.offset += time.Hour }, 11 * time.Second},
		"stopped":    {func(c *brokenClock) { c.stands = true }, 10*time.Second + 10*time.Second*cores},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &brokenClock{}
			scene(t, func(c *core.Config) {
				clock.begun = time.Now()
				c.Clock, c.Want, c.Cap = clock.read, 10_000_000, 20_000_000 // more than can be used up
			}, func(t *testing.T, g *gate, w *workloadtest.Fake, _ *story) {
				g.set(func() { g.tOff = tOff })
				time.Sleep(time.Second)
				g.set(func() { g.down = true })
				if !running(w) {
					t.Fatal("it does not run at all")
				}
				time.Sleep(9 * time.Second)
				clock.spoil(func() { tt.hands(clock) })
				begun, _ := w.Used()
				time.Sleep(tt.most + time.Minute)
				if running(w) {
					t.Fatal("it runs on")
				}
				if used, _ := w.Used(); used > tt.most+time.Second || begun > 11*time.Second {
					t.Errorf("it ran for %v, at most %v were its due", used, tt.most)
				}
			})
		})
	}
}

// TestHostClockGoesOn: the real one never goes back.
func TestHostClockGoesOn(t *testing.T) {
	read := core.HostClock()
	last := read()
	for range 1000 {
		now := read()
		if now < last {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
	time.Sleep(5 * time.Millisecond)
	if read()-last < 5*time.Millisecond {
		t.Error("it stands")
	}
}
