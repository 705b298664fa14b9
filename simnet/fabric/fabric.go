package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric/delayline"
)

// The limits where Config leaves them at zero.
const (
	DefaultMTU      = 1500    // bytes of an IP packet, headers included
	DefaultQueue    = 1024    // packets that wait for an endpoint's reader
	DefaultInFlight = 1 << 17 // packets under way
	DefaultPort     = 4433    // of addresses that Listen chooses
)

// headers is what IP and UDP add to a payload; an IPv4 packet of 1,500 bytes carries 1,472.
const (
	headers4 = 28
	headers6 = 48
)

// Errors of New and Listen.
var (
	ErrConfig = errors.New("fabric: wrong configuration")
	ErrInUse  = errors.New("fabric: already in use")
	ErrClosed = errors.New("fabric: closed")
)

// Config describes a network. Only Path must be given.
type Config struct {
	Seed      uint64        // of everything that is drawn
	Path      Path          // how long packets are under way
	MTU       int           // larger packets are dropped; 0 means DefaultMTU, at most 65,535
	Queue     int           // packets that wait for the reader of an endpoint; 0 means DefaultQueue
	InFlight  int           // packets under way in the whole network; 0 means DefaultInFlight
	Spin      time.Duration // of the scheduler before a packet is due: 0 means delayline.DefaultSpin, below 0 none
	Overtake  bool          // whether packets of one pair may overtake each other
	Duplicate float64       // share of packets that arrive twice, 0 to 1
}

func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.MTU, DefaultMTU}, {&c.Queue, DefaultQueue}, {&c.InFlight, DefaultInFlight}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	switch {
	case c.Path == nil:
		return c, fmt.Errorf("%w: no Path", ErrConfig)
	case c.MTU < 576 || c.MTU > 65_535:
		return c, fmt.Errorf("%w: an MTU of %d bytes is not within 576..65535", ErrConfig, c.MTU)
	case c.Queue < 1 || c.InFlight < 1:
		return c, fmt.Errorf("%w: queues of %d and %d packets; both must hold one", ErrConfig, c.Queue, c.InFlight)
	case !(c.Duplicate >= 0 && c.Duplicate <= 1):
		return c, fmt.Errorf("%w: a share of %v duplicates is not within 0..1", ErrConfig, c.Duplicate)
	}
	return c, nil
}

// Fabric is a running network. Its methods may be called from many goroutines.
type Fabric struct {
	cfg   Config
	line  *delayline.Line[flight]
	pool  sync.Pool // of *parcel
	count counters

	mu     sync.RWMutex // guards what follows
	byAddr map[netip.AddrPort]*Endpoint
	byName map[string]*Endpoint
	pairs  map[pairKey]*pair
	next   netip.Addr // the last address that Listen chose
	closed bool
}

// New starts a network without endpoints. Under testing/synctest it must be made and closed inside the bubble.
func New(cfg Config) (*Fabric, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fabric{
		cfg:    cfg,
		byAddr: make(map[netip.AddrPort]*Endpoint),
		byName: make(map[string]*Endpoint),
		pairs:  make(map[pairKey]*pair),
		next:   netip.AddrFrom4([4]byte{10, 0, 0, 0}),
	}
	f.pool.New = func() any { return &parcel{data: make([]byte, 0, cfg.MTU)} }
	f.line = delayline.New(cfg.InFlight, cfg.Spin, f.arrive)
	return f, nil
}

// Listen opens an endpoint. The name must be new; it seeds the endpoint's paths. Of an address that is not valid Listen chooses
// the next free one of 10.0.0.0/8 with DefaultPort, of port 0 the first free one from 49152.
func (f *Fabric) Listen(name string, addr netip.AddrPort) (*Endpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if _, taken := f.byName[name]; taken || name == "" {
		return nil, fmt.Errorf("%w: the name %q; each endpoint needs one of its own", ErrInUse, name)
	}
	addr, err := f.choose(addr)
	if err != nil {
		return nil, err
	}
	e := newEndpoint(f, name, addr)
	f.byName[name], f.byAddr[addr] = e, e
	return e, nil
}

