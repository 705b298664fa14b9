package relay_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/relay"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// host is one end: a socket with QUIC on it and a port for rounds (none on the datagram path, where each connection has its own).
type host struct {
	transport *quic.Transport
	port      timing.Port
	tap       *tap
	addr      net.Addr
	closers   []func() error
}

func openHost(path exchange.PathKind, clock stamp.Clock) (*host, error) {
	h := &host{}
	if path == exchange.PathSteered {
		p, err := timing.Steer("udp4", "127.0.0.1:0", clock, exchange.ModeBlocking)
		if err != nil {
			return nil, err
		}
		h.port, h.transport, h.addr = p, &quic.Transport{Conn: p.Conn()}, p.Conn().LocalAddr()
		h.closers = []func() error{h.transport.Close, p.Close}
		return h, nil
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	h.addr = socket.LocalAddr()
	conn := net.PacketConn(socket)
	switch path {
	case exchange.PathWrapped:
		p, err := timing.Wrap(socket, clock)
		if err != nil {
			return nil, err
		}
		h.port, conn = p, p.Conn()
	case exchange.PathDatagram:
		h.tap = &tap{PacketConn: socket, last: map[string]time.Time{}}
		conn = h.tap
	}
	h.transport = &quic.Transport{Conn: conn}
	h.closers = []func() error{h.transport.Close, socket.Close}
	if path == exchange.PathTransport {
		p := timing.NewTransportPort(h.transport, clock)
		h.port, h.closers = p, append([]func() error{p.Close}, h.closers...)
	}
	return h, nil
}

func (h *host) close() {
	for _, c := range h.closers {
		_ = c()
	}
}

// tap remembers when the last packet was written to each peer: the unsound stamp.
type tap struct {
	net.PacketConn
	mu   sync.Mutex
	last map[string]time.Time
}

// WriteTo implements net.PacketConn.
func (p *tap) WriteTo(b []byte, to net.Addr) (int, error) {
	p.mu.Lock()
	p.last[to.String()] = time.Now()
	p.mu.Unlock()
	return p.PacketConn.WriteTo(b, to)
}

// SetReadBuffer and SetWriteBuffer are looked for by QUIC.
func (p *tap) SetReadBuffer(bytes int) error { return p.PacketConn.(*net.UDPConn).SetReadBuffer(bytes) }

// SetWriteBuffer: see SetReadBuffer.
func (p *tap) SetWriteBuffer(bytes int) error {
	return p.PacketConn.(*net.UDPConn).SetWriteBuffer(bytes)
}

func (p *tap) lastTo(peer string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[peer]
}

// tapped is a port whose beacon also looks at the unsound stamp, whenever an answer comes.
type tapped struct {
	timing.Port
	tap   *tap
	tally *tally
	floor time.Duration
}

// Open implements timing.Port.
func (p tapped) Open(s exchange.Session, peer net.Addr, h timing.Handler) (timing.Path, error) {
	name := peer.String()
	var mu sync.Mutex
	var sentAt time.Time
	var sent, seen uint16
	path, err := p.Port.Open(s, peer, func(packet *exchange.Packet, r stamp.Receipt) {
		mu.Lock()
		if packet.Kind() == exchange.RS && packet.Index() == sent && seen != sent+1 {
			seen = sent + 1
			last := p.tap.lastTo(name)
			p.tally.lastWrite(time.Since(last), last.Sub(sentAt), p.floor)
		}
		mu.Unlock()
		h(packet, r)
	})
	return watched{path, func(packet *exchange.Packet) {
		if packet.Kind() == exchange.CH {
			mu.Lock()
			sentAt, sent = time.Now(), packet.Index()
			mu.Unlock()
		}
	}}, err
}

type watched struct {
	timing.Path
	before func(*exchange.Packet)
}

// Send implements timing.Path.
func (w watched) Send(p *exchange.Packet) (stamp.Departure, error) {
	w.before(p)
	return w.Path.Send(p)
}

// tally is what happened on a walk.
type tally struct {
	mu                       sync.Mutex
	sessions, failedSessions int
	sent, rounds, unstable   int
	leastBeacon, leastCore   time.Duration // beyond the floor
	below                    []string      // what was measured below the floor
	refused                  map[error]uint64
	failures                 map[string]int
	acknowledged, unsound    int           // rounds in which QUIC wrote something between challenge and answer; in which that would have read too little
	leastLastWrite           time.Duration // what the unsound stamp read
	lost, duplicated         uint64        // the relay's
}

func least(have, d time.Duration, first bool) time.Duration {
	if first {
		return d
	}
	return min(have, d)
}

// session files one statement.
func (s *tally) session(name string, floor time.Duration, st statement.Statement, core exchange.CoreResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	beacon, own := time.Duration(st.RTTBeaconMinNS)-floor, time.Duration(core.RTTNS)-floor
	s.leastBeacon, s.leastCore = least(s.leastBeacon, beacon, s.sessions == 0), least(s.leastCore, own, s.sessions == 0)
	s.sessions++
	s.sent, s.rounds, s.unstable = s.sent+int(st.RoundsSent), s.rounds+int(st.RoundsOK), s.unstable+core.Unstable
	for who, beyond := range map[string]time.Duration{"beacon": beacon, "core": own, "core's signed time": time.Duration(st.RTTCoreMinNS) - floor} {
		if beyond < 0 {
			s.below = append(s.below, fmt.Sprintf("%s: %s measured %v, which is %v less than the distance", name, who, floor+beyond, -beyond))
		}
	}
}

func (s *tally) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failedSessions++
	s.failures[err.Error()]++
}

