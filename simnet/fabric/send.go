package fabric

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
)

// parcel is a packet on the way, and then in the queue of its reader.
type parcel struct {
	from netip.AddrPort // as the packet claims
	data []byte
	at   time.Duration // when it was put into the queue, on the line's clock
}

// flight is a parcel in the delay line.
type flight struct {
	to     *Endpoint
	p      *parcel
	passed bool // the receiver's interceptor has seen it
}

type pairKey struct{ from, to *Endpoint }

// pair is the state of one directed pair of endpoints.
type pair struct {
	rank uint64 // order among packets of different pairs that are due together

	mu   sync.Mutex
	lane Lane
}

// newPair makes a pair's source from the network's seed and the names.
func newPair(cfg *Config, from, to string) *pair {
	rnd := source.New(cfg.Seed, "fabric pair", from, to)
	return &pair{rank: rnd.Uint64(), lane: Lane{Rnd: rnd, Overtake: cfg.Overtake, Duplicate: cfg.Duplicate}}
}

// route finds the receiver of an address and the state of its pair with the place at which the packet starts.
func (f *Fabric) route(at *Endpoint, to netip.AddrPort) (*Endpoint, *pair) {
	f.mu.RLock()
	dst := f.byAddr[to]
	p := f.pairs[pairKey{at, dst}]
	f.mu.RUnlock()
	if dst == nil || p != nil {
		return dst, p
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p = f.pairs[pairKey{at, dst}]; p == nil {
		p = newPair(&f.cfg, at.name, dst.name)
		if f.byAddr[at.addr] == at && f.byAddr[to] == dst { // else one of them closed meanwhile: remember nothing of it
			f.pairs[pairKey{at, dst}] = p
		}
	}
	return dst, p
}

// send starts a packet at the place of an endpoint. The time now was read after the packet was handed in, so that every delay
// counted from it ends no earlier than the same delay counted by the sender.
func (f *Fabric) send(at *Endpoint, now time.Duration, from, to netip.AddrPort, data []byte, hold time.Duration) {
	f.count.sent.Add(1)
	if len(data)+headers(to) > f.cfg.MTU {
		f.count.tooBig.Add(1)
		return
	}
	dst, pair := f.route(at, to)
	if dst == nil {
		f.count.unroutable.Add(1)
		return
	}
	pair.mu.Lock()
	defer pair.mu.Unlock()
	fate := pair.lane.Send(now, f.cfg.Path, at.addr, dst.addr, len(data))
	f.count.lost.Add(uint64(fate.Lost))
	if fate.Duplicated {
		f.count.duplicated.Add(1)
	}
	for _, due := range fate.Due() {
		f.enqueue(due+max(0, hold), pair.rank, flight{to: dst, p: f.wrap(from, data)})
	}
}

func (f *Fabric) enqueue(due time.Duration, rank uint64, fl flight) {
	if !f.line.Push(due, rank, fl) {
		f.count.crowded.Add(1)
		f.pool.Put(fl.p)
	}
}

// wrap copies a packet.
func (f *Fabric) wrap(from netip.AddrPort, data []byte) *parcel {
	p := f.pool.Get().(*parcel)
	p.from, p.data = from, append(p.data[:0], data...)
	return p
}

// arrive is called by the line when a packet is due.
func (f *Fabric) arrive(fl flight, _, now time.Duration) {
	if tap := fl.to.inward.Load(); tap != nil && !fl.passed {
		f.intercepted(fl, tap, now)
		return
	}
	f.deliver(fl.to, fl.p, now)
}

// deliver puts a packet into the queue of its reader.
func (f *Fabric) deliver(to *Endpoint, p *parcel, now time.Duration) {
	p.at = now
	switch to.put(p) {
	case taken:
		f.count.delivered.Add(1)
		return
	case full:
		f.count.queueFull.Add(1)
	case gone:
		f.count.unroutable.Add(1)
	}
	f.pool.Put(p)
}

func headers(to netip.AddrPort) int {
	if to.Addr().Is4() {
		return headers4
	}
	return headers6
}
