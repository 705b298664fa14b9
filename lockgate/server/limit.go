package server

import (
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"
)

// buckets limit requests by source address in a table of fixed size: a flood of
// addresses fills no memory. Addresses that share a slot share a bucket; the
// seed is secret, so nobody can choose whom to share with.
type buckets struct {
	seed        maphash.Seed
	rate, burst float64

	mu    sync.Mutex
	slots [4096]bucket
	// handshakes counts new connections in the present second; above a limit,
	// addresses have to be validated (QUIC Retry).
	second     int64
	handshakes int
}

type bucket struct {
	left float64
	at   time.Time
}

// handshakesFree is how many connections a second may begin without Retry.
const handshakesFree = 200

func newBuckets(rate, burst float64) *buckets {
	return &buckets{seed: maphash.MakeSeed(), rate: rate, burst: burst}
}

// prefix is what counts as one source: an IPv4 address, an IPv6 /64, or
// whatever a network that has no such addresses calls its ends.
func prefix(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return addr
		}
		return host
	}
	ip := ap.Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return addr
	}
	return p.String()
}

// take says whether a source may have a request now.
func (b *buckets) take(addr string, now time.Time) bool {
	i := maphash.String(b.seed, prefix(addr)) % uint64(len(b.slots))
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.slots[i]
	if s.at.IsZero() {
		s.left = b.burst
	} else {
		s.left = min(b.burst, s.left+now.Sub(s.at).Seconds()*b.rate)
	}
	s.at = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// busy says whether so many connections begin that addresses have to be
// validated first.
func (b *buckets) busy(net.Addr) bool {
	now := time.Now().Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	if now != b.second {
		b.second, b.handshakes = now, 0
	}
	b.handshakes++
	return b.handshakes > handshakesFree
}
