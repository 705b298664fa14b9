package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

var virtual = timing.GoClock{Q: stamp.Quality{GranularityNS: 1, ErrPPB: 1}}

// rig is one beacon over the fabric, 20 ms of round trip from everybody, inside a synctest bubble.
type rig struct {
	t      *testing.T
	fabric *fabric.Fabric
	world  *exchangetest.World
	server *server.Server
	log    *lockedBuffer
	stop   context.CancelFunc
	done   chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, edit func(*server.Config)) *rig {
	t.Helper()
	f, err := fabric.New(fabric.Config{Seed: 1, Path: fabric.Link{OneWay: 10 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Listen("beacon", netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fabric: f, log: &lockedBuffer{}, done: make(chan error, 1)}
	r.world = exchangetest.New(t, time.Now(), exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: e.AddrPort().String()})
	cfg := server.Config{
		Key: r.world.Beacons[0], Directory: r.world.Directory, Attestation: []byte("beacon result"), Clock: virtual,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	if edit != nil {
		edit(&cfg)
	}
	if r.server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- r.server.Serve(ctx, e) }()
	return r
}

// close ends the beacon and the network; nothing may be left running.
func (r *rig) close() {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	if err := r.fabric.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) socket(name string) *fabric.Endpoint {
	r.t.Helper()
	e, err := r.fabric.Listen(name, netip.AddrPort{})
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// probe lets a core of that name ask the beacon once.
func (r *rig) probe(name string, socket net.PacketConn) error {
	r.t.Helper()
	core := exchangetest.Key(r.t, identity.RoleCore, name)
	out, err := prober.Run(context.Background(), prober.Config{
		Key: core, TimedKey: exchangetest.TimedKey(r.t, "timed"), Directory: r.world.Directory, Conn: socket, Attestation: []byte("core result"), Clock: virtual,
	}, r.world.Challenge(r.t, core.ID(), nil))
	if err != nil {
		return err
	}
	if len(out.Failures) > 0 {
		return out.Failures[0].Err
	}
	return nil
}

func (r *rig) dial(socket net.PacketConn) (*quic.Transport, *quic.Conn, error) {
	tr := &quic.Transport{Conn: socket}
	addr, err := net.ResolveUDPAddr("udp", r.world.Directory.Beacons[0].Address)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := tr.Dial(r.t.Context(), addr, channel.ClientTLS(), channel.QUIC(-1, false))
	return tr, conn, err
}

func TestServesAndStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if err := r.probe("core", r.socket("core")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		s := r.server.Stats()
		if s.Statements != 1 || s.Countersigned != 1 || s.Refused != 0 || s.InProgress != 0 || s.Handshakes != 0 {
			t.Errorf("%+v", s)
		}
		if log := r.log.String(); !strings.Contains(log, "statement signed") || !strings.Contains(log, "rtt_beacon_min_ns=20000000") {
			t.Errorf("log: %s", log)
		}
		r.close()
	})
}

// TestQuotas: exchanges in all, of one address prefix and of one core are bounded, and a place is free again when its exchange ends.
func TestQuotas(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*server.Config)
		cores [2]string
		want  error
	}{
		{"of one core", func(c *server.Config) { c.MaxPerCore = 1 }, [2]string{"core", "core"}, exchange.ErrQuota},
		{"of one prefix", func(c *server.Config) { c.MaxPerPrefix = 1 }, [2]string{"core", "other core"}, exchange.ErrQuota},
		{"in all", func(c *server.Config) { c.MaxExchanges = 1 }, [2]string{"core", "other core"}, exchange.ErrBusy},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.edit)
				defer r.close()
				var errs [2]error
				var both sync.WaitGroup
				for i, name := range c.cores {
					socket := r.socket(string(rune('a' + i)))
					both.Go(func() { errs[i] = r.probe(name, socket) })
				}
				both.Wait()
				refused := errors.Join(errs[:]...)
				if !errors.Is(refused, c.want) || errs[0] != nil && errs[1] != nil {
					t.Errorf("%v; want one of two refused for %v", errs, c.want)
				}
				time.Sleep(2 * time.Second)
				if err := r.probe(c.cores[0], r.socket("again")); err != nil {
					t.Errorf("after both have ended: %v", err)
				}
			})
		})
	}
}