func (s *tally) stepped(out exchange.Output) {
	if out.Refused == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[out.Refused]++
}

// lastWrite files what the unsound stamp would have read, and how long after the challenge that last packet was written.
func (s *tally) lastWrite(read, after, floor time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after > 5*time.Millisecond {
		s.leastLastWrite = least(s.leastLastWrite, read, s.acknowledged == 0)
		s.acknowledged++
	}
	if read < floor {
		s.unsound++
	}
}

func (s *tally) add(o *tally) {
	first := s.sessions == 0
	s.leastBeacon, s.leastCore = least(s.leastBeacon, o.leastBeacon, first), least(s.leastCore, o.leastCore, first)
	s.sessions, s.failedSessions, s.sent, s.rounds = s.sessions+o.sessions, s.failedSessions+o.failedSessions, s.sent+o.sent, s.rounds+o.rounds
	s.unstable, s.acknowledged, s.unsound = s.unstable+o.unstable, s.acknowledged+o.acknowledged, s.unsound+o.unsound
	s.lost, s.duplicated = s.lost+o.lost, s.duplicated+o.duplicated
	if s.refused == nil {
		s.refused = map[error]uint64{}
	}
	for err, n := range o.refused {
		s.refused[err] += n
	}
}

// walk is a beacon, a relay before it, and cores that run exchanges through it.
type walk struct {
	crossing   crossing
	rounds     uint16
	clock      stamp.Clock
	world      *exchangetest.World
	core       *identity.Private
	timed      *identity.TimedKey
	limits     exchange.Limits
	beacon     *host
	relay      *relay.Relay
	relayStats relay.Stats
	stop       func()
	once       sync.Once // for asGate
	tally      tally

	mu        sync.Mutex
	challenge []byte // the gate's newest
	asked     statement.Asked
	askedAt   time.Time
}

// hostClock is the clock of both sides.
func hostClock(t *testing.T) stamp.Clock {
	t.Helper()
	clock, err := timing.HostClock()
	if err != nil {
		t.Fatal(err)
	}
	return clock
}