// choose completes an address and checks that it is free. The caller holds mu.
func (f *Fabric) choose(addr netip.AddrPort) (netip.AddrPort, error) {
	if !addr.IsValid() {
		for {
			f.next = f.next.Next()
			if addr = netip.AddrPortFrom(f.next, DefaultPort); f.byAddr[addr] == nil {
				return addr, nil
			}
		}
	}
	ip := addr.Addr().Unmap()
	addr = netip.AddrPortFrom(ip, addr.Port())
	if ip.IsUnspecified() {
		return addr, fmt.Errorf("%w: %v is no address of a simulated host; give one, e.g. 10.1.2.3:4433", ErrConfig, ip)
	}
	if addr.Port() == 0 {
		for port := uint16(49152); port != 0; port++ {
			if addr = netip.AddrPortFrom(ip, port); f.byAddr[addr] == nil {
				return addr, nil
			}
		}
		return addr, fmt.Errorf("%w: every port of %v from 49152", ErrInUse, ip)
	}
	if f.byAddr[addr] != nil {
		return addr, fmt.Errorf("%w: %v, by %s", ErrInUse, addr, f.byAddr[addr].name)
	}
	return addr, nil
}

// Close stops the network: packets under way are lost, endpoints are closed, all goroutines have ended when it returns. An
// interceptor must not call it.
func (f *Fabric) Close() error {
	f.mu.Lock()
	f.closed = true
	open := make([]*Endpoint, 0, len(f.byAddr))
	for _, e := range f.byAddr {
		open = append(open, e)
	}
	f.mu.Unlock()
	for _, e := range open {
		_ = e.Close() // fails only when it was closed meanwhile
	}
	f.line.Close()
	return nil
}

// forget takes a closed endpoint out; its pairs go with it, so that endpoints may come and go.
func (f *Fabric) forget(e *Endpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byAddr, e.addr)
	delete(f.byName, e.name)
	for k := range f.pairs {
		if k.from == e || k.to == e {
			delete(f.pairs, k)
		}
	}
}

// Names returns the names of the open endpoints, sorted.
func (f *Fabric) Names() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	names := make([]string, 0, len(f.byName))
	for n := range f.byName {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

type counters struct {
	sent, delivered, duplicated, lost, unroutable, tooBig, crowded, queueFull, intercepted atomic.Uint64
}

// Stats counts packets since the start. Sent counts what programs and interceptors sent, before duplication.
type Stats struct {
	Sent        uint64 `json:"sent"`
	Delivered   uint64 `json:"delivered"`   // into the queue of a reader
	Duplicated  uint64 `json:"duplicated"`  // second copies made by the network
	Lost        uint64 `json:"lost"`        // by the Path
	Unroutable  uint64 `json:"unroutable"`  // no endpoint has the address, or it closed while the packet was under way
	TooBig      uint64 `json:"too_big"`     // larger than the MTU
	Crowded     uint64 `json:"crowded"`     // too many packets under way
	QueueFull   uint64 `json:"queue_full"`  // the reader did not keep up
	Intercepted uint64 `json:"intercepted"` // seen by an interceptor

	Lateness delayline.Lateness `json:"-"` // of releases after their due time; zero in virtual time
}

// Stats returns the counts so far.
func (f *Fabric) Stats() Stats {
	c := &f.count
	return Stats{
		Sent: c.sent.Load(), Delivered: c.delivered.Load(), Duplicated: c.duplicated.Load(), Lost: c.lost.Load(),
		Unroutable: c.unroutable.Load(), TooBig: c.tooBig.Load(), Crowded: c.crowded.Load(), QueueFull: c.queueFull.Load(),
		Intercepted: c.intercepted.Load(), Lateness: f.line.Lateness(),
	}
}
