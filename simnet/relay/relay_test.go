package relay_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a relay in virtual time, between endpoints of a network that takes no time itself.
type bench struct {
	net    *fabric.Fabric
	server *fabric.Endpoint
	relay  *relay.Relay
}

func (b *bench) listen(t testing.TB, name string) *fabric.Endpoint {
	t.Helper()
	e, err := b.net.Listen(name, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newBench(t testing.TB, cfg relay.Config) *bench {
	t.Helper()
	f, err := fabric.New(fabric.Config{Path: fabric.Link{}, Queue: 1 << 17})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	b := &bench{net: f}
	b.server = b.listen(t, "server")
	sockets := 0
	cfg.Clients, cfg.Server = b.listen(t, "relay"), b.server.LocalAddr()
	cfg.Dial = func() (net.PacketConn, error) {
		sockets++
		return b.listen(t, fmt.Sprint("relay's socket ", sockets)), nil
	}
	if b.relay, err = relay.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.relay.Close() })
	return b
}

// echo answers every packet with itself until the socket is closed.
func echo(c net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = c.WriteTo(buf[:n], from)
		}
	}
}

func TestVirtualDelaysAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, relay.Config{
			Up:   relay.Direction{Link: fabric.Link{OneWay: 7 * time.Millisecond}},
			Down: relay.Direction{Link: fabric.Link{OneWay: 11*time.Millisecond + 1}},
		})
		go echo(b.server)
		one, two := b.listen(t, "one"), b.listen(t, "two")
		for range 10 {
			for name, c := range map[string]*fabric.Endpoint{"one": one, "two": two} {
				start := time.Now()
				if _, err := c.WriteTo([]byte(name), b.relay.Addr()); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 10)
				n, from, err := c.ReadFrom(buf)
				if rtt := time.Since(start); err != nil || rtt != 18*time.Millisecond+1 || string(buf[:n]) != name || from.String() != b.relay.Addr().String() {
					t.Fatalf("%q from %v after %v, %v", buf[:n], from, rtt, err)
				}
			}
		}
		if s := b.relay.Stats(); s.Up != 20 || s.Down != 20 || s.Sessions != 2 || s.Lateness.Max() != 0 {
			t.Error(s)
		}
	})
}

// flight sends n stamped packets through a relay to a server that sends them back with a stamp of its own, and counts what
// arrived earlier than the configured delay of its direction allows. All stamps are users'.
type flight struct {
	mu                 sync.Mutex
	arrived, early     int
	swapped            int
	leastUp, leastDown time.Duration
}

func (f *flight) note(took, least time.Duration, smallest *time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived++
	if took < least {
		f.early++
	}
	if *smallest == 0 || took < *smallest {
		*smallest = took
	}
}

// serve is the far side; run is the near side, which paces itself by what comes back.
func (f *flight) serve(c net.PacketConn, start time.Time, up time.Duration) {
	buf := make([]byte, 64)
	for {
		n, from, err := c.ReadFrom(buf)
		now := time.Since(start)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 16 {
			continue
		}
		f.note(now-time.Duration(binary.BigEndian.Uint64(buf)), up, &f.leastUp)
		binary.BigEndian.PutUint64(buf, uint64(time.Since(start)))
		_, _ = c.WriteTo(buf[:16], from)
	}
}

func (f *flight) run(c net.PacketConn, to net.Addr, start time.Time, down time.Duration, n int, pause time.Duration) {
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 64)
		last := uint64(0)
		for {
			k, _, err := c.ReadFrom(buf)
			now := time.Since(start)
			if err != nil || k != 16 {
				return
			}
			f.note(now-time.Duration(binary.BigEndian.Uint64(buf)), down, &f.leastDown)
			if number := binary.BigEndian.Uint64(buf[8:]); number < last {
				f.swapped++
			} else {
				last = number
			}
		}
	})
	for i := range n {
		packet := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(time.Since(start)))
		_, _ = c.WriteTo(binary.BigEndian.AppendUint64(packet, uint64(i)), to)
		if i%32 == 31 {
			time.Sleep(pause)
		}
	}
	time.Sleep(300 * time.Millisecond)
	_ = c.SetReadDeadline(time.Now())
	reader.Wait()
}

var rough = relay.Config{
	Up:   relay.Direction{Link: fabric.Link{OneWay: 2 * time.Millisecond, Jitter: fabric.Mixture{Clean: 0.5, Else: fabric.Exponential{Mean: time.Millisecond}}, Loss: 0.01}, Overtake: true, Duplicate: 0.01},
	Down: relay.Direction{Link: fabric.Link{OneWay: 3 * time.Millisecond, Jitter: fabric.Uniform{Max: time.Millisecond}, Loss: 0.01}, Overtake: true, Duplicate: 0.01},
}