// TestSilence: whoever connects and says nothing, or says it byte by byte, is gone after the step's time, and holds nothing then.
func TestSilence(t *testing.T) {
	for name, talk := range map[string]func(s *quic.Stream){
		"no stream":     nil,
		"empty stream":  func(s *quic.Stream) { _, _ = s.Write([]byte{byte(exchange.KindInit)}) },
		"byte by byte":  func(s *quic.Stream) { drip(s, []byte{byte(exchange.KindInit), 0, 0, 0x10, 0}) },
		"absurd length": func(s *quic.Stream) { _, _ = s.Write([]byte{byte(exchange.KindInit), 0xff, 0xff, 0xff, 0xff}) },
		"wrong kind":    func(s *quic.Stream) { _, _ = s.Write([]byte{0x63, 0, 0, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				defer r.close()
				tr, conn, err := r.dial(r.socket("silent"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = tr.Close() }()
				if talk != nil {
					s, err := conn.OpenStream()
					if err != nil {
						t.Fatal(err)
					}
					go talk(s)
				}
				begun := time.Now()
				<-conn.Context().Done()
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("given up after %v", took)
				}
				time.Sleep(time.Second)
				if s := r.server.Stats(); s.InProgress != 0 || s.Refused != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func drip(s *quic.Stream, b []byte) {
	for len(b) < 1000 {
		b = append(b, 0)
	}
	for i := range b {
		if _, err := s.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// TestDrain: an exchange in progress ends well after the context has, a new one is refused.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		begun := make(chan error, 1)
		go func() { begun <- r.probe("core", r.socket("core")) }()
		time.Sleep(150 * time.Millisecond) // handshake, opening and some rounds are over
		r.stop()
		time.Sleep(50 * time.Millisecond)
		if err := r.probe("other core", r.socket("late")); err == nil {
			t.Error("an exchange began after the end")
		}
		if err := <-begun; err != nil {
			t.Errorf("the exchange in progress: %v", err)
		}
		r.close()
	})
}

// TestBatches: statements that are due together share one signature; each verifies by its path.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *server.Config) { c.Linger = 500 * time.Millisecond })
		defer r.close()
		var signatures sync.Map
		var all sync.WaitGroup
		for _, name := range []string{"core", "other core", "near core", "third core", "fourth core"} {
			socket := r.socket(name)
			all.Go(func() {
				core := exchangetest.Key(t, identity.RoleCore, name)
				out, err := prober.Run(t.Context(), prober.Config{
					Key: core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: r.world.Directory, Conn: socket, Attestation: []byte("core result"), Clock: virtual,
				}, r.world.Challenge(t, core.ID(), nil))
				if err != nil || len(out.Answers) != 1 {
					t.Errorf("%s: %v, %v", name, err, out.Failures)
					return
				}
				e := out.Answers[0].Signed
				if e.Path == nil || e.Path.Size < 2 {
					t.Errorf("%s: signed alone", name)
				}
				signatures.Store(string(e.Signature), true)
			})
		}
		all.Wait()
		n := 0
		signatures.Range(func(_, _ any) bool { n++; return true })
		if n == 0 || n > 2 {
			t.Errorf("five statements under %d signatures", n)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		place := exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: r.world.Directory.Beacons[0].Address}
		next := exchangetest.NewEpoch(t, 2, time.Now(), place)
		if err := r.server.Reload(next.Directory); err != nil {
			t.Fatal(err)
		}
		if err := r.server.Reload(r.world.Directory); !errors.Is(err, server.ErrConfig) {
			t.Errorf("an older epoch: %v", err)
		}
		without := exchangetest.NewEpoch(t, 3, time.Now(), exchangetest.Place{Name: "Elsewhere", Address: "192.0.2.9:1", At: place.At})
		if err := r.server.Reload(without.Directory); !errors.Is(err, server.ErrUnlisted) {
			t.Errorf("a directory without this beacon: %v", err)
		}
		if err := r.server.Reload(nil); !errors.Is(err, server.ErrConfig) {
			t.Errorf("no directory: %v", err)
		}
		// A gate that is one epoch behind, as happens while a new directory spreads, is still answered; two behind is not.
		if err := r.probe("core", r.socket("behind")); err != nil {
			t.Errorf("a challenge of the epoch before: %v", err)
		}
		r.world = next
		if err := r.probe("core", r.socket("core")); err != nil {
			t.Errorf("a challenge of the new epoch: %v", err)
		}
	})
}

func TestConfigRefusals(t *testing.T) {
	w := exchangetest.New(t, time.Now(), exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: "192.0.2.1:4433"})
	good := server.Config{Key: w.Beacons[0], Directory: w.Directory, Attestation: []byte("result")}
	for _, c := range []struct {
		name string
		edit func(*server.Config)
		want error
	}{
		{"no key", func(c *server.Config) { c.Key = nil }, server.ErrConfig},
		{"a core's key", func(c *server.Config) { c.Key = exchangetest.Key(t, identity.RoleCore, "core") }, server.ErrConfig},
		{"another beacon's key", func(c *server.Config) { c.Key = exchangetest.Key(t, identity.RoleBeacon, "nobody") }, server.ErrUnlisted},
		{"no directory", func(c *server.Config) { c.Directory = nil }, server.ErrConfig},
		{"no attestation", func(c *server.Config) { c.Attestation = nil }, server.ErrConfig},
		{"a strange path", func(c *server.Config) { c.Path = 77 }, server.ErrConfig},
		{"negative limit", func(c *server.Config) { c.MaxPerCore = -1 }, server.ErrConfig},
		{"too few rounds", func(c *server.Config) { c.Limits = exchange.DefaultLimits(); c.Limits.MinRounds = 1 }, exchange.ErrLimits},
		{"expired", func(c *server.Config) { c.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) } }, server.ErrUnlisted},
	} {
		cfg := good
		c.edit(&cfg)
		if _, err := server.New(cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := server.New(good); err != nil {
		t.Error(err)
	}
}

// TestLogsNoSecrets: nothing that could open a session stands in the log.
func TestLogsNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if err := r.probe("core", r.socket("core")); err != nil {
			t.Error(err)
		}
		_ = r.probe("core", struct{ net.PacketConn }{r.socket("again")})
		r.close()
		for _, word := range []string{"seed", "nonce", "secret", "exporter", "challenge="} {
			if strings.Contains(r.log.String(), word) {
				t.Errorf("log mentions %q:\n%s", word, r.log)
			}
		}
	})
}
