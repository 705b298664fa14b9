package prober_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serve starts a beacon and stops it with the test.
func serve(t *testing.T, pc net.PacketConn, cfg server.Config) *server.Server {
	t.Helper()
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestLoopbackOnEveryPath(t *testing.T) {
	for _, path := range []exchange.PathKind{exchange.PathWrapped, exchange.PathTransport, exchange.PathDatagram} {
		t.Run(path.String(), func(t *testing.T) {
			sockets := []*net.UDPConn{listen(t), listen(t)}
			w := exchangetest.New(t, time.Now(),
				exchangetest.Place{Name: "Frankfurt", At: earth.LatLon{Lat: 50.1, Lon: 8.7}, Address: sockets[0].LocalAddr().String()},
				exchangetest.Place{Name: "Paris", At: earth.LatLon{Lat: 48.9, Lon: 2.4}, Address: sockets[1].LocalAddr().String()})
			for i, c := range sockets {
				serve(t, c, server.Config{Key: w.Beacons[i], Directory: w.Directory, Attestation: []byte("beacon result"), Path: path})
			}
			core := exchangetest.Key(t, identity.RoleCore, "core")
			challenge := w.Challenge(t, core.ID(), nil)
			out, err := prober.Run(t.Context(), prober.Config{
				Key: core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Conn: listen(t), Attestation: []byte("core result"), Path: path,
			}, challenge)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range out.Failures {
				t.Errorf("%s: %v", f.Place, f.Err)
			}
			if len(out.Answers) != 2 {
				t.Fatalf("%d answers", len(out.Answers))
			}
			for _, a := range out.Answers {
				t.Logf("%s: beacon %d ns, core %d ns, %d/%d rounds, %v, flags %s", a.Beacon.Place, a.Statement.RTTBeaconMinNS, a.RTTCore,
					a.Statement.RoundsOK, a.Statement.RoundsSent, a.Elapsed, a.Statement.Flags)
			}
			verifyProof(t, w, core, challenge, out)
		})
	}
}

// TestLoopbackWithSocketsOfTheirOwn runs rounds beside QUIC on steered sockets, blocking and spinning, and where the right
// exists with the processors held out of idle.
func TestLoopbackWithSocketsOfTheirOwn(t *testing.T) {
	clock, err := timing.HostClock()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, socket exchange.Mode
		flag         statement.Flags
	}{
		{exchange.ModeBlocking, exchange.ModeBlocking, 0}, {exchange.ModeHeld, exchange.ModeBlocking, statement.FlagCoreHeld},
		{exchange.ModeSpinning, exchange.ModeSpinning, statement.FlagCoreSpinning},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			beacon, core := socketOf(t, clock, exchange.ModeBlocking), socketOf(t, clock, c.socket)
			w := exchangetest.New(t, time.Now(),
				exchangetest.Place{Name: "Frankfurt", At: earth.LatLon{Lat: 50.1, Lon: 8.7}, Address: beacon.Conn().LocalAddr().String()})
			s, err := server.New(server.Config{Key: w.Beacons[0], Directory: w.Directory, Attestation: []byte("beacon result"), Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.ServeOn(ctx, beacon) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			key := exchangetest.Key(t, identity.RoleCore, "core")
			challenge := w.Challenge(t, key.ID(), nil)
			out, err := prober.Run(t.Context(), prober.Config{
				Key: key, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Socket: core, Attestation: []byte("core result"), Clock: clock, Mode: c.mode,
			}, challenge)
			if errors.Is(err, timing.ErrHold) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			a := one(t, out)
			verifyProof(t, w, key, challenge, out)
			t.Logf("beacon %d ns, core %v, %d/%d rounds, %s, flags %v", a.Statement.RTTBeaconMinNS, a.RTTCore, a.Statement.RoundsOK,
				a.Statement.RoundsSent, beacon.Kind(), a.Statement.Flags)
			const modes = statement.FlagCoreHeld | statement.FlagCoreSpinning
			if a.Statement.Flags&modes != c.flag {
				t.Errorf("flags %v, want %v", a.Statement.Flags, c.flag)
			}
		})
	}
}

// TestDualStackWildcard: a beacon that is bound to all addresses of both families is asked over IPv4 and over IPv6.
func TestDualStackWildcard(t *testing.T) {
	clock, err := timing.HostClock()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []exchange.PathKind{exchange.PathWrapped, exchange.PathSteered} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(kind.String()+" "+host, func(t *testing.T) {
				beacon := wildcard(t, kind, clock)
				port := strconv.Itoa(beacon.Conn().LocalAddr().(*net.UDPAddr).Port)
				near, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
				if err != nil {
					t.Skip(err)
				}
				defer func() { _ = near.Close() }()
				w := exchangetest.New(t, time.Now(),
					exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: net.JoinHostPort(host, port)})
				s, err := server.New(server.Config{Key: w.Beacons[0], Directory: w.Directory, Attestation: []byte("beacon result"), Clock: clock})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.ServeOn(ctx, beacon) }()
				defer func() { cancel(); <-done }()
				key := exchangetest.Key(t, identity.RoleCore, "core")
				out, err := prober.Run(t.Context(), prober.Config{
					Key: key, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Conn: near, Attestation: []byte("core result"), Clock: clock,
				}, w.Challenge(t, key.ID(), nil))
				if err != nil {
					t.Fatal(err)
				}
				if a := one(t, out); runtime.GOOS == "linux" && !a.Statement.Flags.Has(statement.FlagKernelStamps) {
					t.Errorf("flags %v: the kernel's stamps were lost", a.Statement.Flags)
				}
			})
		}
	}
}

func wildcard(t *testing.T, kind exchange.PathKind, clock stamp.Clock) timing.Socket {
	t.Helper()
	if kind == exchange.PathSteered {
		s, err := timing.Steer("udp", ":0", clock, exchange.ModeBlocking)
		if errors.Is(err, timing.ErrSteering) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	c, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := timing.Wrap(c, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func socketOf(t *testing.T, clock stamp.Clock, mode exchange.Mode) timing.Socket {
	t.Helper()
	s, err := timing.Listen("udp4", "127.0.0.1:0", clock, mode)
	if errors.Is(err, timing.ErrSteering) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// verifyProof seals a proof of the outcome and verifies it as a gate would.
func verifyProof(t *testing.T, w *exchangetest.World, core *identity.Private, challenge []byte, out prober.Outcome) []statement.Fact {
	t.Helper()
	env, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, err := out.Proof(env, []byte("core result"), statement.FirstProof(core.ID()), w.Now.UnixNano()).Seal(core)
	if err != nil {
		t.Fatal(err)
	}
	c := out.Asked.Challenge()
	v, err := statement.VerifyProof(encoded, statement.Expect{
		Directory: w.Directory, Gate: w.Gate.ID(), Core: core.ID(), NonceG: c.NonceG, PolicyHash: c.PolicyHash,
		PreviousProof: statement.FirstProof(core.ID()), NowUnixNS: w.Now.UnixNano(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Facts
}
