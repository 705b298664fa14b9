package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Config describes a beacon. Key and Directory must be given; everything else has a default.
type Config struct {
	// Key is the beacon's identity. The directory must list it.
	Key *identity.Private
	// Directory is the verified constellation at start; Reload replaces it.
	Directory *directory.Directory
	// Limits of one exchange; the zero value means exchange.DefaultLimits.
	Limits exchange.Limits
	// Clock stamps departures and arrivals; nil means timing.HostClock.
	Clock stamp.Clock
	// Path says how rounds travel on a socket handed to Serve: PathWrapped (0 means that), PathTransport, or PathDatagram for DATAGRAM
	// frames only. A core that asks for these gets them on every path.
	Path exchange.PathKind
	// Attestation is this beacon's encoded attestation result, which cores take to the gate; it must be given. SetAttestation
	// renews it.
	Attestation []byte
	// ClockAttested says that the attestation covers the source of time.
	ClockAttested bool
	// Evidence makes evidence of this machine for a nonce, for cores that ask for it before they let themselves be timed; nil: there
	// is none to show. It is called from one goroutine, never while holding up a timed round.
	Evidence func(ctx context.Context, nonce [32]byte) ([]byte, error)
	// Appraised is asked about each core that opens an exchange, by the directory and at the time of the exchange: an error refuses it.
	// Nil asks nobody, and gates alone judge the results of cores.
	Appraised func(d *directory.Directory, core identity.ID, timed identity.TimedKeyID, result []byte, nowUnixNS int64) error
	// Validity is how long a statement is valid after its exchange; 0 means an hour.
	Validity time.Duration

	// Linger is how long an acceptance or a finished statement waits for others to share a signature with; 0 means 1 ms. It costs
	// no radius.
	Linger time.Duration

	// MaxExchanges is how many exchanges may be in progress in all, 0 means 1,024; MaxPerPrefix from one IPv4 /24 or IPv6 /48,
	// 0 means 64; MaxPerCore of one core, 0 means 4.
	MaxExchanges, MaxPerPrefix, MaxPerCore int
	// RetryFrom is the number of unfinished handshakes from which on a client without a token must prove its address first
	// (QUIC Retry, one round trip). 0, the default, is always: QUIC alone lets a server send three times what came from an
	// unproven address, and a beacon never sends more than came. A larger number saves strangers the round trip while the
	// beacon is quiet.
	RetryFrom int
	// MaxHandshakes is the number of unfinished handshakes above which new ones are refused; 0 means 1,024.
	MaxHandshakes int
	// Drain is how long exchanges in progress may go on after Serve's context has ended; 0 means 5 s.
	Drain time.Duration

	// Now is the wall clock, for the validity of challenges; nil means time.Now.
	Now func() time.Time
	// Random is the source of session secrets; nil means crypto/rand.
	Random io.Reader
	// Log takes one record for each exchange, without secrets; nil discards.
	Log *slog.Logger
}

// The refusals of a configuration.
var (
	ErrConfig   = errors.New("beacon configuration")
	ErrUnlisted = errors.New("directory does not list this beacon, or lists it as out of service or expired")
)