func newWalk(t *testing.T, c crossing, clock stamp.Clock, seed uint64, rounds uint16) *walk {
	t.Helper()
	var err error
	w := &walk{crossing: c, rounds: rounds, clock: clock, tally: tally{refused: map[error]uint64{}, failures: map[string]int{}}}
	if w.beacon, err = openHost(c.path, clock); errors.Is(err, timing.ErrSteering) {
		t.Logf("%s: walks the wrapped path instead: %v", c.name, err)
		w.crossing.path = exchange.PathWrapped
		w.beacon, err = openHost(exchange.PathWrapped, clock)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.world = exchangetest.New(t, time.Now(), exchangetest.Place{Name: "beacon", At: earth.LatLon{Lat: 50, Lon: 8}, Address: w.beacon.addr.String()})
	w.core = exchangetest.Key(t, identity.RoleCore, "core")
	w.timed = exchangetest.TimedKey(t, "core")
	w.limits = exchange.DefaultLimits()
	w.limits.MaxRounds, w.limits.Agree, w.limits.Spread = rounds, 0, 2*time.Millisecond
	w.limits.Budget, w.limits.Deadline, w.limits.Step = 20*time.Second, 20*time.Second, 20*time.Second
	if w.limits.Timeout = c.timeout; c.timeout == 0 {
		w.limits.Timeout = 3*c.floor() + 50*time.Millisecond
	}
	if w.relay, err = relay.Listen("127.0.0.1:0", w.beacon.addr.String(), relay.Config{Seed: seed, Up: c.up, Down: c.down}); err != nil {
		t.Fatal(err)
	}
	w.serve(t)
	return w
}

// serve answers until the walk is closed.
func (w *walk) serve(t *testing.T) {
	t.Helper()
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := w.beacon.transport.Listen(conf, channel.QUIC(1, w.crossing.path == exchange.PathDatagram))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			serving.Go(func() { w.serveOne(ctx, conn) })
		}
	})
	w.stop = func() {
		cancel()
		serving.Wait()
		_ = listener.Close()
	}
}

func (w *walk) close() {
	w.relayStats = w.relay.Stats()
	w.stop()
	w.beacon.close()
	_ = w.relay.Close()
}

// newest returns a challenge of the gate that is at most half a minute old: a long run outlasts one.
func (w *walk) newest() ([]byte, statement.Asked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.askedAt) < 30*time.Second {
		return w.challenge, w.asked, nil
	}
	beacon := w.world.Beacons[0].ID()
	c := statement.Challenge{
		Core: w.core.ID(), Committee: []identity.ID{beacon}, DirectoryEpoch: w.world.Directory.Epoch, DirectoryHash: w.world.Directory.Hash(),
		IssuedUnixNS: now.UnixNano(), TTLNS: int64(time.Minute), RoundsMin: 8, RoundsMax: 64, PolicyHash: identity.Hash("policy"),
	}
	if _, err := rand.Read(c.NonceG[:]); err != nil {
		return nil, w.asked, err
	}
	envelope, err := c.Seal(w.world.Gate)
	if err != nil {
		return nil, w.asked, err
	}
	if w.asked, err = statement.VerifyChallenge(envelope, w.world.Directory, now.UnixNano()); err != nil {
		return nil, w.asked, err
	}
	w.challenge, err = envelope.Encode()
	w.askedAt = now
	return w.challenge, w.asked, err
}

// serveOne is a beacon's side of one exchange, as its daemon runs it.
func (w *walk) serveOne(ctx context.Context, conn *quic.Conn) {
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return
	}
	defer func() { _ = stream.Close() }()
	b, err := exchange.NewBeacon(exchange.BeaconConfig{
		Key: w.world.Beacons[0], Limits: w.limits, Quality: w.clock.Quality(), Path: w.crossing.path,
		Binding: ch.Binding, ChannelKey: ch.Key, Random: rand.Reader, Directory: w.world.Directory, UnixNS: time.Now().UnixNano(),
		Attestation: []byte("beacon result"), Validity: time.Hour,
	})
	if err != nil {
		return
	}
	port := w.beacon.port
	if port == nil {
		datagrams := timing.NewDatagramPort(conn, w.clock)
		defer func() { _ = datagrams.Close() }()
		port = tapped{Port: datagrams, tap: w.beacon.tap, tally: &w.tally, floor: w.crossing.floor()}
	}
	_ = drive.Run(ctx, drive.Config{Machine: b, Stream: stream, Port: port, Peer: conn.RemoteAddr(), Stepped: w.tally.stepped})
	_ = stream.Close()
	select { // let the core close first, so that it has read everything
	case <-conn.Context().Done():
	case <-ctx.Done():
	}
}

