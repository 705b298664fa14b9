package sample

import (
	"errors"
	"fmt"
	"math"

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

// Path is what an exchange runs over.
type Path struct {
	Least  earth.RTT    // there and back without waiting; 0 and below: there is no way, and no exchange
	Beacon world.Access // where challenges and closes wait, and are lost
	Core   world.Access // where answers wait, and are lost
	Loss   float64      // share of packets lost besides, in each direction, 0 to 1
	Clocks [2]Clock     // of the beacon and of the core
}

// Between returns the path between a beacon and a core of a world; false when the world has none.
func Between(w *world.World, beacon, core world.Place) (Path, bool) {
	least, ok := w.MinRTT(beacon, core)
	return Path{Least: least, Beacon: beacon.Access, Core: core.Access}, ok && least > 0
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
	excess [world.Satellite + 1]*quantile
}

// New returns a sampler of exchanges under the given limits, usually exchange.DefaultLimits or Fixed.
func New(limits exchange.Limits) (*Sampler, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	s := &Sampler{limits: limits}
	for a := world.DataCentre; a <= world.Satellite; a++ {
		s.excess[a] = newQuantile(func(p float64) float64 { return float64(a.ExcessQuantile(p)) })
	}
	return s, nil
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
	if p.Least <= 0 || !p.Beacon.Valid() || !p.Core.Valid() {
		return Measurement{}, false
	}
	w := walk{limits: &s.limits, draws: key.Draws(), beacon: s.excess[p.Beacon], core: s.excess[p.Core], clocks: p.Clocks, oneWay: float64(p.Least) / 2}
	w.keepBeacon = (1 - p.Beacon.Loss()) * (1 - p.Loss)
	w.keepCore = (1 - p.Core.Loss()) * (1 - p.Loss)
	return w.run()
}
