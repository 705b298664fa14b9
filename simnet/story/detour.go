package story

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// detour is the world's network with the story's own links: between towns, and between hosts that an adversary has joined by a faster
// one. What it carries neither waits nor gets lost.
type detour struct {
	*world.Network
	world *world.World
	links map[[2]string]link // by the ids of two towns

	mu     sync.RWMutex
	joined map[[2]netip.Addr]time.Duration
}

var _ fabric.TimedPath = (*detour)(nil)

func newDetour(n *world.Network, w *world.World, s *Story) *detour {
	d := &detour{Network: n, world: w, links: map[[2]string]link{}, joined: map[[2]netip.Addr]time.Duration{}}
	for _, l := range s.links {
		a, b := s.places[l.a], s.places[l.b]
		d.links[[2]string{a.Metro, b.Metro}] = l
		d.links[[2]string{b.Metro, a.Metro}] = l
	}
	return d
}

// join gives two hosts a way of their own.
func (d *detour) join(a, b netip.Addr, oneWay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.joined[[2]netip.Addr{a, b}], d.joined[[2]netip.Addr{b, a}] = oneWay, oneWay
}

// own is the delay of two hosts that were joined.
func (d *detour) own(a, b netip.Addr) (oneWay time.Duration, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	oneWay, ok = d.joined[[2]netip.Addr{a, b}]
	return oneWay, ok
}

// Delay implements fabric.Path.
func (d *detour) Delay(from, to netip.AddrPort, size int, rnd *rand.Rand) (time.Duration, bool) {
	return d.DelayAt(0, from, to, size, rnd)
}

// DelayAt implements fabric.TimedPath.
func (d *detour) DelayAt(now time.Duration, from, to netip.AddrPort, size int, rnd *rand.Rand) (time.Duration, bool) {
	if own, ok := d.own(from.Addr(), to.Addr()); ok {
		return own, false
	}
	a, okA := d.At(from.Addr())
	b, okB := d.At(to.Addr())
	if okA && okB && from.Addr() != to.Addr() {
		if l, ok := d.links[[2]string{a.Metro, b.Metro}]; ok {
			return l.oneWay(a, b), false
		}
	}
	return d.Network.DelayAt(now, from, to, size, rnd)
}

// oneWay is the least delay between two places.
func (d *detour) oneWay(a, b world.Place) (time.Duration, bool) {
	if l, ok := d.links[[2]string{a.Metro, b.Metro}]; ok {
		return l.oneWay(a, b), true
	}
	return d.world.OneWay(a, b)
}