// The promise, over 10^5 stamps in virtual time: with jitter, loss, duplicates and reordering nothing is early, and the law of
// loss and duplicates holds.
func TestNeverEarlyInVirtualTime(t *testing.T) {
	const n = 60_000
	synctest.Test(t, func(t *testing.T) {
		cfg := rough
		cfg.Seed = uint64(time.Now().UnixNano())
		b := newBench(t, cfg)
		var f flight
		start := time.Now()
		go f.serve(b.server, start, cfg.Up.Link.OneWay)
		f.run(b.listen(t, "client"), b.relay.Addr(), start, cfg.Down.Link.OneWay, n, time.Millisecond)
		s := b.relay.Stats()
		if f.early > 0 || f.arrived < 100_000 || f.swapped == 0 {
			t.Errorf("%d of %d early, %d overtook (seed %d)", f.early, f.arrived, f.swapped, cfg.Seed)
		}
		if f.leastUp != cfg.Up.Link.OneWay || f.leastDown > cfg.Down.Link.OneWay+10*time.Microsecond {
			t.Errorf("the least are %v and %v", f.leastUp, f.leastDown)
		}
		handled := float64(s.Up + s.Down + s.Lost)
		within(t, "lost", float64(s.Lost), handled, 0.01)
		within(t, "duplicated", float64(s.Duplicated), handled/1.01, 0.01)
	})
}

func within(t *testing.T, what string, k, n, p float64) {
	t.Helper()
	if dev := math.Sqrt(n * p * (1 - p)); math.Abs(k-p*n) > 6*dev {
		t.Errorf("%s: %.0f of %.0f, want a share of %v", what, k, n, p)
	}
}

// The same over the kernel's loopback, where the machine's scheduling takes part.
func TestNeverEarlyOverLoopback(t *testing.T) {
	const n = 20_000
	server := loopbackSocket(t)
	cfg := rough
	cfg.Seed = 1
	r, err := relay.Listen("127.0.0.1:0", server.LocalAddr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var f flight
	start := time.Now()
	var far sync.WaitGroup
	far.Go(func() { f.serve(server, start, cfg.Up.Link.OneWay) })
	f.run(loopbackSocket(t), r.Addr(), start, cfg.Down.Link.OneWay, n, 200*time.Microsecond)
	t.Log(r.Stats())
	t.Logf("least beyond the delay: %v up, %v down", f.leastUp-cfg.Up.Link.OneWay, f.leastDown-cfg.Down.Link.OneWay)
	_ = r.Close()
	_ = server.Close()
	far.Wait()
	if f.early > 0 || f.arrived < n/20 { // a busy machine's sockets overflow; what came is enough to look at
		t.Errorf("%d of %d early", f.early, f.arrived)
	}
}

func loopbackSocket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Skipf("no loopback socket: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// One seed, one fate of every packet.
func TestSameSeedSameFate(t *testing.T) {
	run := func(seed uint64) (times string) {
		synctest.Test(t, func(t *testing.T) {
			cfg := rough
			cfg.Seed = seed
			b := newBench(t, cfg)
			go echo(b.server)
			c := b.listen(t, "client")
			start := time.Now()
			for range 200 {
				_, _ = c.WriteTo([]byte("x"), b.relay.Addr())
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			for {
				_, _, at, err := c.ReadFromStamped(make([]byte, 1))
				if err != nil {
					return
				}
				times += fmt.Sprint(at.Sub(start), " ")
			}
		})
		return times
	}
	if a := run(1); a != run(1) || a == run(2) || len(a) < 1000 {
		t.Error("the seed does not decide")
	}
}

func TestLimitsOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, relay.Config{Sessions: 2, Idle: time.Second})
		go echo(b.server)
		var clients []*fabric.Endpoint
		for i := range 3 {
			clients = append(clients, b.listen(t, fmt.Sprint("client", i)))
		}
		answered := func(c *fabric.Endpoint) bool {
			_, _ = c.WriteTo([]byte("x"), b.relay.Addr())
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _, err := c.ReadFrom(make([]byte, 1))
			return err == nil
		}
		if !answered(clients[0]) || !answered(clients[1]) || answered(clients[2]) {
			t.Error("two sessions, and the third was let in or one of the first was not")
		}
		if s := b.relay.Stats(); s.Refused != 1 || s.Sessions != 2 {
			t.Error(s)
		}
		for range 5 { // one stays busy, the other falls silent
			time.Sleep(500 * time.Millisecond)
			if !answered(clients[0]) {
				t.Error("a busy session ended")
			}
		}
		if s := b.relay.Stats(); s.Sessions != 1 || !answered(clients[2]) {
			t.Error("a silent session kept its place", s)
		}
	})
}

