package prober_test

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// isRound says whether a UDP payload is a round packet.
func isRound(b []byte) bool { return len(b) > 0 && exchange.IsRoundPacket(b[0]) }

// one returns the only answer of a probe, or fails.
func one(t *testing.T, out prober.Outcome) prober.Answer {
	t.Helper()
	for _, f := range out.Failures {
		t.Errorf("%s: %v", f.Place, f.Err)
	}
	if len(out.Answers) != 1 {
		t.Fatalf("%d answers", len(out.Answers))
	}
	return out.Answers[0]
}

const pathRTT = 40 * time.Millisecond

var path40 = map[string]fabric.Link{"beacon": {OneWay: pathRTT / 2}}

// TestTransportRTTIsNotEvidence: an accomplice beside the beacon ends QUIC early, so that QUIC's own round trip is 1 ms, whether by
// acknowledging what it has not delivered or by claiming acknowledgement delay. Rounds take the real way, and only they count.
// Here all QUIC packets travel 1 ms and all round packets 40.
func TestTransportRTTIsNotEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, map[string]fabric.Link{"beacon": {OneWay: time.Millisecond / 2}}, nil)
		defer stop()
		slow := fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			if isRound(p.Data) {
				p.Hold = pathRTT/2 - time.Millisecond/2
			}
			return []fabric.Packet{p}
		})
		c.socket.(*fabric.Endpoint).InterceptOut(slow)
		c.socket.(*fabric.Endpoint).InterceptIn(slow)
		a := one(t, c.probe(t, nil))
		if a.Statement.RTTBeaconMinNS < int64(pathRTT) || a.Statement.RTTCoreMinNS < int64(pathRTT) {
			t.Errorf("statement says %d and %d ns; rounds took 40 ms", a.Statement.RTTBeaconMinNS, a.Statement.RTTCoreMinNS)
		}
		if a.Elapsed > 40*pathRTT {
			t.Errorf("%v", a.Elapsed)
		}
	})
}

// TestTransportRTTIsNeverRead reads the source of everything between a packet and a statement: nobody asks QUIC what it thinks of
// the path.
func TestTransportRTTIsNeverRead(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range []string{"ConnectionStats", "MinRTT", "SmoothedRTT", "LatestRTT"} {
			if strings.Contains(string(source), word) {
				t.Errorf("%s mentions %s: a transport's round trip can be forged", path, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDelayedAcknowledgement: on a 40 ms path QUIC acknowledges in between, 25 ms after a packet. Whoever takes the last packet
// written for the challenge measures 15 ms; this is checked, so that the test is known to be about something. No bound is below
// 40 ms.
func TestDelayedAcknowledgement(t *testing.T) {
	for _, path := range []exchange.PathKind{exchange.PathDatagram, exchange.PathWrapped, exchange.PathTransport} {
		t.Run(path.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, stop := build(t, path40, func(_ string, s *server.Config) {
					s.Path = path
					s.Limits = exchange.DefaultLimits()
					s.Limits.Agree, s.Limits.Budget = 0, 10*time.Second // all 64 rounds
					s.Limits.Spread = 400 * time.Millisecond
				})
				defer stop()
				var mu sync.Mutex
				naive := time.Hour
				var lastWrite time.Time
				socket := c.socket.(*fabric.Endpoint)
				socket.InterceptOut(fabric.InterceptorFunc(func(now time.Time, p fabric.Packet) []fabric.Packet {
					mu.Lock()
					defer mu.Unlock()
					lastWrite = now
					return []fabric.Packet{p}
				}))
				socket.InterceptIn(fabric.InterceptorFunc(func(now time.Time, p fabric.Packet) []fabric.Packet {
					mu.Lock()
					defer mu.Unlock()
					if !lastWrite.IsZero() {
						naive = min(naive, now.Sub(lastWrite))
					}
					return []fabric.Packet{p}
				}))
				a := one(t, c.probe(t, func(p *prober.Config) { p.Path = path }))
				if a.Statement.RoundsOK != 64 || a.Statement.RTTBeaconMinNS < int64(pathRTT) || a.RTTCore.Duration() < pathRTT {
					t.Errorf("%d rounds, beacon %d ns, core %v", a.Statement.RoundsOK, a.Statement.RTTBeaconMinNS, a.RTTCore)
				}
				t.Logf("last packet written to next packet read: %v", naive)
				if path == exchange.PathDatagram && naive >= pathRTT {
					t.Error("no acknowledgement fell in between: the test shows nothing")
				}
			})
		})
	}
}

// TestPathMigrationInTheTimedPhase: from the third answer on, the core's packets come from another port (a relay nearer to the
// beacon, or a NAT that rebinds). They reach no handler, so there are too few rounds and no statement.
func TestPathMigrationInTheTimedPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, func(_ string, s *server.Config) {
			s.Limits = exchange.DefaultLimits()
			s.Limits.MaxRounds, s.Limits.Timeout = 10, 100*time.Millisecond
		})
		defer stop()
		socket := c.socket.(*fabric.Endpoint)
		moved := netip.AddrPortFrom(socket.AddrPort().Addr(), 50_000)
		answers := 0
		socket.InterceptOut(fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			if isRound(p.Data) {
				if answers++; answers > 2 {
					p.From = moved
				}
			}
			return []fabric.Packet{p}
		}))
		out := c.probe(t, nil)
		if len(out.Failures) != 1 || !errors.Is(out.Failures[0].Err, exchange.ErrTooFewRounds) {
			t.Fatalf("answers %d, failures %v; want too few rounds", len(out.Answers), out.Failures)
		}
	})
}

