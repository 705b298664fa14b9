package server

import (
	"net"
	"net/netip"
	"sync"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// rooms counts the exchanges in progress: in all, by address prefix and by core. An exchange takes a place before it costs anything.
type rooms struct {
	max, perPrefix, perCore int

	mu       sync.Mutex
	total    int
	prefixes map[netip.Prefix]int
	cores    map[identity.ID]int
}

func newRooms(max, perPrefix, perCore int) *rooms {
	return &rooms{max: max, perPrefix: perPrefix, perCore: perCore, prefixes: map[netip.Prefix]int{}, cores: map[identity.ID]int{}}
}

// prefixOf returns the network that shares a quota: /24 of IPv4, /48 of IPv6, and one for everything that is no UDP address.
func prefixOf(a net.Addr) netip.Prefix {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := u.AddrPort().Addr().Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// enter takes a place for an address, or says why there is none.
func (r *rooms) enter(p netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= r.max {
		return exchange.ErrBusy
	}
	if r.prefixes[p] >= r.perPrefix {
		return exchange.ErrQuota
	}
	r.total++
	r.prefixes[p]++
	return nil
}

func (r *rooms) leave(p netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.prefixes[p]--; r.prefixes[p] <= 0 {
		delete(r.prefixes, p)
	}
}

// admit takes a place for a core, within the place that its address has.
func (r *rooms) admit(core identity.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cores[core] >= r.perCore {
		return exchange.ErrQuota
	}
	r.cores[core]++
	return nil
}

func (r *rooms) release(core identity.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cores[core]--; r.cores[core] <= 0 {
		delete(r.cores, core)
	}
}

// occupied returns how many exchanges are in progress.
func (r *rooms) occupied() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
