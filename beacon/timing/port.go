package timing

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// Handler takes one round packet of a session on the reading goroutine. The packet belongs to the reader and may be used only
// during the call. Handlers answer at once or not at all: while one runs, the socket is not read. The receipt becomes an
// arrival after the answer has left.
type Handler func(p *exchange.Packet, r stamp.Receipt)

// Port is a socket that carries round packets of many sessions.
type Port interface {
	// Open lets packets of a session from peer reach h, and returns the way back. One session is opened once at a time.
	Open(s exchange.Session, peer net.Addr, h Handler) (Path, error)
	// Kind says how packets travel, for the statement.
	Kind() exchange.PathKind
	// Stats returns how many packets came and why others were dropped.
	Stats() Stats
	// Close ends all paths and releases what the port added to the socket; the socket itself stays open.
	Close() error
}

// Socket is a port that has a socket to itself, with the connection that QUIC uses beside the rounds.
type Socket interface {
	Port
	// Conn is for quic.Transport and nobody else.
	Conn() net.PacketConn
}

// Listen opens the best socket that this system has on a local UDP address: a steered port, or where that is refused a wrapped
// one, which cannot spin. Kind says which it is. Closing the port closes its sockets.
func Listen(network, address string, clock stamp.Clock, mode exchange.Mode) (Socket, error) {
	steered, err := Steer(network, address, clock, mode)
	if err == nil {
		return steered, nil
	}
	if mode == exchange.ModeSpinning || !errors.Is(err, ErrSteering) {
		return nil, err
	}
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	wrapped, err := Wrap(pc, clock)
	if err != nil {
		_ = pc.Close()
		return nil, err
	}
	return &ownedPort{WrappedPort: wrapped, socket: pc}, nil
}

// ownedPort closes the socket that it was opened with.
type ownedPort struct {
	*WrappedPort
	socket net.PacketConn
}

// Close implements Port.
func (p *ownedPort) Close() error { return errors.Join(p.WrappedPort.Close(), p.socket.Close()) }

// Path is one session's share of a port.
type Path interface {
	// Send looks at the clocks and writes the packet.
	Send(p *exchange.Packet) (stamp.Departure, error)
	// Kind says how packets travel, for the statement.
	Kind() exchange.PathKind
	// Close stops packets from reaching the handler; a call that runs already may still end after it.
	Close() error
}

// The refusals of ports and paths.
var (
	ErrClosed      = errors.New("path is closed")
	ErrSessionOpen = errors.New("session is already open on this port")
	ErrPeer        = errors.New("peer address missing")
)

// Stats counts the packets of a port since it was opened.
type Stats struct {
	Delivered uint64 // reached a handler
	Malformed uint64 // wrong size, kind, suite or padding
	Unknown   uint64 // no such session
	Address   uint64 // session known, but sent from an address that is not the peer's
}

// demux finds a packet's session. It is shared by all ports.
type demux struct {
	kind  exchange.PathKind
	clock stamp.Clock

	mu       sync.RWMutex
	sessions map[exchange.Session]*entry
	closed   bool
	open     atomic.Int64 // sessions

	delivered, malformed, unknown, address atomic.Uint64
}

type entry struct {
	peer    netip.AddrPort // valid for UDP peers
	name    string         // otherwise the address as text
	handler Handler
}

func newDemux(kind exchange.PathKind, clock stamp.Clock) *demux {
	return &demux{kind: kind, clock: clock, sessions: map[exchange.Session]*entry{}}
}

// addrOf returns a comparable form of an address: an AddrPort when it has one (4-in-6 unmapped, zone left out), else its text.
func addrOf(a net.Addr) (netip.AddrPort, string) {
	if u, ok := a.(*net.UDPAddr); ok && u != nil {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), ""
	}
	if a == nil {
		return netip.AddrPort{}, ""
	}
	return netip.AddrPort{}, a.Network() + " " + a.String()
}

func (d *demux) add(s exchange.Session, peer net.Addr, h Handler) error {
	e := &entry{handler: h}
	if e.peer, e.name = addrOf(peer); !e.peer.IsValid() && e.name == "" {
		return ErrPeer
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if _, taken := d.sessions[s]; taken {
		return fmt.Errorf("%w: %x", ErrSessionOpen, s[:4])
	}
	d.sessions[s] = e
	d.open.Store(int64(len(d.sessions)))
	return nil
}

func (d *demux) remove(s exchange.Session) {
	d.mu.Lock()
	delete(d.sessions, s)
	d.open.Store(int64(len(d.sessions)))
	d.mu.Unlock()
}

func (d *demux) close() {
	d.mu.Lock()
	d.closed = true
	clear(d.sessions)
	d.open.Store(0)
	d.mu.Unlock()
}

// Kind implements Port.
func (d *demux) Kind() exchange.PathKind { return d.kind }

// Stats implements Port.
func (d *demux) Stats() Stats {
	return Stats{Delivered: d.delivered.Load(), Malformed: d.malformed.Load(), Unknown: d.unknown.Load(),
		Address: d.address.Load()}
}

// find returns the handler of a payload's session if the payload is well formed and comes from the session's peer.
func (d *demux) find(p *exchange.Packet, payload []byte, from net.Addr) Handler {
	peer, name := addrOf(from)
	return d.findAddr(p, payload, peer, name)
}

func (d *demux) findAddr(p *exchange.Packet, payload []byte, peer netip.AddrPort, name string) Handler {
	if exchange.ParsePacket(p, payload) != nil {
		d.malformed.Add(1)
		return nil
	}
	d.mu.RLock()
	e := d.sessions[p.Session()]
	d.mu.RUnlock()
	if e == nil {
		d.unknown.Add(1)
		return nil
	}
	if e.peer != peer || e.name != name {
		d.address.Add(1)
		return nil
	}
	return e.handler
}

// deliver hands a packet over.
func (d *demux) deliver(h Handler, p *exchange.Packet, r stamp.Receipt) {
	d.delivered.Add(1)
	h(p, r)
}

// session is the Path of ports that send by a plain write to an address.
type session struct {
	d      *demux
	id     exchange.Session
	write  func(p *exchange.Packet) error
	closed atomic.Bool
}

// Send implements Path.
func (s *session) Send(p *exchange.Packet) (stamp.Departure, error) {
	if s.closed.Load() {
		return stamp.Departure{}, ErrClosed
	}
	return stamp.Send(s.d.clock, func() error { return s.write(p) })
}

// Kind implements Path.
func (s *session) Kind() exchange.PathKind { return s.d.kind }

// Close implements Path.
func (s *session) Close() error {
	if !s.closed.Swap(true) {
		s.d.remove(s.id)
	}
	return nil
}
