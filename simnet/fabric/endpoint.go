package fabric

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Endpoint is a simulated UDP socket. It is a net.PacketConn with the semantics of *net.UDPConn: Close and deadlines unblock
// readers, a packet larger than the reader's buffer is cut, an unknown destination swallows packets silently.
type Endpoint struct {
	net  *Fabric
	name string
	addr netip.AddrPort

	in       chan *parcel
	closed   chan struct{}
	once     sync.Once
	readBy   deadline
	writeBy  atomic.Pointer[time.Time]
	inward   atomic.Pointer[tap]
	outward  atomic.Pointer[tap]
	enqueued sync.Mutex // held while a packet is put into in, so that none comes after Close
}

var _ net.PacketConn = (*Endpoint)(nil)

func newEndpoint(f *Fabric, name string, addr netip.AddrPort) *Endpoint {
	return &Endpoint{net: f, name: name, addr: addr, in: make(chan *parcel, f.cfg.Queue), closed: make(chan struct{})}
}

// Name returns the name that Listen was given.
func (e *Endpoint) Name() string { return e.name }

// AddrPort returns the endpoint's address.
func (e *Endpoint) AddrPort() netip.AddrPort { return e.addr }

// LocalAddr returns the endpoint's address as *net.UDPAddr.
func (e *Endpoint) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.addr) }

// SetReadBuffer accepts and ignores the size that QUIC asks for: Config.Queue bounds the queue, in packets.
func (e *Endpoint) SetReadBuffer(int) error { return nil }

// SetWriteBuffer accepts and ignores the size that QUIC asks for: writing never waits.
func (e *Endpoint) SetWriteBuffer(int) error { return nil }

// WriteTo sends a packet. Its delay counts from a reading of the clock taken here, after the call.
func (e *Endpoint) WriteTo(b []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok && u != nil {
		return e.WriteToAddrPort(b, u.AddrPort())
	}
	if to == nil {
		return 0, e.opError("write", nil, &net.AddrError{Err: "no address to send to"})
	}
	addr, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return 0, e.opError("write", to, err)
	}
	return e.WriteToAddrPort(b, addr)
}

// WriteToAddrPort is WriteTo without the allocation of an address.
func (e *Endpoint) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	now := e.net.line.Now()
	if e.isClosed() {
		return 0, e.opError("write", net.UDPAddrFromAddrPort(to), net.ErrClosed)
	}
	if t := e.writeBy.Load(); t != nil && !t.After(time.Now()) {
		return 0, e.opError("write", net.UDPAddrFromAddrPort(to), os.ErrDeadlineExceeded)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if tap := e.outward.Load(); tap != nil {
		e.sendThrough(tap, now, to, b)
	} else {
		e.net.send(e, now, e.addr, to, b, 0)
	}
	return len(b), nil
}

// ReadFrom waits for a packet.
func (e *Endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, _, err := e.ReadFromStamped(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromStamped waits for a packet and tells when it arrived in the endpoint's queue: the counterpart of a kernel's receive
// stamp. It is never earlier than the packet's due time, and leaves out how long the reader took to wake up.
func (e *Endpoint) ReadFromStamped(b []byte) (n int, from netip.AddrPort, at time.Time, err error) {
	if e.isClosed() {
		return 0, from, at, e.opError("read", nil, net.ErrClosed)
	}
	expired := e.readBy.wait()
	select { // a deadline that has passed fails reads even while packets wait
	case <-expired:
		return 0, from, at, e.opError("read", nil, os.ErrDeadlineExceeded)
	default:
	}
	select {
	case p := <-e.in:
		n, from, at = copy(b, p.data), p.from, e.net.line.Time(p.at)
		e.net.pool.Put(p)
		return n, from, at, nil
	case <-expired:
		return 0, from, at, e.opError("read", nil, os.ErrDeadlineExceeded)
	case <-e.closed:
		return 0, from, at, e.opError("read", nil, net.ErrClosed)
	}
}

// SetDeadline sets both deadlines; the zero time removes them.
func (e *Endpoint) SetDeadline(t time.Time) error {
	if err := e.SetReadDeadline(t); err != nil {
		return err
	}
	return e.SetWriteDeadline(t)
}

// SetReadDeadline makes present and future reads fail with os.ErrDeadlineExceeded from t on.
func (e *Endpoint) SetReadDeadline(t time.Time) error {
	if e.isClosed() {
		return e.opError("set", nil, net.ErrClosed)
	}
	e.readBy.set(t)
	return nil
}

// SetWriteDeadline makes writes fail with os.ErrDeadlineExceeded from t on.
func (e *Endpoint) SetWriteDeadline(t time.Time) error {
	if e.isClosed() {
		return e.opError("set", nil, net.ErrClosed)
	}
	if t.IsZero() {
		e.writeBy.Store(nil)
	} else {
		e.writeBy.Store(&t)
	}
	return nil
}

// Close frees address and name and unblocks readers with net.ErrClosed. A second Close fails with it, as on a socket.
func (e *Endpoint) Close() error {
	err := e.opError("close", nil, net.ErrClosed)
	e.once.Do(func() {
		err = nil
		e.enqueued.Lock()
		close(e.closed)
		e.enqueued.Unlock()
		e.readBy.set(time.Time{}) // stops its timer
		e.net.forget(e)
	})
	return err
}

func (e *Endpoint) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// What became of a packet that was to be put into a queue.
type outcome int

const (
	taken outcome = iota
	full
	gone
)

// put hands a packet to the reader, without waiting.
func (e *Endpoint) put(p *parcel) outcome {
	e.enqueued.Lock()
	defer e.enqueued.Unlock()
	if e.isClosed() {
		return gone
	}
	select {
	case e.in <- p:
		return taken
	default:
		return full
	}
}

func (e *Endpoint) opError(op string, to net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: e.LocalAddr(), Addr: to, Err: err}
}