// TestLyingBeaconIsOutvoted: a beacon whose clock shows half the time signs half the round trip. The core's own direction
// stands beside it.
func TestLyingBeaconIsOutvoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, func(_ string, s *server.Config) { s.Clock = halfClock{} })
		defer stop()
		out := c.probe(t, nil)
		one(t, out)
		fact := verifyProof(t, c.World, c.core, c.Challenge(t, c.core.ID(), nil), out)
		if fact == nil {
			t.Fatal("no fact")
		}
		if f := fact[0]; f.RTTBeacon.Duration() >= pathRTT || f.Bound(statement.TimingBoth).Duration() < pathRTT || !f.Flags.Has(statement.FlagDirectionMismatch) {
			t.Errorf("beacon %v, bound %v, flags %v", f.RTTBeacon, f.Bound(statement.TimingBoth), f.Flags)
		}
	})
}

// TestDistanceIsNotShortenedByLossAndJitter runs over a bad network and sees nothing below the delay, in both directions.
func TestDistanceIsNotShortenedByLossAndJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := map[string]fabric.Link{
			"lossy":   {OneWay: 10 * time.Millisecond, Loss: 0.1},
			"jittery": {OneWay: 10 * time.Millisecond, Jitter: fabric.Exponential{Mean: 3 * time.Millisecond}},
			"both":    {OneWay: 10 * time.Millisecond, Jitter: fabric.Uniform{Max: 5 * time.Millisecond}, Loss: 0.05},
		}
		c, stop := build(t, links, nil)
		defer stop()
		out := c.probe(t, nil)
		for _, f := range out.Failures {
			t.Logf("%s: %v", f.Place, f.Err)
		}
		for _, a := range out.Answers {
			if a.Statement.RTTBeaconMinNS < 20e6 || a.Statement.RTTCoreMinNS < 20e6 {
				t.Errorf("%s: %d and %d ns over 20 ms", a.Beacon.Place, a.Statement.RTTBeaconMinNS, a.Statement.RTTCoreMinNS)
			}
		}
		if len(out.Answers) == 0 {
			t.Error("nobody answered")
		}
	})
}

