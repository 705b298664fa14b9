package timing

import (
	"net"
	"net/netip"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// WrappedPort takes round packets out below QUIC: quic-go reads through the connection that Conn returns, and what belongs to a
// round is handled on its reading goroutine and never seen by it.
type WrappedPort struct {
	*demux
	below net.PacketConn
	conn  net.PacketConn
}

var _ Socket = (*WrappedPort)(nil)

// StampedReader is a socket that tells when a packet reached it, such as the simulated fabric's; at must carry a monotonic reading.
type StampedReader interface {
	ReadFromStamped(b []byte) (n int, from netip.AddrPort, at time.Time, err error)
}

// Wrap puts a port around a socket. Give Conn, not the socket, to quic.Transport. A Linux UDP socket gets kernel receive stamps,
// a StampedReader its own, every other socket a look at the user's clock right after its ReadFrom.
func Wrap(below net.PacketConn, clock stamp.Clock) (*WrappedPort, error) {
	p := &WrappedPort{demux: newDemux(exchange.PathWrapped, clock), below: below}
	var err error
	switch c := below.(type) {
	case *net.UDPConn:
		p.conn, err = p.wrapUDP(c)
	case StampedReader:
		p.conn = &stampedConn{buffered: buffered{below}, port: p, read: c}
	default:
		p.conn = &plainConn{buffered: buffered{below}, port: p}
	}
	return p, err
}

// Conn returns the connection for QUIC.
func (p *WrappedPort) Conn() net.PacketConn { return p.conn }

// Open implements Port.
func (p *WrappedPort) Open(s exchange.Session, peer net.Addr, h Handler) (Path, error) {
	if err := p.add(s, peer, h); err != nil {
		return nil, err
	}
	return &session{d: p.demux, id: s, write: p.writer(peer)}, nil
}

// writer returns the quickest way to write to one address.
func (p *WrappedPort) writer(peer net.Addr) func(*exchange.Packet) error {
	if udp, ok := p.below.(*net.UDPConn); ok {
		if to, _ := addrOf(peer); to.IsValid() {
			if local, ok := udp.LocalAddr().(*net.UDPAddr); ok && local.IP.To4() == nil {
				to = peer.(*net.UDPAddr).AddrPort() // keep a 4-in-6 address for a dual-stack socket
			}
			return func(packet *exchange.Packet) error {
				_, err := udp.WriteToUDPAddrPort(packet[:], to)
				return err
			}
		}
	}
	return func(packet *exchange.Packet) error {
		_, err := p.below.WriteTo(packet[:], peer)
		return err
	}
}

// Close implements Port. Connections that still read through Conn go on without rounds.
func (p *WrappedPort) Close() error {
	p.demux.close()
	return nil
}

// buffered passes on the buffer sizes that QUIC asks for, where the socket below knows them.
type buffered struct{ net.PacketConn }

// SetReadBuffer implements what QUIC looks for on a socket.
func (b buffered) SetReadBuffer(bytes int) error {
	if s, ok := b.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(bytes)
	}
	return nil
}

// SetWriteBuffer implements what QUIC looks for on a socket.
func (b buffered) SetWriteBuffer(bytes int) error {
	if s, ok := b.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(bytes)
	}
	return nil
}

// plainConn handles rounds in ReadFrom, with user stamps.
type plainConn struct {
	buffered
	port *WrappedPort
}

// ReadFrom returns the next packet that is not a round's.
func (c *plainConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	for {
		receipt, err := stamp.Receive(c.port.clock, func() (err error) {
			n, from, err = c.PacketConn.ReadFrom(b)
			return err
		})
		if err != nil || n == 0 || !exchange.IsRoundPacket(b[0]) {
			return n, from, err
		}
		var packet exchange.Packet
		if h := c.port.find(&packet, b[:n], from); h != nil {
			c.port.deliver(h, &packet, receipt)
		}
	}
}

// stampedConn handles rounds in ReadFrom, with the socket's own arrival times.
type stampedConn struct {
	buffered
	port *WrappedPort
	read StampedReader
}

// ReadFrom returns the next packet that is not a round's.
func (c *stampedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		var n int
		var from netip.AddrPort
		var lag time.Duration
		receipt, err := stamp.Receive(c.port.clock, func() (err error) {
			var at time.Time
			n, from, at, err = c.read.ReadFromStamped(b)
			lag = time.Since(at) // before the look, as WithWait asks
			return err
		})
		if err != nil {
			return n, nil, err
		}
		if n == 0 || !exchange.IsRoundPacket(b[0]) {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
		var packet exchange.Packet
		peer := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if h := c.port.findAddr(&packet, b[:n], peer, ""); h != nil {
			c.port.deliver(h, &packet, receipt.WithWait(lag))
		}
	}
}
