package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/delayline"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
)

// The limits where Config leaves them at zero.
const (
	DefaultSessions = 1024
	DefaultInFlight = 1 << 16
	DefaultIdle     = time.Minute
)

// ErrConfig reports a relay that cannot be.
var ErrConfig = errors.New("relay: wrong configuration")

// Direction is what befalls the packets of one direction.
type Direction struct {
	Link      fabric.Link // delay, jitter law and loss
	Overtake  bool        // whether packets of one client may overtake each other
	Duplicate float64     // share of packets that are sent on twice, 0 to 1
}

func (d Direction) validate(name string) error {
	switch {
	case d.Link.OneWay < 0 || d.Link.OneWay > time.Hour:
		return fmt.Errorf("%w: a delay %s of %v is not within 0..1h", ErrConfig, name, d.Link.OneWay)
	case !(d.Link.Loss >= 0 && d.Link.Loss <= 1):
		return fmt.Errorf("%w: a loss %s of %v is not within 0..1", ErrConfig, name, d.Link.Loss)
	case !(d.Duplicate >= 0 && d.Duplicate <= 1):
		return fmt.Errorf("%w: a share of duplicates %s of %v is not within 0..1", ErrConfig, name, d.Duplicate)
	}
	return nil
}

// Config describes a relay. Clients, Server and Dial must be given; Listen fills them in for UDP.
type Config struct {
	Clients net.PacketConn                 // at which clients knock; the relay reads and closes it
	Server  net.Addr                       // to which it forwards
	Dial    func() (net.PacketConn, error) // opens the socket of one client's session towards the server

	Up, Down Direction     // from clients to the server, and back
	Seed     uint64        // of everything that is drawn; the k-th client draws the same in each run
	Sessions int           // clients at a time; further ones are refused; 0 means DefaultSessions
	InFlight int           // packets under way; 0 means DefaultInFlight
	Idle     time.Duration // after which a silent session ends; 0 means DefaultIdle
	Spin     time.Duration // before a packet is due: 0 means delayline.DefaultSpin, below 0 none
}

// Relay is a running relay.
type Relay struct {
	cfg    Config
	server netip.AddrPort
	line   *delayline.Line[packet]
	pool   sync.Pool // of *[]byte
	count  counters
	tasks  sync.WaitGroup

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
	opened   int // sessions ever
	closed   bool
}

// packet is a packet under way, and where it goes.
type packet struct {
	via  net.PacketConn
	to   net.Addr
	data *[]byte
	sent *atomic.Uint64
}

// Start starts a relay over the sockets of cfg.
func Start(cfg Config) (*Relay, error) {
	if cfg.Clients == nil || cfg.Server == nil || cfg.Dial == nil {
		return nil, fmt.Errorf("%w: Clients, Server and Dial must be given", ErrConfig)
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&cfg.Sessions, DefaultSessions}, {&cfg.InFlight, DefaultInFlight}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	server, err := addrPort(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("%w: server %w", ErrConfig, err)
	}
	if cfg.Sessions < 0 || cfg.InFlight < 0 || cfg.Idle < 0 {
		return nil, fmt.Errorf("%w: limits must be above zero", ErrConfig)
	}
	if err := errors.Join(cfg.Up.validate("up"), cfg.Down.validate("down")); err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, server: server, sessions: make(map[netip.AddrPort]*session)}
	r.pool.New = func() any { b := make([]byte, 0, 2048); return &b }
	r.line = delayline.New(cfg.InFlight, cfg.Spin, r.release)
	r.tasks.Go(r.serveClients)
	return r, nil
}

// Listen starts a relay over UDP: clients knock at listen ("127.0.0.1:0" lets the system choose a port, see Addr), packets go to
// server. Of cfg the sockets are ignored.
func Listen(listen, server string, cfg Config) (*Relay, error) {
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil || to.Port == 0 || to.IP == nil || to.IP.IsUnspecified() {
		return nil, fmt.Errorf("%w: server %q is no address with a port, e.g. 127.0.0.1:4433", ErrConfig, server)
	}
	at, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("%w: listen %q is no address, e.g. 127.0.0.1:0", ErrConfig, listen)
	}
	clients, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, fmt.Errorf("relay: %w; choose another port, or 0 for any free one", err)
	}
	roomy(clients)
	network, local := "udp4", &net.UDPAddr{IP: net.IPv4zero}
	if to.IP.To4() == nil {
		network, local = "udp6", &net.UDPAddr{IP: net.IPv6unspecified}
	}
	if to.IP.IsLoopback() {
		local.IP = to.IP // nobody from outside can knock at a session's socket
	}
	cfg.Clients, cfg.Server = clients, to
	cfg.Dial = func() (net.PacketConn, error) {
		c, err := net.ListenUDP(network, local)
		if err == nil {
			roomy(c)
		}
		return c, err
	}
	r, err := Start(cfg)
	if err != nil {
		_ = clients.Close()
		return nil, err
	}
	return r, nil
}

