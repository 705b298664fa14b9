package bench

import (
	"net"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// pause is given to the other end before each round, in echoes and exchanges alike: on one processor it must have ended the last round before
// the next begins, or it would be measured twice.
const pause = 60 * time.Microsecond

// sink collects round trips of one block.
type sink struct {
	mu      sync.Mutex
	ns      []int64
	refused int // by the clock rule
	kernel  int
}

func (s *sink) add(i stamp.Interval, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.refused++
	case i.Source() == stamp.Kernel:
		s.kernel++
		fallthrough
	default:
		s.ns = append(s.ns, i.NS())
	}
}

// take empties the sink.
func (s *sink) take() (ns []int64, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns, refused = s.ns, s.refused
	s.ns, s.refused = nil, 0
	return ns, refused
}

// meter is a beacon's port that files every round trip: the departure of a challenge, and the first arrival of the answer to it. It looks
// only at stamps that the port has made, and after the machine has answered.
type meter struct {
	timing.Port
	clock stamp.Clock
	sink  *sink
}

// Open implements timing.Port.
func (m meter) Open(s exchange.Session, peer net.Addr, h timing.Handler) (timing.Path, error) {
	p := &metered{clock: m.clock}
	path, err := m.Port.Open(s, peer, func(packet *exchange.Packet, r stamp.Receipt) {
		kind, index := packet.Kind(), packet.Index()
		h(packet, r)
		if kind == exchange.RS {
			p.answered(index, r, m.sink)
		}
	})
	p.Path = path
	return p, err
}

// metered is a session's path under a meter.
type metered struct {
	timing.Path
	clock stamp.Clock

	mu        sync.Mutex
	index     uint16
	waiting   bool
	departure stamp.Departure
}

// Send implements timing.Path.
func (p *metered) Send(packet *exchange.Packet) (stamp.Departure, error) {
	if packet.Kind() != exchange.CH {
		return p.Path.Send(packet)
	}
	rest(pause)
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.Path.Send(packet)
	p.index, p.departure, p.waiting = packet.Index(), d, err == nil
	return d, err
}

func (p *metered) answered(index uint16, r stamp.Receipt, to *sink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || index != p.index {
		return
	}
	p.waiting = false
	arrival, err := r.Arrival()
	if err != nil {
		to.add(stamp.Interval{}, err)
		return
	}
	to.add(stamp.Between(p.departure, arrival, p.clock.Quality().GranularityNS))
}