func (c Config) withDefaults() (Config, error) {
	if c.Key == nil || c.Key.Public().Role() != identity.RoleBeacon {
		return c, fmt.Errorf("%w: the key of a beacon is missing", ErrConfig)
	}
	if err := checkAttestation(c.Attestation); err != nil {
		return c, err
	}
	if c.Limits == (exchange.Limits{}) {
		c.Limits = exchange.DefaultLimits()
	}
	if err := c.Limits.Validate(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.Clock == nil {
		clock, err := timing.HostClock()
		if err != nil {
			return c, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		c.Clock = clock
	}
	if c.Path == 0 {
		c.Path = exchange.PathWrapped
	}
	if c.Path != exchange.PathWrapped && c.Path != exchange.PathTransport && c.Path != exchange.PathDatagram {
		return c, fmt.Errorf("%w: path %v is not one that a beacon opens; use wrapped, transport or datagram", ErrConfig, c.Path)
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&c.MaxExchanges, 1024}, {&c.MaxPerPrefix, 64}, {&c.MaxPerCore, 4}, {&c.MaxHandshakes, 1024}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxExchanges < 0 || c.MaxPerPrefix < 0 || c.MaxPerCore < 0 || c.MaxHandshakes < 0 || c.RetryFrom < 0 || c.Validity < 0 || c.Drain < 0 || c.Linger < 0 {
		return c, fmt.Errorf("%w: limits must not be negative", ErrConfig)
	}
	c.Validity = orDefault(c.Validity, time.Hour)
	c.Drain = orDefault(c.Drain, 5*time.Second)
	c.Linger = orDefault(c.Linger, time.Millisecond)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func orDefault(d, value time.Duration) time.Duration {
	if d == 0 {
		return value
	}
	return d
}

// Server is a beacon. It may serve one socket at a time.
type Server struct {
	cfg     Config
	id      identity.ID
	seat    atomic.Pointer[seat]
	result  atomic.Pointer[attestation]
	quotes  *quoter // nil: no evidence to show
	rooms   *rooms
	pending atomic.Int64 // unfinished handshakes
	port    atomic.Pointer[timing.Port]
	accepts *batcher
	signer  *batcher // of statements
	stats   counters
}

// seat is the verified directory in force, and the one before.
type seat struct{ directory, before *directory.Directory }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, id: cfg.Key.ID(), rooms: newRooms(cfg.MaxExchanges, cfg.MaxPerPrefix, cfg.MaxPerCore)}
	if cfg.Evidence != nil {
		s.quotes = newQuoter(cfg.Evidence)
	}
	s.result.Store(&attestation{cfg.Attestation, cfg.ClockAttested})
	s.accepts = newBatcher(cfg.Key, identity.TypeAccept, cfg.Linger, maxBatch)
	s.signer = newBatcher(cfg.Key, identity.TypeStatement, cfg.Linger, maxBatch)
	return s, s.Reload(cfg.Directory)
}

// maxBatch is the largest number of statements under one signature: eight hashes of path each.
const maxBatch = 256

// Reload puts a newer verified directory in force for exchanges that begin from now on. It must list this beacon.
func (s *Server) Reload(d *directory.Directory) error {
	if !d.Verified() {
		return fmt.Errorf("%w: directory is not verified", ErrConfig)
	}
	self, ok := d.Lookup(s.id)
	if _, out := d.Quarantined(s.id); !ok || out || !self.ValidAt(s.cfg.Now().UnixNano()) {
		return fmt.Errorf("%w: %s in epoch %d", ErrUnlisted, s.id.Short(), d.Epoch)
	}
	next := &seat{directory: d}
	if old := s.seat.Load(); old != nil {
		switch {
		case d.Epoch < old.directory.Epoch:
			return fmt.Errorf("%w: directory epoch %d is older than %d, which is in force", ErrConfig, d.Epoch, old.directory.Epoch)
		case d.Epoch == old.directory.Epoch && d.Hash() != old.directory.Hash():
			return fmt.Errorf("%w: there are two directories of epoch %d", ErrConfig, d.Epoch)
		case d.Epoch == old.directory.Epoch:
			return nil
		}
		next.before = old.directory
	}
	s.seat.Store(next)
	return nil
}

// Serve answers on pc until ctx ends, then lets exchanges in progress finish for at most Config.Drain. pc is not closed.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn) error {
	if s.cfg.Path != exchange.PathWrapped {
		return s.serve(ctx, pc, nil, s.cfg.Path)
	}
	port, err := timing.Wrap(pc, s.cfg.Clock)
	if err != nil {
		return err
	}
	defer func() { _ = port.Close() }()
	return s.ServeOn(ctx, port)
}

