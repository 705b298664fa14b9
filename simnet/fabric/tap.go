package fabric

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Packet is what an interceptor sees and returns. It owns Data.
type Packet struct {
	From, To netip.AddrPort // as the packet claims; To decides where it goes
	Data     []byte
	Hold     time.Duration // how long the packet rests here before it goes on; below zero counts as zero
}

// Interceptor stands at an endpoint, where its packets leave or where they come in, and decides what becomes of each. It returns
// the packets that go on from here: none drops, the same passes, two duplicate; changed Data rewrites, a changed To redirects,
// a Hold delays. What it sends anywhere but to the endpoint at which it reads arriving packets travels the path from this
// endpoint to there: an interceptor can do everything but shorten a way.
//
// An interceptor of one endpoint and direction is called for one packet at a time, by whoever sends or by the network's own
// goroutine, and must not block. For what it has to send later or unasked, it may keep the Endpoint and use SendRaw.
type Interceptor interface {
	Intercept(now time.Time, p Packet) []Packet
}

// InterceptorFunc is a function as Interceptor.
type InterceptorFunc func(now time.Time, p Packet) []Packet

// Intercept calls the function.
func (f InterceptorFunc) Intercept(now time.Time, p Packet) []Packet { return f(now, p) }

// OnPair limits an interceptor to the packets that claim to go from one address to another; others pass. An invalid address
// stands for any.
func OnPair(from, to netip.AddrPort, i Interceptor) Interceptor {
	return InterceptorFunc(func(now time.Time, p Packet) []Packet {
		if from.IsValid() && p.From != from || to.IsValid() && p.To != to {
			return []Packet{p}
		}
		return i.Intercept(now, p)
	})
}

// tap calls an interceptor for one packet at a time.
type tap struct {
	mu sync.Mutex
	i  Interceptor
}

func newTap(i Interceptor) *tap {
	if i == nil {
		return nil
	}
	return &tap{i: i}
}

func (t *tap) intercept(now time.Time, p Packet) []Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.i.Intercept(now, p)
}

// InterceptOut sets the interceptor of the packets that programs send from the endpoint; nil removes it.
func (e *Endpoint) InterceptOut(i Interceptor) { e.outward.Store(newTap(i)) }

// InterceptIn sets the interceptor of the packets that arrive at the endpoint; nil removes it.
func (e *Endpoint) InterceptIn(i Interceptor) { e.inward.Store(newTap(i)) }

// SendRaw sends a packet from the endpoint's place under whatever sender's address it claims, past the endpoint's own
// interceptor: what an attacker does who owns the place. Data is copied.
func (e *Endpoint) SendRaw(p Packet) error {
	if e.isClosed() {
		return e.opError("write", nil, net.ErrClosed)
	}
	e.net.send(e, e.net.line.Now(), p.From, p.To, p.Data, p.Hold)
	return nil
}

// sendThrough lets an interceptor decide on a packet that a program sends.
func (e *Endpoint) sendThrough(t *tap, now time.Duration, to netip.AddrPort, data []byte) {
	f := e.net
	f.count.intercepted.Add(1)
	for _, p := range t.intercept(f.line.Time(now), Packet{From: e.addr, To: to, Data: append([]byte(nil), data...)}) {
		f.send(e, now, p.From, p.To, p.Data, p.Hold)
	}
}

// intercepted lets an interceptor decide on a packet that has arrived. What stays here rests in the line for its Hold; what goes
// elsewhere starts anew from here.
func (f *Fabric) intercepted(fl flight, t *tap, now time.Duration) {
	f.count.intercepted.Add(1)
	seen := Packet{From: fl.p.from, To: fl.to.addr, Data: append([]byte(nil), fl.p.data...)}
	f.pool.Put(fl.p)
	for _, p := range t.intercept(f.line.Time(now), seen) {
		switch {
		case p.To != fl.to.addr:
			f.send(fl.to, now, p.From, p.To, p.Data, p.Hold)
		case len(p.Data)+headers(p.To) > f.cfg.MTU:
			f.count.tooBig.Add(1)
		case p.Hold > 0:
			f.enqueue(now+p.Hold, 0, flight{to: fl.to, p: f.wrap(p.From, p.Data), passed: true})
		default:
			f.deliver(fl.to, f.wrap(p.From, p.Data), now)
		}
	}
}
