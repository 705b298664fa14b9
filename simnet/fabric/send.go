package fabric

import (
	"math/rand/v2"
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
	rnd  *rand.Rand
	last time.Duration // the latest due time so far
}

// newPair makes a pair's source from the network's seed and the names.
func newPair(seed uint64, from, to string) *pair {
	rnd := source.New(seed, "fabric pair", from, to)
	return &pair{rank: rnd.Uint64(), rnd: rnd}
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
		p = newPair(f.cfg.Seed, at.name, dst.name)
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
	f.launch(at, dst, pair, now, from, data, hold)
	if f.cfg.Duplicate > 0 && pair.rnd.Float64() < f.cfg.Duplicate {
		f.count.duplicated.Add(1)
		f.launch(at, dst, pair, now, from, data, hold)
	}
}

// launch draws the fate of one copy and puts it into the line. The caller holds the pair.
func (f *Fabric) launch(at, dst *Endpoint, pair *pair, now time.Duration, from netip.AddrPort, data []byte, hold time.Duration) {
	delay, lost := f.cfg.Path.Delay(at.addr, dst.addr, len(data), pair.rnd)
	if lost {
		f.count.lost.Add(1)
		return
	}
	due := now + max(0, delay)
	if !f.cfg.Overtake {
		due = max(due, pair.last)
		pair.last = due
	}
	f.enqueue(due+max(0, hold), pair.rank, flight{to: dst, p: f.wrap(from, data)})
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
