package timing_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// ends are two ports that reach each other, over two sockets with QUIC on them.
type ends struct {
	near, far         timing.Port
	nearAddr, farAddr net.Addr
	stranger          *net.UDPConn // another socket that can write to far's
}

// makers build each path over loopback. The conformance test is the same for all.
var makers = map[string]func(t testing.TB, clock stamp.Clock) ends{
	"transport": transportEnds, "wrapped": wrappedEnds, "plain": plainEnds, "datagram": datagramEnds,
	"steered": steeredEnds(exchange.ModeBlocking), "spinning": steeredEnds(exchange.ModeSpinning),
}

func hostClock(t testing.TB) stamp.Clock {
	t.Helper()
	c, err := timing.HostClock()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loopback(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// transportOn starts QUIC on a socket; without that nobody reads it.
func transportOn(t testing.TB, pc net.PacketConn) *quic.Transport {
	t.Helper()
	tr := &quic.Transport{Conn: pc}
	t.Cleanup(func() { _ = tr.Close() })
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := tr.Listen(conf, channel.QUIC(1, true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return tr
}

func transportEnds(t testing.TB, clock stamp.Clock) ends {
	a, b := loopback(t), loopback(t)
	near, far := timing.NewTransportPort(transportOn(t, a), clock), timing.NewTransportPort(transportOn(t, b), clock)
	return ends{near: near, far: far, nearAddr: a.LocalAddr(), farAddr: b.LocalAddr(), stranger: loopback(t)}
}

func wrappedEnds(t testing.TB, clock stamp.Clock) ends {
	return wrapEnds(t, clock, func(c *net.UDPConn) net.PacketConn { return c })
}

// plainEnds hides the UDP socket behind net.PacketConn, as a platform without kernel stamps would.
func plainEnds(t testing.TB, clock stamp.Clock) ends {
	return wrapEnds(t, clock, func(c *net.UDPConn) net.PacketConn { return struct{ net.PacketConn }{c} })
}

func wrapEnds(t testing.TB, clock stamp.Clock, hide func(*net.UDPConn) net.PacketConn) ends {
	a, b := loopback(t), loopback(t)
	var ports [2]timing.Port
	for i, c := range []*net.UDPConn{a, b} {
		p, err := timing.Wrap(hide(c), clock)
		if err != nil {
			t.Fatal(err)
		}
		transportOn(t, p.Conn())
		ports[i] = p
	}
	return ends{near: ports[0], far: ports[1], nearAddr: a.LocalAddr(), farAddr: b.LocalAddr(), stranger: loopback(t)}
}

func steeredEnds(mode exchange.Mode) func(t testing.TB, clock stamp.Clock) ends {
	return func(t testing.TB, clock stamp.Clock) ends {
		var ports [2]timing.Socket
		for i := range ports {
			p, err := timing.Steer("udp4", "127.0.0.1:0", clock, mode)
			if errors.Is(err, timing.ErrSteering) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			transportOn(t, p.Conn())
			ports[i] = p
		}
		return ends{
			near: ports[0], far: ports[1], stranger: loopback(t),
			nearAddr: ports[0].Conn().LocalAddr(), farAddr: ports[1].Conn().LocalAddr(),
		}
	}
}

func datagramEnds(t testing.TB, clock stamp.Clock) ends {
	a, b := loopback(t), loopback(t)
	server, client := &quic.Transport{Conn: b}, &quic.Transport{Conn: a}
	t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(conf, channel.QUIC(1, true))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *quic.Conn, 1)
	go func() {
		if c, err := l.Accept(context.Background()); err == nil {
			accepted <- c
		}
	}()
	clientConn, err := client.Dial(context.Background(), b.LocalAddr(), channel.ClientTLS(), channel.QUIC(-1, true))
	if err != nil {
		t.Fatal(err)
	}
	return ends{
		near: timing.NewDatagramPort(clientConn, clock), far: timing.NewDatagramPort(<-accepted, clock),
		nearAddr: a.LocalAddr(), farAddr: b.LocalAddr(),
	}
}

// packetOf is a well-formed packet of a session.
func packetOf(kind byte, s exchange.Session, index byte) *exchange.Packet {
	var raw [exchange.PacketSize]byte
	raw[0], raw[1], raw[3] = kind, exchange.Suite, index
	copy(raw[4:], s[:])
	var p exchange.Packet
	if err := exchange.ParsePacket(&p, raw[:]); err != nil {
		panic(err)
	}
	return &p
}

// received collects what a handler was given.
type received struct {
	mu      sync.Mutex
	packets []exchange.Packet
	at      []stamp.Arrival
	came    chan struct{}
}

func newReceived() *received { return &received{came: make(chan struct{}, 1024)} }

func (r *received) handle(p *exchange.Packet, receipt stamp.Receipt) {
	at, _ := receipt.Arrival()
	r.mu.Lock()
	r.packets, r.at = append(r.packets, *p), append(r.at, at)
	r.mu.Unlock()
	r.came <- struct{}{}
}

// get returns what came as number i, which must have come. It locks although the packet came before: the race detector does not see
// that a packet orders what two ends do.
func (r *received) get(i byte) (exchange.Packet, stamp.Arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packets[i], r.at[i]
}

func (r *received) wait(t *testing.T) bool {
	t.Helper()
	select {
	case <-r.came:
		return true
	case <-time.After(time.Minute): // a limit that only a lost packet reaches
		return false
	}
}

// TestConformance is what every path promises.
func TestConformance(t *testing.T) {
	for name, build := range makers {
		t.Run(name, func(t *testing.T) {
			clock := hostClock(t)
			e := build(t, clock)
			t.Cleanup(func() { _ = e.near.Close(); _ = e.far.Close() })
			t.Run("round trip", func(t *testing.T) { roundTrips(t, clock, e) })
			t.Run("one session, one handler", func(t *testing.T) { oneHandler(t, e) })
			t.Run("unknown and closed sessions", func(t *testing.T) { closedSessions(t, e) })
			t.Run("malformed", func(t *testing.T) { malformed(t, e) })
			t.Run("closed port", func(t *testing.T) { closedPort(t, e) })
		})
	}
}

// roundTrips sends rounds there and back; every interval passes the clock rule and is positive, and most of them do.
func roundTrips(t *testing.T, clock stamp.Clock, e ends) {
	s := exchange.Session{1}
	back, there := newReceived(), newReceived()
	near, err := e.near.Open(s, e.farAddr, back.handle)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	opened := make(chan timing.Path, 1)
	far, err := e.far.Open(s, e.nearAddr, func(p *exchange.Packet, at stamp.Receipt) {
		there.handle(p, at)
		back := <-opened
		opened <- back
		_, _ = back.Send(packetOf(exchange.RS, s, byte(p.Index())))
	})
	if err != nil {
		t.Fatal(err)
	}
	opened <- far
	defer func() { _ = far.Close() }()
	good := 0
	const n = 20
	for i := range byte(n) {
		before := time.Now()
		d, err := near.Send(packetOf(exchange.CH, s, i))
		if err != nil {
			t.Fatal(err)
		}
		if !back.wait(t) {
			t.Fatalf("round %d did not come back", i)
		}
		took := time.Since(before)
		packet, at := back.get(i)
		interval, err := stamp.Between(d, at, clock.Quality().GranularityNS)
		if err != nil {
			continue
		}
		good++
		if interval.NS() <= 0 || interval.NS() > int64(took) {
			t.Errorf("round %d: %d ns, but it took no more than %v", i, interval.NS(), took)
		}
		if packet != *packetOf(exchange.RS, s, i) {
			t.Errorf("round %d: another packet came back", i)
		}
	}
	if good < n/2 {
		t.Errorf("%d of %d rounds passed the clock rule", good, n)
	}
	if near.Kind() != e.near.Kind() || !near.Kind().Valid() {
		t.Errorf("path says %v, port %v", near.Kind(), e.near.Kind())
	}
}

func oneHandler(t *testing.T, e ends) {
	s := exchange.Session{2}
	p, err := e.near.Open(s, e.farAddr, func(*exchange.Packet, stamp.Receipt) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.near.Open(s, e.farAddr, func(*exchange.Packet, stamp.Receipt) {}); !errors.Is(err, timing.ErrSessionOpen) {
		t.Errorf("second opening: %v", err)
	}
	if _, err := e.near.Open(exchange.Session{3}, nil, func(*exchange.Packet, stamp.Receipt) {}); !errors.Is(err, timing.ErrPeer) {
		t.Errorf("no peer: %v", err)
	}
	_ = p.Close()
	again, err := e.near.Open(s, e.farAddr, func(*exchange.Packet, stamp.Receipt) {})
	if err != nil {
		t.Errorf("opening after closing: %v", err)
	} else {
		_ = again.Close()
	}
}

// eventually waits until a counter of the port has risen.
func eventually(t *testing.T, what string, read func() uint64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if read() > 0 {
			return
		}
	}
	t.Errorf("%s: not counted", what)
}

func closedSessions(t *testing.T, e ends) {
	s := exchange.Session{4}
	got := newReceived()
	far, err := e.far.Open(s, e.nearAddr, got.handle)
	if err != nil {
		t.Fatal(err)
	}
	near, err := e.near.Open(s, e.farAddr, func(*exchange.Packet, stamp.Receipt) {})
	if err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	if _, err := far.Send(packetOf(exchange.CH, s, 0)); !errors.Is(err, timing.ErrClosed) {
		t.Errorf("sending on a closed path: %v", err)
	}
	before := e.far.Stats().Unknown
	if _, err := near.Send(packetOf(exchange.CH, s, 0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "packet of a closed session", func() uint64 { return e.far.Stats().Unknown - before })
	_ = near.Close()
	if len(got.packets) != 0 {
		t.Error("a closed session's handler was called")
	}
}

// malformed sends what begins like a round packet and is none. On datagrams a stranger cannot write at all.
func malformed(t *testing.T, e ends) {
	if e.stranger == nil {
		return
	}
	for _, payload := range [][]byte{{exchange.CH}, make([]byte, 63), append([]byte{0x0f}, make([]byte, 63)...), append([]byte{exchange.CH, 9}, make([]byte, 62)...)} {
		if len(payload) == 63 {
			payload[0] = exchange.CH
		}
		before := e.far.Stats().Malformed
		if _, err := e.stranger.WriteTo(payload, e.farAddr); err != nil {
			t.Fatal(err)
		}
		eventually(t, "malformed packet", func() uint64 { return e.far.Stats().Malformed - before })
	}
}

func closedPort(t *testing.T, e ends) {
	if err := e.far.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.far.Open(exchange.Session{5}, e.nearAddr, func(*exchange.Packet, stamp.Receipt) {}); !errors.Is(err, timing.ErrClosed) {
		t.Errorf("opening on a closed port: %v", err)
	}
}

// TestSourceAddressIsChecked: a well-formed packet of a live session from another address than the session's peer reaches no handler.
func TestSourceAddressIsChecked(t *testing.T) {
	for _, name := range []string{"transport", "wrapped", "plain", "steered"} {
		t.Run(name, func(t *testing.T) {
			e := makers[name](t, hostClock(t))
			defer func() { _ = e.near.Close(); _ = e.far.Close() }()
			s := exchange.Session{6}
			got := newReceived()
			far, err := e.far.Open(s, e.nearAddr, got.handle)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = far.Close() }()
			eventually(t, "packet from a stranger", func() uint64 {
				if _, err := e.stranger.WriteTo(packetOf(exchange.RS, s, 0)[:], e.farAddr); err != nil {
					t.Fatal(err)
				}
				return e.far.Stats().Address
			})
			if len(got.packets) != 0 {
				t.Error("the handler was called")
			}
		})
	}
}

// TestQUICGoesOnBesideRounds: while rounds are answered below it, QUIC on the same socket still works and sees none of them.
func TestQUICGoesOnBesideRounds(t *testing.T) {
	clock := hostClock(t)
	below := loopback(t)
	port, err := timing.Wrap(below, clock)
	if err != nil {
		t.Fatal(err)
	}
	tr := transportOn(t, port.Conn())
	_ = tr
	s := exchange.Session{7}
	noisy := loopback(t)
	got := newReceived()
	path, err := port.Open(s, noisy.LocalAddr(), got.handle)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = path.Close() }()
	for range 50 {
		if _, err := noisy.WriteTo(packetOf(exchange.CH, s, 0)[:], below.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	client := &quic.Transport{Conn: loopback(t)}
	defer func() { _ = client.Close() }()
	conn, err := client.Dial(t.Context(), below.LocalAddr(), channel.ClientTLS(), channel.QUIC(-1, false))
	if err != nil {
		t.Fatal(err)
	}
	if conn.ConnectionState().TLS.CurveID != tls.X25519MLKEM768 {
		t.Error("another key exchange")
	}
	_ = conn.CloseWithError(0, "")
	for range 50 {
		if !got.wait(t) {
			t.Fatal("rounds lost beside QUIC")
		}
	}
	for _, at := range got.at {
		if runtime.GOOS == "linux" && at.Source() != stamp.Kernel {
			t.Fatalf("arrival stamped by %v, want the kernel", at.Source())
		}
	}
}