// roomy asks for buffers that hold a burst; the system may give less, and then the kernel drops what the relay cannot count.
func roomy(c *net.UDPConn) {
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetWriteBuffer(4 << 20)
}

// Addr returns the address at which clients knock.
func (r *Relay) Addr() net.Addr { return r.cfg.Clients.LocalAddr() }

// Close stops the relay: packets under way are lost, sockets are closed, all goroutines have ended when it returns.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return net.ErrClosed
	}
	r.closed = true
	err := r.cfg.Clients.Close()
	for _, s := range r.sessions {
		_ = s.conn.Close()
	}
	r.mu.Unlock()
	r.tasks.Wait()
	r.line.Close()
	return err
}

// serveClients reads what clients send, until the socket is closed or broken.
func (r *Relay) serveClients() {
	buf := make([]byte, 65536)
	for failures := 0; failures < maxErrors; {
		n, from, err := r.cfg.Clients.ReadFrom(buf)
		now := r.line.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++
			r.count.errors.Add(1)
			continue
		}
		failures = 0
		s, err := r.sessionOf(from)
		if err != nil {
			r.count.refused.Add(1)
			continue
		}
		s.touch(now)
		r.forward(&s.up, now, buf[:n], packet{via: s.conn, to: r.cfg.Server, sent: &r.count.up})
	}
}

// forward decides on a packet that was read before the time now, and puts its copies into the line.
func (r *Relay) forward(d *lane, now time.Duration, data []byte, p packet) {
	fate := d.lane.Send(now, d.link, netip.AddrPort{}, netip.AddrPort{}, len(data))
	r.count.lost.Add(uint64(fate.Lost))
	if fate.Duplicated {
		r.count.duplicated.Add(1)
	}
	for _, due := range fate.Due() {
		p.data = r.pool.Get().(*[]byte)
		*p.data = append((*p.data)[:0], data...)
		if !r.line.Push(due, 0, p) {
			r.count.crowded.Add(1)
			r.pool.Put(p.data)
		}
	}
}

// release is called by the line when a packet is due.
func (r *Relay) release(p packet, _, _ time.Duration) {
	if _, err := p.via.WriteTo(*p.data, p.to); err != nil {
		r.count.errors.Add(1)
	} else {
		p.sent.Add(1)
	}
	r.pool.Put(p.data)
}

type counters struct {
	up, down, lost, duplicated, refused, strangers, crowded, errors atomic.Uint64
}

// Stats counts packets since the start.
type Stats struct {
	Up         uint64 `json:"up"`         // sent on to the server
	Down       uint64 `json:"down"`       // sent on to clients
	Lost       uint64 `json:"lost"`       // by the links' law
	Duplicated uint64 `json:"duplicated"` // second copies made
	Refused    uint64 `json:"refused"`    // from clients for whom there was no session left
	Strangers  uint64 `json:"strangers"`  // from others than the server, at a session's socket
	Crowded    uint64 `json:"crowded"`    // too many packets under way
	Errors     uint64 `json:"errors"`     // of sockets
	Sessions   int    `json:"sessions"`   // at the moment

	Lateness delayline.Lateness `json:"-"` // of packets that left, after they were due
}

// Stats returns the counts so far.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	sessions := len(r.sessions)
	r.mu.Unlock()
	c := &r.count
	return Stats{
		Up: c.up.Load(), Down: c.down.Load(), Lost: c.lost.Load(), Duplicated: c.duplicated.Load(), Refused: c.refused.Load(),
		Strangers: c.strangers.Load(), Crowded: c.crowded.Load(), Errors: c.errors.Load(), Sessions: sessions, Lateness: r.line.Lateness(),
	}
}

// String prints the counts and the relay's own lateness in one line.
func (s Stats) String() string {
	return fmt.Sprintf("%d up, %d down, %d lost, %d duplicated, %d refused, %d from strangers, %d crowded out, %d errors, %d sessions; %v",
		s.Up, s.Down, s.Lost, s.Duplicated, s.Refused, s.Strangers, s.Crowded, s.Errors, s.Sessions, s.Lateness)
}

// lane is one direction of one session.
type lane struct {
	lane fabric.Lane
	link fabric.Link
}

func newLane(d Direction, seed uint64, name string, number int) lane {
	rnd := source.New(seed, "relay", name, fmt.Sprint(number))
	return lane{fabric.Lane{Rnd: rnd, Overtake: d.Overtake, Duplicate: d.Duplicate}, d.Link}
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	if u, ok := a.(*net.UDPAddr); ok && u != nil {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	return netip.ParseAddrPort(a.String())
}
