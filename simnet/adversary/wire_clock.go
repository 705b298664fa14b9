package adversary

import (
	"math/big"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// Lever is a host's clock with somebody's hand on it: right until it is slowed or loses time. Both of the host's clocks are moved
// alike, so that comparing them shows nothing, and it goes on claiming the accuracy of the honest clock. It may be used and moved
// from many goroutines.
type Lever struct {
	of stamp.Clock

	mu          sync.Mutex
	real, raw   hand
	part, truth int64
}

// hand is where one of the two clocks was moved last: what it should have shown then and what it showed.
type hand struct{ in, out int64 }

// NewLever returns a lever on a clock, not yet moved.
func NewLever(of stamp.Clock) *Lever {
	real, raw := of.RealNS(), of.RawNS()
	return &Lever{of: of, real: hand{real, real}, raw: hand{raw, raw}, part: 1, truth: 1}
}

// Slow makes an interval of truth nanoseconds read as part nanoseconds from now on; both must be positive.
func (l *Lever) Slow(part, truth int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	l.part, l.truth = part, truth
}

// Lose takes time away at once: what a virtual machine does not see while it is paused.
func (l *Lever) Lose(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	l.real.out -= int64(d)
	l.raw.out -= int64(d)
}

// settle moves both origins to now. The caller holds mu.
func (l *Lever) settle() {
	real, raw := l.of.RealNS(), l.of.RawNS()
	l.real = hand{real, l.shows(l.real, real)}
	l.raw = hand{raw, l.shows(l.raw, raw)}
}

// shows scales in big integers: nanoseconds times nanoseconds overflow after three seconds. The caller holds mu.
func (l *Lever) shows(h hand, in int64) int64 {
	if l.part == l.truth {
		return h.out + in - h.in
	}
	p := new(big.Int).Mul(big.NewInt(in-h.in), big.NewInt(l.part))
	return h.out + p.Quo(p, big.NewInt(l.truth)).Int64()
}

// RealNS implements stamp.Clock.
func (l *Lever) RealNS() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shows(l.real, l.of.RealNS())
}

// RawNS implements stamp.Clock.
func (l *Lever) RawNS() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shows(l.raw, l.of.RawNS())
}

// Quality implements stamp.Clock.
func (l *Lever) Quality() stamp.Quality { return l.of.Quality() }
