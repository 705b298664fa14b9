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

// Network is a world as the Path of a fabric, for hosts at given addresses.
type Network struct {
	world *World

	mu    sync.RWMutex
	hosts map[netip.Addr]Place
	least map[[2]netip.Addr]leastDelay
}

type leastDelay struct {
	delay time.Duration
	ok    bool
}

var _ fabric.Path = (*Network)(nil)

// Network returns a network without hosts.
func (w *World) Network() *Network {
	return &Network{world: w, hosts: make(map[netip.Addr]Place), least: make(map[[2]netip.Addr]leastDelay)}
}

// Place puts the host of an address at a place; all its ports stand there. A host that moves is placed again.
func (n *Network) Place(host netip.Addr, at Place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host = host.Unmap()
	if _, moved := n.hosts[host]; moved {
		clear(n.least)
	}
	n.hosts[host] = at
}

// At returns the place of a host.
func (n *Network) At(host netip.Addr) (Place, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	p, ok := n.hosts[host.Unmap()]
	return p, ok
}

// Delay implements fabric.Path: the least delay of the pair, plus what the packet waits at the access of the host that it
// leaves. Packets are lost by that access, and where there is no path or no host.
func (n *Network) Delay(from, to netip.AddrPort, _ int, rnd *rand.Rand) (time.Duration, bool) {
	if from.Addr() == to.Addr() {
		return loopback, false
	}
	n.mu.RLock()
	src := n.hosts[from.Addr()]
	least, known := n.least[[2]netip.Addr{from.Addr(), to.Addr()}]
	n.mu.RUnlock()
	if !known {
		least = n.measure(from.Addr(), to.Addr())
	}
	if !least.ok || rnd.Float64() < src.Access.Loss() {
		return 0, true
	}
	return least.delay + src.Access.Excess(rnd), false
}

// measure draws the least delay of a pair once.
func (n *Network) measure(from, to netip.Addr) leastDelay {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, okA := n.hosts[from]
	b, okB := n.hosts[to]
	var l leastDelay
	if okA && okB {
		l.delay, l.ok = n.world.MinOneWay(a, b)
		n.least[[2]netip.Addr{from, to}] = l
	}
	return l
}
