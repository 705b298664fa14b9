package world

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// loopback is the delay between two sockets of one host.
const loopback = 15 * time.Microsecond

// Network is a world as the Path of a fabric, for hosts at given addresses. The world's time runs with the fabric's, from where
// StartAt says.
type Network struct {
	world *World

	mu    sync.RWMutex
	begin time.Duration // the world's time when the fabric's is zero
	hosts map[netip.Addr]host
	least map[[2]netip.Addr]leastDelay
}

// host is a place and how much longer than its class it makes packets wait.
type host struct {
	Place
	factor float64
}

type leastDelay struct {
	delay time.Duration
	ok    bool
	queue float64       // factor of the path on what packets wait
	from  time.Duration // the world's time from which the delay holds
	until time.Duration // and to which
}

var _ fabric.TimedPath = (*Network)(nil)

// Network returns a network without hosts, which starts at the world's time zero.
func (w *World) Network() *Network {
	return &Network{world: w, hosts: make(map[netip.Addr]host), least: make(map[[2]netip.Addr]leastDelay)}
}

// StartAt sets the world's time at which the network starts: 20 hours for an evening, when the world starts at midnight.
func (n *Network) StartAt(t time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.begin = t
	clear(n.least)
}

// Place puts the host of an address at a place; all its ports stand there. A host that moves is placed again.
func (n *Network) Place(at netip.Addr, p Place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at = at.Unmap()
	if _, moved := n.hosts[at]; moved {
		clear(n.least)
	}
	n.hosts[at] = host{p, n.world.hostFactor(p)}
}

// At returns the place of a host.
func (n *Network) At(at netip.Addr) (Place, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	h, ok := n.hosts[at.Unmap()]
	return h.Place, ok
}

// Delay implements fabric.Path: DelayAt at the network's start.
func (n *Network) Delay(from, to netip.AddrPort, size int, rnd *rand.Rand) (time.Duration, bool) {
	return n.DelayAt(0, from, to, size, rnd)
}

// DelayAt implements fabric.TimedPath: the least delay of the pair at that time, plus what the packet waits at the access of the
// host that it leaves. Packets are lost by that access, and where there is no path or no host.
func (n *Network) DelayAt(now time.Duration, from, to netip.AddrPort, _ int, rnd *rand.Rand) (time.Duration, bool) {
	if from.Addr() == to.Addr() {
		return loopback, false
	}
	n.mu.RLock()
	now += n.begin
	src := n.hosts[from.Addr()]
	least, known := n.least[[2]netip.Addr{from.Addr(), to.Addr()}]
	n.mu.RUnlock()
	if !known || now >= least.until || now < least.from {
		least = n.measure(now, from.Addr(), to.Addr())
	}
	if !least.ok {
		return 0, true
	}
	excess, lost := n.world.waitAt(src.Place, src.factor*least.queue, now).Draw(rnd)
	if lost {
		return 0, true
	}
	return least.delay + excess, false
}

// measure draws the least delay of a pair, for as long as it stays.
func (n *Network) measure(now time.Duration, from, to netip.Addr) leastDelay {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, okA := n.hosts[from]
	b, okB := n.hosts[to]
	var l leastDelay
	if okA && okB {
		l.delay, l.ok = n.world.OneWayAt(a.Place, b.Place, now)
		l.from, l.until, l.queue = now, n.world.settled(now), n.world.QueueFactor(a.Place, b.Place)
		n.least[[2]netip.Addr{from, to}] = l
	}
	return l
}
