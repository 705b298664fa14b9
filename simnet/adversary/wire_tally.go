package adversary

import (
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// Tally counts what adversaries did, by name, so that a test can ask whether the hard case happened at all. The zero Tally is ready.
type Tally struct {
	mu     sync.Mutex
	counts map[string]int64
}

// Add counts n more.
func (t *Tally) Add(name string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	t.counts[name] += n
}

// Count returns how often something happened.
func (t *Tally) Count(name string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[name]
}

// Chain lets every packet that comes out of one interceptor go into the next. What an earlier one held rests for the sum of all.
func Chain(all ...fabric.Interceptor) fabric.Interceptor {
	return fabric.InterceptorFunc(func(now time.Time, p fabric.Packet) []fabric.Packet {
		packets := []fabric.Packet{p}
		for _, i := range all {
			var out []fabric.Packet
			for _, p := range packets {
				hold := p.Hold
				p.Hold = 0
				for _, q := range i.Intercept(now, p) {
					q.Hold += hold
					out = append(out, q)
				}
			}
			packets = out
		}
		return packets
	})
}

// roundPacket parses a packet of the timed phase; false for all others.
func roundPacket(p fabric.Packet) (round exchange.Packet, ok bool) {
	if len(p.Data) == 0 || !exchange.IsRoundPacket(p.Data[0]) {
		return round, false
	}
	return round, exchange.ParsePacket(&round, p.Data) == nil
}
