package sample

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// ErrRounds reports a number of rounds that no exchange has.
var ErrRounds = errors.New("impossible number of rounds")

// Clock is the stopwatch of one host. Its zero value is a true clock that counts nanoseconds.
type Clock struct {
	Tick    earth.RTT // what it counts in; 0 and 1 are nanoseconds
	RatePPB int64     // how much faster than truth it runs, in parts per 10⁹; a clock that runs slow measures short
}

// reads returns what the clock makes of an interval that begins at the given phase of a tick, 0 ≤ phase < 1.
func (c Clock) reads(ns, phase float64) float64 {
	ns *= 1 + float64(c.RatePPB)*1e-9
	if c.Tick > 1 {
		tick := float64(c.Tick)
		return math.Floor(phase+ns/tick) * tick
	}
	return ns
}

// End is one host of an exchange: what its packets meet where they leave it, and its stopwatch.
type End struct {
	Access world.Access
	Factor float64 // on the waits of its class; positive, 1 for the class's own
	Loss   float64 // share of its packets that are lost, 0 to 1
	Clock  Clock
}

// Path is what an exchange runs over.
type Path struct {
	Least  earth.RTT // there and back without waiting; 0 and below: there is no way, and no exchange
	Beacon End       // where challenges and closes wait
	Core   End       // where answers wait
}

// Plain returns an end of a class whose packets wait by their class's law alone and are never lost.
func Plain(a world.Access) End { return End{Access: a, Factor: 1} }

// Between returns the path between a beacon and a core of a world at a moment counted from its start; false when there is none. What
// changes within an exchange, which lasts a second, does not count.
func Between(w *world.World, beacon, core world.Place, at time.Duration) (Path, bool) {
	least, ok := leastAt(w, beacon, core, at)
	if !ok || least <= 0 {
		return Path{}, false
	}
	p := Path{Least: least, Beacon: EndOf(w, beacon, at), Core: EndOf(w, core, at)}
	queue := w.QueueFactor(beacon, core)
	p.Beacon.Factor *= queue
	p.Core.Factor *= queue
	return p, true
}

// leastAt is MinRTTAt, by the shorter way where routes do not change.
func leastAt(w *world.World, a, b world.Place, at time.Duration) (earth.RTT, bool) {
	if w.IsSteady() {
		return w.MinRTT(a, b)
	}
	return w.MinRTTAt(a, b, at)
}

// EndOf returns a host of a world at a moment.
func EndOf(w *world.World, host world.Place, at time.Duration) End {
	wait := w.WaitAt(host, at)
	return End{Access: host.Access, Factor: wait.Factor, Loss: wait.Loss, Clock: Clock{RatePPB: int64(w.Clock(host.ID).DriftPPM * 1e3)}}
}

// Measurement is what the two sides of one exchange found.
type Measurement struct {
	Beacon, Core earth.RTT // least round trip by each side's clock
	Sent, Valid  int       // rounds begun, and rounds that the beacon verified
	LastedNS     int64     // from the first challenge to the end of the timed phase
}

// Bound returns the larger of the two sides' minima: what a gate bounds the distance with unless its policy says otherwise.
func (m Measurement) Bound() earth.RTT { return max(m.Beacon, m.Core) }

// Sampler draws exchanges under the limits of the protocol. It does not change; its methods may be called from many goroutines.
type Sampler struct {
	limits exchange.Limits
	rule   rule
	excess [world.Satellite + 1]*quantile
}

// New returns a sampler of exchanges in a world under the given limits, usually exchange.DefaultLimits or Fixed.
func New(w *world.World, limits exchange.Limits) (*Sampler, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	s := &Sampler{limits: limits, rule: newRule(limits)}
	for a := world.DataCentre; a <= world.Satellite; a++ {
		s.excess[a] = lawOf(w, a)
	}
	return s, nil
}

// lawOf tabulates what packets of a class wait in a world, before the factors of host and hour.
func lawOf(w *world.World, a world.Access) *quantile {
	wait := w.WaitAt(world.Place{Access: a}, 0)
	wait.Factor = 1
	return newQuantile(func(p float64) float64 { return float64(wait.Quantile(p)) })
}

// Fixed returns limits under which an exchange always has the given number of rounds, 8 to exchange.MaxRoundsEver.
func Fixed(rounds int) (exchange.Limits, error) {
	l := exchange.DefaultLimits()
	if rounds < int(l.MinRounds) || rounds > exchange.MaxRoundsEver {
		return l, fmt.Errorf("%w: %d is not within %d..%d", ErrRounds, rounds, l.MinRounds, exchange.MaxRoundsEver)
	}
	l.MaxRounds, l.Agree, l.Deadline = uint16(rounds), 0, longest
	l.Budget = l.Deadline
	return l, nil
}

// longest lets the largest number of rounds over the slowest path end.
const longest = 60e9

// Limits returns what the sampler was made with.
func (s *Sampler) Limits() exchange.Limits { return s.limits }

// Exchange draws one exchange. It is false when there is no path, or when too few rounds are verified for a statement.
func (s *Sampler) Exchange(p Path, key Key) (Measurement, bool) {
	if p.Least <= 0 || !p.Beacon.Access.Valid() || !p.Core.Access.Valid() {
		return Measurement{}, false
	}
	w := walk{rule: &s.rule, draws: key.Draws(), oneWay: float64(p.Least) / 2, beacon: s.side(p.Beacon), core: s.side(p.Core)}
	return w.run()
}

// side joins an end with the law of its class.
func (s *Sampler) side(e End) side { return side{s.excess[e.Access], e.Clock == (Clock{}), e} }