// ServeOn is Serve on a socket that carries rounds already, such as timing.Listen opens; Config.Path is not looked at. It is
// not closed. Its stamps must come from the configured clock.
func (s *Server) ServeOn(ctx context.Context, socket timing.Socket) error {
	return s.serve(ctx, socket.Conn(), socket, socket.Kind())
}

// serve runs QUIC on pc. Without a port it makes one of the transport, or for PathDatagram none.
func (s *Server) serve(ctx context.Context, pc net.PacketConn, port timing.Port, path exchange.PathKind) error {
	tlsConfig, err := channel.ServerTLS(s.cfg.Now())
	if err != nil {
		return err
	}
	transport := &quic.Transport{
		Conn:                pc,
		VerifySourceAddress: func(net.Addr) bool { return s.mustRetry() },
		ConnContext:         s.admitHandshake,
	}
	defer func() { _ = transport.Close() }()
	if path == exchange.PathTransport {
		port = timing.NewTransportPort(transport, s.cfg.Clock)
		defer func() { _ = port.Close() }()
	}
	if port != nil {
		s.port.Store(&port)
	}
	listener, err := transport.Listen(tlsConfig, channel.QUIC(1, true))
	if err != nil {
		return fmt.Errorf("listening on %v: %w", pc.LocalAddr(), err)
	}
	s.cfg.Log.Info("beacon serves", "beacon", s.id.Short(), "address", pc.LocalAddr().String(), "path", path.String())
	return s.accept(ctx, listener, rounds{port: port, path: path})
}

// rounds is how the rounds of a served socket travel.
type rounds struct {
	port timing.Port // nil: DATAGRAM frames only
	path exchange.PathKind
}

// accept runs until ctx ends and every exchange has ended.
func (s *Server) accept(ctx context.Context, listener *quic.Listener, via rounds) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var exchanges, signing sync.WaitGroup
	signing.Go(func() { s.accepts.run(work) })
	signing.Go(func() { s.signer.run(work) })
	if s.quotes != nil {
		signing.Go(func() { s.quotes.run(work) })
	}
	defer signing.Wait()
	defer stop()
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			_ = listener.Close()
			timer := time.AfterFunc(s.cfg.Drain, stop)
			exchanges.Wait()
			timer.Stop()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accepting: %w", err)
		}
		exchanges.Go(func() { s.attend(work, conn, via) })
	}
}

// mustRetry says whether new clients must prove their address.
func (s *Server) mustRetry() bool { return s.pending.Load() >= int64(s.cfg.RetryFrom) }