// TestChannelRefusals: what does not offer exactly TLS 1.3 with X25519MLKEM768 and ursa/1 gets no channel; nothing is ever
// resumed and no 0-RTT data is taken, however much the client would like to.
func TestChannelRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, nil)
		defer stop()
		beacon := c.Directory.Beacons[0]
		tr := &quic.Transport{Conn: c.socket}
		defer func() { _ = tr.Close() }()
		addr := udpAddr(t, beacon.Address)

		classical := channel.ClientTLS()
		classical.CurvePreferences = []tls.CurveID{tls.X25519}
		if _, err := tr.Dial(t.Context(), addr, classical, channel.QUIC(-1, false)); err == nil {
			t.Error("a classical key exchange was accepted")
		}
		stranger := channel.ClientTLS()
		stranger.NextProtos = []string{"h3"}
		if _, err := tr.Dial(t.Context(), addr, stranger, channel.QUIC(-1, false)); err == nil {
			t.Error("another protocol was accepted")
		}

		resuming := channel.ClientTLS()
		resuming.SessionTicketsDisabled = false
		resuming.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		resuming.ServerName = "beacon"
		for range 2 {
			conn, err := tr.DialEarly(t.Context(), addr, resuming, channel.QUIC(-1, false))
			if err != nil {
				t.Fatal(err)
			}
			<-conn.HandshakeComplete()
			time.Sleep(time.Second) // for a ticket, if one were sent
			state := conn.ConnectionState()
			if state.TLS.DidResume || state.Used0RTT {
				t.Error("a channel was resumed")
			}
			_ = conn.CloseWithError(0, "")
		}
	})
}

// TestFallback: where packets beside QUIC do not pass, the exchange is done over DATAGRAM frames, and the statement says so.
func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, func(_ string, s *server.Config) {
			s.Limits = exchange.DefaultLimits()
			s.Limits.MaxRounds, s.Limits.Timeout = 8, 100*time.Millisecond
		})
		defer stop()
		c.socket.(*fabric.Endpoint).InterceptIn(fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			if isRound(p.Data) {
				return nil
			}
			return []fabric.Packet{p}
		}))
		out := c.probe(t, func(p *prober.Config) { p.NoFallback = true })
		if len(out.Failures) != 1 || !errors.Is(out.Failures[0].Err, exchange.ErrTooFewRounds) {
			t.Errorf("without fallback: %v", out.Failures)
		}
		a := one(t, c.probe(t, nil))
		if !a.Statement.Flags.Has(statement.FlagDatagram) || a.Statement.RTTBeaconMinNS != int64(pathRTT) {
			t.Errorf("%d ns, flags %v", a.Statement.RTTBeaconMinNS, a.Statement.Flags)
		}
	})
}

// TestRetry: a beacon asks every stranger to prove its address; with the token that it then gives out, the next exchange is one
// round trip shorter. What is measured stays the same.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, nil)
		defer stop()
		tokens := quic.NewLRUTokenStore(10, 4)
		first := one(t, c.probe(t, func(p *prober.Config) { p.Tokens = tokens; p.Random = exchangetest.NewRandom(1) }))
		second := one(t, c.probe(t, func(p *prober.Config) { p.Tokens = tokens; p.Random = exchangetest.NewRandom(1) }))
		if first.Statement.RTTBeaconMinNS != int64(pathRTT) || second.Statement.RTTBeaconMinNS != int64(pathRTT) {
			t.Errorf("%d and %d ns", first.Statement.RTTBeaconMinNS, second.Statement.RTTBeaconMinNS)
		}
		t.Logf("first %v, with a token %v", first.Elapsed, second.Elapsed)
	})
}

// TestNoAmplification counts what a beacon sends to an address that never answers, against what came from there.
func TestNoAmplification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, path40, nil)
		defer stop()
		var in, out atomic.Int64
		socket := c.socket.(*fabric.Endpoint)
		socket.InterceptOut(fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			in.Add(int64(len(p.Data)))
			return []fabric.Packet{p}
		}))
		socket.InterceptIn(fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			if sent, got := out.Add(int64(len(p.Data))), in.Load(); sent > got {
				t.Errorf("%d bytes sent to an unproven address for %d received", sent, got)
			}
			return nil // the address is not the sender's: nothing comes back
		}))
		tr := &quic.Transport{Conn: socket}
		defer func() { _ = tr.Close() }()
		_, err := tr.Dial(t.Context(), udpAddr(t, c.Directory.Beacons[0].Address), channel.ClientTLS(), channel.QUIC(-1, false))
		if err == nil {
			t.Fatal("a handshake without answers")
		}
		t.Logf("%d bytes in, %d out", in.Load(), out.Load())
	})
}
