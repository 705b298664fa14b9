package adversary

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// HoldRounds holds the packets of the timed phase as long as hold says, and counts them as "held". Everything else passes at once.
func HoldRounds(t *Tally, hold func(p fabric.Packet) time.Duration) fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		if _, ok := roundPacket(p); ok {
			if d := hold(p); d > 0 {
				p.Hold += d
				t.Add("held", 1)
			}
		}
		return []fabric.Packet{p}
	})
}

// LoseRounds drops a share of the packets of the timed phase and counts them as "dropped".
func LoseRounds(t *Tally, share float64, rnd *rand.Rand) fabric.Interceptor {
	var mu sync.Mutex
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		if _, ok := roundPacket(p); ok {
			mu.Lock()
			lost := rnd.Float64() < share
			mu.Unlock()
			if lost {
				t.Add("dropped", 1)
				return nil
			}
		}
		return []fabric.Packet{p}
	})
}

// ReorderRounds holds every third FN that comes in, so that a later challenge overtakes it; each that was overtaken counts as
// "reordered". Set it with InterceptIn at a core.
func ReorderRounds(t *Tally, late time.Duration) fabric.Interceptor {
	type held struct {
		index uint16
		until time.Time
	}
	var mu sync.Mutex
	waiting := map[exchange.Session]held{}
	return fabric.InterceptorFunc(func(now time.Time, p fabric.Packet) []fabric.Packet {
		round, ok := roundPacket(p)
		if !ok {
			return []fabric.Packet{p}
		}
		mu.Lock()
		defer mu.Unlock()
		switch s := round.Session(); round.Kind() {
		case exchange.FN:
			if round.Index()%3 == 2 {
				p.Hold += late
				waiting[s] = held{round.Index(), now.Add(late)}
			}
		case exchange.CH:
			if h, ok := waiting[s]; ok && round.Index() > h.index && now.Before(h.until) {
				t.Add("reordered", 1)
				delete(waiting, s)
			}
		}
		return []fabric.Packet{p}
	})
}

// Replayer stands next to a beacon with a socket of its own: it keeps the core's newest answer and sends it again, under the core's
// address and the new index, the moment a challenge leaves. Each counts as "replayed". Out and In are the beacon's interceptors.
type Replayer struct {
	At    *fabric.Endpoint // the accomplice's socket, next to the beacon
	Tally *Tally

	mu   sync.Mutex
	last map[exchange.Session]fabric.Packet
}

// In remembers the answers that reach the beacon.
func (r *Replayer) In() fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		if round, ok := roundPacket(p); ok && round.Kind() == exchange.RS {
			r.mu.Lock()
			if r.last == nil {
				r.last = map[exchange.Session]fabric.Packet{}
			}
			r.last[round.Session()] = p
			r.mu.Unlock()
		}
		return []fabric.Packet{p}
	})
}

// Out answers the challenges that leave it.
func (r *Replayer) Out() fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		round, ok := roundPacket(p)
		if !ok || round.Kind() != exchange.CH {
			return []fabric.Packet{p}
		}
		r.mu.Lock()
		old, known := r.last[round.Session()]
		r.mu.Unlock()
		if known {
			again := append([]byte(nil), old.Data...)
			copy(again[offIndex:offSession], round[offIndex:offSession])
			if r.At.SendRaw(fabric.Packet{From: p.To, To: p.From, Data: again}) == nil {
				r.Tally.Add("replayed", 1)
			}
		}
		return []fabric.Packet{p}
	})
}

// FloodWith sends n packets to an address, evenly over a second, each under the address of another host that does not exist: packets
// that look like QUIC's first, round packets of sessions that nobody opened, and rubbish. They count as "flooded".
func FloodWith(at *fabric.Endpoint, to netip.AddrPort, n int, t *Tally, rnd *rand.Rand, stop <-chan struct{}) {
	const slices = 100
	tick := time.NewTicker(time.Second / slices)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for range max(1, n/slices) {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(16 + rnd.IntN(16)), byte(rnd.IntN(256)), byte(rnd.IntN(256))}), uint16(1024+rnd.IntN(60000)))
			if at.SendRaw(fabric.Packet{From: from, To: to, Data: rubbish(sent, rnd)}) == nil {
				t.Add("flooded", 1)
			}
			sent++
		}
	}
}

// rubbish is what a flood is made of.
func rubbish(i int, rnd *rand.Rand) []byte {
	size := [3]int{1200, exchange.PacketSize, 40}[i%3]
	b := make([]byte, size)
	for k := range b {
		b[k] = byte(rnd.Uint32())
	}
	switch i % 3 {
	case 0: // an Initial of QUIC v1 with connection ids of 8 bytes, its content unreadable
		copy(b, []byte{0xc3, 0, 0, 0, 1, 8})
		b[14] = 8
	case 1:
		var p exchange.Packet
		copy(p[:], b[:offPadding])
		p[0], p[1] = exchange.RS, exchange.Suite
		copy(b, p[:])
	}
	return b
}