// admitHandshake counts unfinished handshakes and refuses them above the limit.
func (s *Server) admitHandshake(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if s.pending.Add(1) > int64(s.cfg.MaxHandshakes) {
		s.pending.Add(-1)
		s.stats.refuse(exchange.ErrBusy)
		return ctx, exchange.ErrBusy
	}
	h := &handshake{server: s}
	context.AfterFunc(ctx, h.over)
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

type handshakeKey struct{}

// handshake is over when it has succeeded or failed, whichever is noticed first.
type handshake struct {
	server *Server
	once   sync.Once
}

func (h *handshake) over() { h.once.Do(func() { h.server.pending.Add(-1) }) }

// attend runs one connection from its handshake to its end.
func (s *Server) attend(ctx context.Context, conn *quic.Conn, via rounds) {
	if h, ok := conn.Context().Value(handshakeKey{}).(*handshake); ok {
		h.over()
	}
	prefix := prefixOf(conn.RemoteAddr())
	err := s.rooms.enter(prefix)
	var b *exchange.Beacon
	if err == nil {
		defer s.rooms.leave(prefix)
		b, err = s.exchange(ctx, conn, via)
		err = channel.Closed(err)
	}
	s.report(conn, b, err)
	_ = conn.CloseWithError(quic.ApplicationErrorCode(exchange.CloseCode(err)), "")
}

// exchange runs the machine of one connection.
func (s *Server) exchange(ctx context.Context, conn *quic.Conn, via rounds) (*exchange.Beacon, error) {
	limits := s.cfg.Limits
	ctx, cancel := context.WithTimeout(ctx, 4*limits.Step+limits.Deadline)
	defer cancel()
	ch, err := channel.Check(conn)
	if err != nil {
		return nil, err
	}
	waiting, stopWaiting := context.WithTimeout(ctx, limits.Step)
	stream, err := conn.AcceptStream(waiting)
	stopWaiting()
	if err != nil {
		return nil, fmt.Errorf("%w: no stream: %w", drive.ErrStream, err)
	}
	defer func() { _ = stream.Close() }()
	opened, err := s.show(ctx, stream, ch)
	if err != nil {
		return nil, err
	}
	var admitted []identity.ID
	defer func() {
		for _, core := range admitted {
			s.rooms.release(core)
		}
	}()
	admit := func(core identity.ID) error {
		if err := s.rooms.admit(core); err != nil {
			return err
		}
		admitted = append(admitted, core)
		return nil
	}
	b, err := exchange.NewBeacon(s.machine(ctx, conn, ch, via.path, admit))
	if err != nil {
		return nil, err
	}
	port := &eitherPort{Port: via.port, conn: conn, clock: s.cfg.Clock, path: b.Path}
	defer port.release()
	return b, drive.Run(ctx, drive.Config{Machine: b, Stream: opened, Port: port, Peer: conn.RemoteAddr()})
}

// eitherPort is the socket's port, or one over the connection's DATAGRAM frames once the core has asked for these.
type eitherPort struct {
	timing.Port
	conn      *quic.Conn
	clock     stamp.Clock
	path      func() exchange.PathKind
	datagrams *timing.DatagramPort
}

// Open implements timing.Port.
func (p *eitherPort) Open(s exchange.Session, peer net.Addr, h timing.Handler) (timing.Path, error) {
	if p.path() != exchange.PathDatagram {
		return p.Port.Open(s, peer, h)
	}
	p.datagrams = timing.NewDatagramPort(p.conn, p.clock)
	return p.datagrams.Open(s, peer, h)
}

func (p *eitherPort) release() {
	if p.datagrams != nil {
		_ = p.datagrams.Close()
	}
}

// machine is the configuration of one exchange.
func (s *Server) machine(ctx context.Context, conn *quic.Conn, ch channel.Channel, path exchange.PathKind, admit func(identity.ID) error) exchange.BeaconConfig {
	opened, seat, result, now := conn.RemoteAddr().String(), s.seat.Load(), s.result.Load(), s.cfg.Now().UnixNano()
	var appraised func(identity.ID, identity.TimedKeyID, []byte) error
	if s.cfg.Appraised != nil {
		appraised = func(core identity.ID, timed identity.TimedKeyID, presented []byte) error {
			return s.cfg.Appraised(seat.directory, core, timed, presented, now)
		}
	}
	return exchange.BeaconConfig{
		Key: s.cfg.Key, Limits: s.cfg.Limits, Quality: s.cfg.Clock.Quality(), Path: path,
		Datagrams: conn.ConnectionState().SupportsDatagrams.Remote,
		Binding:   ch.Binding, ChannelKey: ch.Key, Random: s.cfg.Random,
		Directory: seat.directory, Before: seat.before, UnixNS: now, Appraised: appraised, Admit: admit,
		Attestation: result.encoded, ClockAttested: result.clock, Validity: s.cfg.Validity,
		Seal: func(t identity.ObjectType, payload []byte) (identity.Envelope, error) {
			if t == identity.TypeAccept {
				return s.accepts.seal(ctx, payload)
			}
			return s.signer.seal(ctx, payload)
		},
		PathChanged: func() bool { return conn.RemoteAddr().String() != opened },
	}
}