// untilRounds lets workers run exchanges until enough rounds were verified, or too many exchanges failed.
func (w *walk) untilRounds(ctx context.Context, target, workers int) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			h, err := openHost(w.crossing.path, w.clock)
			if err != nil {
				w.tally.failed(err)
				return
			}
			defer h.close()
			for ctx.Err() == nil && w.more(target) {
				if err := w.ask(ctx, h); err != nil && ctx.Err() == nil {
					w.tally.failed(err)
				}
			}
		})
	}
	working.Wait()
}

func (w *walk) more(target int) bool {
	w.tally.mu.Lock()
	defer w.tally.mu.Unlock()
	return w.tally.rounds < target && w.tally.failedSessions < 100+w.tally.sessions
}

// ask is a core's side of one exchange.
func (w *walk) ask(ctx context.Context, h *host) error {
	conn, err := h.transport.Dial(ctx, w.relay.Addr(), channel.ClientTLS(), channel.QUIC(-1, w.crossing.path == exchange.PathDatagram))
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return err
	}
	challenge, asked, err := w.newest()
	if err != nil {
		return err
	}
	core, err := exchange.NewCore(exchange.CoreConfig{
		Key: w.core, TimedKey: w.timed, Directory: w.world.Directory, Beacon: w.world.Beacons[0].ID(), UnixNS: time.Now().UnixNano(),
		Quality: w.clock.Quality(), Mode: exchange.ModeBlocking, Step: w.limits.Step, Challenge: challenge, Asked: asked,
		Previous: statement.FirstProof(w.core.ID()), Attestation: []byte("core result"),
		Binding: ch.Binding, ChannelKey: ch.Key, Random: rand.Reader,
	})
	if err != nil {
		return err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	port := h.port
	if port == nil {
		datagrams := timing.NewDatagramPort(conn, w.clock)
		defer func() { _ = datagrams.Close() }()
		port = datagrams
	}
	if err := drive.Run(ctx, drive.Config{Machine: core, Stream: stream, Port: port, Peer: w.relay.Addr(), Stepped: w.tally.stepped}); err != nil {
		return err
	}
	result, ok := core.Result()
	if !ok {
		return errors.New("no result")
	}
	w.tally.session(w.crossing.name, w.crossing.floor(), result.Statement, result)
	w.asGate(challenge, result)
	_ = stream.Close()
	_ = stream.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = stream.Read(make([]byte, 1))
	return nil
}

// asGate verifies the first statement of a walk as a gate does and looks at the bound that would become a radius.
func (w *walk) asGate(challenge []byte, r exchange.CoreResult) {
	w.once.Do(func() {
		fact, err := w.fact(challenge, r)
		w.tally.mu.Lock()
		defer w.tally.mu.Unlock()
		for _, timing := range []statement.Timing{statement.TimingBoth, statement.TimingBeacon} {
			if bound := time.Duration(fact.Bound(timing)); err != nil || bound < w.crossing.floor() || bound > time.Minute {
				w.tally.below = append(w.tally.below, fmt.Sprintf("%s: a gate's bound by %v is %v: %v", w.crossing.name, timing, bound, err))
			}
		}
	})
}

func (w *walk) fact(challenge []byte, r exchange.CoreResult) (statement.Fact, error) {
	envelope, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		return statement.Fact{}, err
	}
	proof, _, err := statement.Proof{
		TimedKey: w.timed.Public(), Challenge: envelope, Statements: []identity.Envelope{r.Signed}, Results: [][]byte{[]byte("core result"), r.BeaconResult},
		PreviousProof: statement.FirstProof(w.core.ID()), MadeUnixNS: time.Now().UnixNano(),
	}.Seal(w.core)
	if err != nil {
		return statement.Fact{}, err
	}
	expect, err := statement.Expecting(proof, w.world.Directory, time.Now().UnixNano())
	if err != nil {
		return statement.Fact{}, err
	}
	verified, err := statement.VerifyProof(proof, expect)
	if err != nil {
		return statement.Fact{}, err
	}
	return verified.Facts[0], nil
}