// What others than the server send to a session's socket reaches no client.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, relay.Config{})
		client, stranger := b.listen(t, "client"), b.listen(t, "stranger")
		_, _ = client.WriteTo([]byte("x"), b.relay.Addr())
		_, session, err := b.server.ReadFrom(make([]byte, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stranger.WriteTo([]byte("forged"), session)
		_ = client.SetReadDeadline(time.Now().Add(time.Second))
		if n, _, err := client.ReadFrom(make([]byte, 10)); err == nil {
			t.Errorf("%d bytes of a stranger got through", n)
		}
		if s := b.relay.Stats(); s.Strangers != 1 || s.Down != 0 {
			t.Error(s)
		}
	})
}

func TestCrowdedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, relay.Config{InFlight: 5, Up: relay.Direction{Link: fabric.Link{OneWay: time.Second}}})
		client := b.listen(t, "client")
		for range 9 {
			_, _ = client.WriteTo([]byte("x"), b.relay.Addr())
		}
		time.Sleep(2 * time.Second)
		if s := b.relay.Stats(); s.Up != 5 || s.Crowded != 4 {
			t.Error(s)
		}
	})
}

// A server that is not there is told by ICMP errors; the relay lives on and serves once it is.
func TestServerComesLate(t *testing.T) {
	free := loopbackSocket(t)
	at := free.LocalAddr().(*net.UDPAddr)
	_ = free.Close()
	r, err := relay.Listen("127.0.0.1:0", at.String(), relay.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client := loopbackSocket(t)
	for range 3 {
		_, _ = client.WriteTo([]byte("x"), r.Addr())
	}
	time.Sleep(5 * time.Millisecond)
	server, err := net.ListenUDP("udp4", at)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	var far sync.WaitGroup
	far.Go(func() { echo(server) })
	defer far.Wait()
	defer server.Close()
	_, _ = client.WriteTo([]byte("x"), r.Addr())
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := client.ReadFrom(make([]byte, 1)); err != nil {
		t.Errorf("%v; %v", err, r.Stats())
	}
}

func TestRefusals(t *testing.T) {
	taken := loopbackSocket(t)
	server := "127.0.0.1:4433"
	link := func(l fabric.Link) relay.Config { return relay.Config{Up: relay.Direction{Link: l}} }
	for _, c := range []struct {
		what, listen, server string
		cfg                  relay.Config
		is                   error
	}{
		{"port in use", taken.LocalAddr().String(), server, relay.Config{}, syscall.EADDRINUSE},
		{"no server", "127.0.0.1:0", "", relay.Config{}, relay.ErrConfig},
		{"server without port", "127.0.0.1:0", "127.0.0.1:0", relay.Config{}, relay.ErrConfig},
		{"server anywhere", "127.0.0.1:0", "0.0.0.0:4433", relay.Config{}, relay.ErrConfig},
		{"no address", "nonsense", server, relay.Config{}, relay.ErrConfig},
		{"negative delay", "127.0.0.1:0", server, link(fabric.Link{OneWay: -1}), relay.ErrConfig},
		{"loss above one", "127.0.0.1:0", server, link(fabric.Link{Loss: 1.5}), relay.ErrConfig},
		{"loss undefined", "127.0.0.1:0", server, link(fabric.Link{Loss: math.NaN()}), relay.ErrConfig},
		{"duplicates undefined", "127.0.0.1:0", server, relay.Config{Down: relay.Direction{Duplicate: math.NaN()}}, relay.ErrConfig},
		{"negative limit", "127.0.0.1:0", server, relay.Config{Sessions: -1}, relay.ErrConfig},
	} {
		r, err := relay.Listen(c.listen, c.server, c.cfg)
		if !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.what, err)
		}
		if r != nil {
			_ = r.Close()
		}
	}
	if _, err := relay.Start(relay.Config{}); !errors.Is(err, relay.ErrConfig) {
		t.Errorf("no sockets: %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	r, err := relay.Listen("127.0.0.1:0", "127.0.0.1:9", relay.Config{})
	if err != nil {
		t.Skip(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// The round trip over loopback through a relay of 1 + 1 ms: what the relay itself adds.
func BenchmarkRoundTrip(b *testing.B) {
	server, client := loopbackSocket(b), loopbackSocket(b)
	way := relay.Direction{Link: fabric.Link{OneWay: time.Millisecond}}
	r, err := relay.Listen("127.0.0.1:0", server.LocalAddr().String(), relay.Config{Up: way, Down: way})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	go echo(server)
	buf := make([]byte, 64)
	least := time.Hour
	for b.Loop() {
		start := time.Now()
		_, _ = client.WriteTo(buf, r.Addr())
		if _, _, err := client.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(start))
	}
	late := r.Stats().Lateness
	p50, _ := late.Quantile(0.5)
	p99, _ := late.Quantile(0.99)
	b.ReportMetric(float64(least-2*time.Millisecond)/1e3, "least-beyond-µs")
	b.ReportMetric(float64(p50)/1e3, "late-p50-µs")
	b.ReportMetric(float64(p99)/1e3, "late-p99-µs")
}
