package server_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// floodSize is how many half-open sessions the flood has: few in every run, 10,000 with URSA_FLOOD=10000.
func floodSize(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("URSA_FLOOD"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 300
}

// firstFlights returns the first packets of n clients that never hear anything.
func firstFlights(t *testing.T, n int, to net.Addr) [][][]byte {
	t.Helper()
	flights := make([][][]byte, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			deaf := &deafConn{}
			tr := &quic.Transport{Conn: deaf}
			_, _ = tr.Dial(t.Context(), to, channel.ClientTLS(), &quic.Config{HandshakeIdleTimeout: 50 * time.Millisecond})
			_ = tr.Close()
			flights[i] = deaf.take()
		})
	}
	all.Wait()
	return flights
}

// deafConn keeps what is written and never reads anything.
type deafConn struct {
	mu       sync.Mutex
	sent     [][]byte
	closed   chan struct{}
	deadline chan struct{}
}

func (d *deafConn) init() {
	if d.closed == nil {
		d.closed, d.deadline = make(chan struct{}), make(chan struct{})
	}
}

func (d *deafConn) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sent[:min(2, len(d.sent))]
}

func (d *deafConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, append([]byte(nil), b...))
	return len(b), nil
}

func (d *deafConn) ReadFrom([]byte) (int, net.Addr, error) {
	d.mu.Lock()
	d.init()
	closed, deadline := d.closed, d.deadline
	d.mu.Unlock()
	select {
	case <-closed:
		return 0, nil, net.ErrClosed
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (d *deafConn) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	close(d.closed)
	return nil
}

func (d *deafConn) SetReadDeadline(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	if !at.IsZero() {
		select {
		case <-d.deadline:
		default:
			close(d.deadline)
		}
	}
	return nil
}

func (d *deafConn) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 9} }
func (d *deafConn) SetDeadline(at time.Time) error   { return d.SetReadDeadline(at) }
func (d *deafConn) SetWriteDeadline(time.Time) error { return nil }
func (d *deafConn) SetReadBuffer(int) error          { return nil }
func (d *deafConn) SetWriteBuffer(int) error         { return nil }

// inUse is the live heap.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestHalfOpenFlood: thousands of clients begin a handshake from as many addresses and fall silent, while an honest core is
// measured. The honest exchange is the same to the nanosecond, memory stays bounded, and afterwards nothing is left. Once with
// Retry for everybody (no state at all), once with Retry from 32 unfinished handshakes on.
func TestHalfOpenFlood(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*server.Config)
	}{
		{"address first", nil},
		{"Retry under load", func(c *server.Config) { c.RetryFrom, c.MaxHandshakes = 32, 128 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.edit)
				defer r.close()
				flights := firstFlights(t, floodSize(t), udpAddrOf(t, r))
				before := inUse()
				attacker := r.socket("attacker")
				flood := make(chan uint64)
				go func() { flood <- r.flood(attacker, flights, time.Second) }()
				time.Sleep(100 * time.Millisecond)
				honest := r.measure("core")
				peak := <-flood
				if honest != 20*time.Millisecond {
					t.Errorf("during the flood the honest core measured %v, want 20 ms", honest)
				}
				const most = 64 << 20
				if grown := int64(peak) - int64(before); grown > most {
					t.Errorf("heap grew by %d MB", grown>>20)
				} else {
					t.Logf("%d half-open sessions: heap grew by %d kB", len(flights), grown>>10)
				}
				time.Sleep(time.Minute)
				if s := r.server.Stats(); s.Handshakes != 0 || s.InProgress != 0 || s.Statements != 1 {
					t.Errorf("after the flood: %+v", s)
				}
			})
		})
	}
}

func udpAddrOf(t *testing.T, r *rig) net.Addr {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", r.world.Directory.Beacons[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// flood sends the flights from an address each, spread over the time, and returns the heap at its end.
func (r *rig) flood(from *fabric.Endpoint, flights [][][]byte, over time.Duration) uint64 {
	to := netip.MustParseAddrPort(r.world.Directory.Beacons[0].Address)
	for i, flight := range flights {
		spoofed := netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16 + byte(i>>16&15), byte(i >> 8), byte(i)}), 1000)
		for _, b := range flight {
			if err := from.SendRaw(fabric.Packet{From: spoofed, To: to, Data: b}); err != nil {
				r.t.Error(err)
			}
		}
		time.Sleep(over / time.Duration(len(flights)))
	}
	time.Sleep(50 * time.Millisecond)
	return inUse()
}

// measure lets a core be measured and returns the beacon's minimum.
func (r *rig) measure(name string) time.Duration {
	core := exchangetest.Key(r.t, identity.RoleCore, name)
	out, err := prober.Run(r.t.Context(), prober.Config{
		Key: core, TimedKey: exchangetest.TimedKey(r.t, "timed"), Directory: r.world.Directory, Conn: r.socket(name), Attestation: []byte("core result"), Clock: virtual,
	}, r.world.Challenge(r.t, core.ID(), nil))
	if err != nil || len(out.Answers) != 1 {
		r.t.Errorf("honest core: %v, %v", err, out.Failures)
		return 0
	}
	return time.Duration(out.Answers[0].Statement.RTTBeaconMinNS)
}

// TestGarbageFlood: random bytes of every beginning, and well-formed packets of sessions that do not exist, at a rate that
// fills the queue.
func TestGarbageFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		attacker := r.socket("attacker")
		to := netip.MustParseAddrPort(r.world.Directory.Beacons[0].Address)
		stop := make(chan struct{})
		flooded := make(chan int)
		go func() {
			rnd, n := rand.New(rand.NewPCG(1, 2)), 0
			for {
				select {
				case <-stop:
					flooded <- n
					return
				default:
				}
				for range 50 {
					b := make([]byte, rnd.IntN(1400))
					for i := range b {
						b[i] = byte(rnd.Uint32())
					}
					if n%2 == 0 {
						b = append([]byte{exchange.RS, exchange.Suite}, make([]byte, 62)...)
						b[4] = byte(n)
					}
					_ = attacker.SendRaw(fabric.Packet{From: attacker.AddrPort(), To: to, Data: b})
					n++
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if honest := r.measure("core"); honest != 20*time.Millisecond {
			t.Errorf("during the flood the honest core measured %v, want 20 ms", honest)
		}
		close(stop)
		n := <-flooded
		s := r.server.Stats()
		t.Logf("%d packets: %+v", n, s.Packets)
		if s.Packets.Unknown == 0 || s.Packets.Delivered != 8 {
			t.Errorf("%+v", s.Packets)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if r.measure("core") == 0 {
			t.Fatal("no measurement")
		}
		time.Sleep(time.Second)
		registry := prometheus.NewPedanticRegistry()
		if err := registry.Register(r.server.Metrics()); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range families {
			for _, m := range f.GetMetric() {
				fmt.Fprintf(&text, "%s%v %v%v\n", f.GetName(), m.GetLabel(), m.GetCounter().GetValue(), m.GetGauge().GetValue())
			}
		}
		for _, want := range []string{"ursa_beacon_statements_total[] 1", "ursa_beacon_countersigned_total[] 1", "ursa_beacon_directory_epoch[] 01"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("want %q in\n%s", want, text.String())
			}
		}
		if strings.Contains(text.String(), "rtt") {
			t.Errorf("a round trip among the metrics:\n%s", text.String())
		}
		r.close()
	})
}
