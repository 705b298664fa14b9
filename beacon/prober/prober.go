package prober

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Config describes a core that is about to prove its place. Key, TimedKey, Directory, Attestation and one of Conn and Socket must be given.
type Config struct {
	// Key is the core's identity.
	Key *identity.Private
	// TimedKey is what gets located: drawn when the core started, held in its memory only, and named by Attestation.
	TimedKey *identity.TimedKey
	// Directory is the verified constellation that the gate's challenge names.
	Directory *directory.Directory
	// Conn is the socket for everything; it is not closed. A Linux UDP socket or a simulated endpoint gives receive stamps of
	// its own.
	Conn net.PacketConn
	// Socket is given instead of Conn when rounds have a socket of their own (timing.Listen); it is not closed, and its stamps
	// must come from Clock.
	Socket timing.Socket
	// Attestation is this core's encoded attestation result, at most exchange.MaxCoreResult bytes; beacons look at it, statements name
	// its hash.
	Attestation []byte
	// Appraise, if given, looks at every beacon before it is let near the stopwatch: each is asked for evidence that answers a nonce of
	// this core and channel, and an error ends that beacon's exchange before it opens, as ErrAppraisal. It is called once for each
	// beacon, from several goroutines, always before the first timed round. Nil: nobody is asked, and the gate alone judges results.
	Appraise func(ctx context.Context, p Presented) error
	// PreviousProof is the hash of this core's last proof; the zero value means that there is none.
	PreviousProof [32]byte

	// Path says how rounds travel on this side: PathWrapped (0 means that), PathTransport, or PathDatagram.
	Path exchange.PathKind
	// NoFallback keeps a beacon from being asked again over DATAGRAM frames when not one round packet has come from it.
	NoFallback bool
	// Mode is the rung of the answering loop: blocking, held (the processors are kept out of idle while Run runs, which needs
	// the right to), or spinning, which only a Socket opened so can do. 0 means what the Socket does, else blocking. Statements
	// print it.
	Mode exchange.Mode
	// Clock stamps departures and arrivals; nil means timing.HostClock.
	Clock stamp.Clock
	// Resolve turns a beacon's address into one that Conn can write to; nil means net.ResolveUDPAddr.
	Resolve func(ctx context.Context, address string) (net.Addr, error)
	// Timeout bounds one beacon from dial to statement; 0 means 15 s.
	Timeout time.Duration
	// Parallel is how many beacons are asked at once; 0 means all.
	Parallel int
	// Progress is told what happens, from one goroutine that is not in anybody's way; nil means nobody. When it is slow, events
	// of single rounds are dropped; those that begin and end an exchange never are.
	Progress func(Event)

	// Now is the wall clock, for expiries; nil means time.Now.
	Now func() time.Time
	// Random is the source of session secrets; nil means crypto/rand.
	Random io.Reader
	// Tokens remembers what beacons gave out to prove this core's address the next time (QUIC NEW_TOKEN), which saves a round
	// trip then; nil means none.
	Tokens quic.TokenStore
	// Roots remembers verified batch roots of beacons; nil means none.
	Roots *identity.RootCache
}

// Presented is what a beacon showed of itself when it was asked.
type Presented struct {
	Beacon   directory.Beacon
	Result   []byte   // its encoded attestation result
	Evidence []byte   // encoded evidence; empty: it has none
	Nonce    [32]byte // that the evidence has to answer: made of this core's nonce and of the channel
}

// Phase is how far a beacon's exchange is.
type Phase string

// The phases, in order; Failed may follow any.
const (
	Dialling  Phase = "dialling"
	Examining Phase = "examining" // only with Config.Appraise
	Opening   Phase = "opening"
	Timing    Phase = "timing"
	Stating   Phase = "stating"
	Succeeded Phase = "succeeded"
	Failed    Phase = "failed"
)

// Event is one step of one beacon's exchange, for people and progress bars. Its round trip is what this side has seen so far.
type Event struct {
	Beacon identity.ID
	Place  string
	Phase  Phase
	RTT    earth.RTT // the smallest round trip so far by this core's clock; 0 before Rounds is 1
	Rounds int       // rounds that this side has timed
	Err    error     // with Failed
}

// Answer is one beacon's statement, verified and compared with what this core saw.
type Answer struct {
	Beacon       directory.Beacon
	Signed       identity.Envelope
	Statement    statement.Statement
	BeaconResult []byte        // the attestation result that the statement names
	RTTCore      earth.RTT     // smallest round trip by this core's clock
	Elapsed      time.Duration // from dial to statement
}

// Failure is why one beacon gave no statement.
type Failure struct {
	Beacon identity.ID
	Place  string
	Err    error
}

// Outcome is what a committee answered; both lists ascend by beacon.
type Outcome struct {
	Asked    statement.Asked
	TimedKey identity.TimedPublic // of this core: the one that answered
	Answers  []Answer
	Failures []Failure
}

// Proof returns the unsigned proof of the outcome: seal it with the core's key. Envelope is the gate's challenge.
func (o Outcome) Proof(envelope identity.Envelope, coreResult []byte, previous [32]byte, madeUnixNS int64) statement.Proof {
	p := statement.Proof{TimedKey: o.TimedKey, Challenge: envelope, PreviousProof: previous, MadeUnixNS: madeUnixNS, Results: [][]byte{coreResult}}
	for _, a := range o.Answers {
		p.Statements = append(p.Statements, a.Signed)
		p.Results = append(p.Results, a.BeaconResult)
	}
	return p
}

// The refusals before anything is sent.
var (
	ErrConfig    = errors.New("prober configuration")
	ErrChallenge = errors.New("gate's challenge does not verify")
	ErrNotMine   = errors.New("gate's challenge asks another core")
	ErrDial      = errors.New("beacon cannot be reached")
	ErrAppraisal = errors.New("beacon's machine is refused")
	ErrNotAsked  = errors.New("beacon's evidence answers other askers only")
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Key == nil || c.Key.Public().Role() != identity.RoleCore:
		return c, fmt.Errorf("%w: the key of a core is missing", ErrConfig)
	case c.TimedKey.ID().IsZero():
		return c, fmt.Errorf("%w: the timed key is missing", ErrConfig)
	case (c.Conn == nil) == (c.Socket == nil) || !c.Directory.Verified():
		return c, fmt.Errorf("%w: one socket and a verified directory are needed", ErrConfig)
	case len(c.Attestation) == 0 || len(c.Attestation) > exchange.MaxCoreResult:
		return c, fmt.Errorf("%w: an attestation result of 1 to %d bytes is needed, this one has %d", ErrConfig, exchange.MaxCoreResult, len(c.Attestation))
	case c.Timeout < 0 || c.Parallel < 0:
		return c, fmt.Errorf("%w: time-out and parallelism must not be negative", ErrConfig)
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
		return c, fmt.Errorf("%w: path %v is not one that a core opens; use wrapped, transport or datagram", ErrConfig, c.Path)
	}
	spins := false
	if s, ok := c.Socket.(interface{ Mode() exchange.Mode }); ok {
		spins = s.Mode() == exchange.ModeSpinning
	}
	switch {
	case c.Mode == 0 && spins:
		c.Mode = exchange.ModeSpinning
	case c.Mode == 0:
		c.Mode = exchange.ModeBlocking
	}
	if !c.Mode.Valid() || spins != (c.Mode == exchange.ModeSpinning) {
		return c, fmt.Errorf("%w: answering mode %v is not what the socket does", ErrConfig, c.Mode)
	}
	if c.PreviousProof == [32]byte{} {
		c.PreviousProof = statement.FirstProof(c.Key.ID())
	}
	if c.Resolve == nil {
		c.Resolve = func(_ context.Context, address string) (net.Addr, error) { return net.ResolveUDPAddr("udp", address) }
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return c, nil
}

// run is one call of Run.
type run struct {
	Config
	envelope  []byte
	asked     statement.Asked
	transport *quic.Transport
	port      timing.Port // nil: each connection has a datagram port of its own
	events    chan Event
	mu        sync.Mutex // guards outcome
	outcome   Outcome
}

// Run asks the whole committee of the gate's encoded challenge envelope and returns when every beacon has answered or failed.
// It fails as a whole only when the challenge or the configuration is wrong; that no beacon answered is an outcome.
func Run(ctx context.Context, cfg Config, envelope []byte) (Outcome, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Outcome{}, err
	}
	r := &run{Config: cfg, envelope: envelope}
	if err := r.verify(); err != nil {
		return Outcome{}, err
	}
	closeAll, err := r.open()
	if err != nil {
		return Outcome{}, err
	}
	defer closeAll()
	defer r.teller()()
	committee := r.asked.Challenge().Committee
	if r.Parallel == 0 {
		r.Parallel = len(committee)
	}
	places := make(chan struct{}, r.Parallel)
	var all sync.WaitGroup
	for _, id := range committee {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			r.ask(ctx, id)
		})
	}
	all.Wait()
	slices.SortFunc(r.outcome.Answers, func(a, b Answer) int { return a.Beacon.ID().Compare(b.Beacon.ID()) })
	slices.SortFunc(r.outcome.Failures, func(a, b Failure) int { return a.Beacon.Compare(b.Beacon) })
	r.outcome.Asked, r.outcome.TimedKey = r.asked, r.TimedKey.Public()
	return r.outcome, nil
}

// verify checks the challenge before anybody is asked.
func (r *run) verify() error {
	env, err := identity.DecodeEnvelope(r.envelope, statement.MaxChallengeSize)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	r.asked, err = statement.VerifyChallenge(env, r.Directory, r.Now().UnixNano())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if r.asked.Core() != r.Key.ID() {
		return fmt.Errorf("%w: %s", ErrNotMine, r.asked.Core().Short())
	}
	return nil
}

// open puts QUIC and the rounds' port on the socket, and holds the processors if asked to.
func (r *run) open() (closeAll func(), err error) {
	var closers []io.Closer
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			_ = c.Close()
		}
	}
	if r.Mode == exchange.ModeHeld {
		held, err := timing.Hold()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		closers = append(closers, held)
	}
	pc := r.Conn
	switch {
	case r.Socket != nil:
		r.port, pc = r.Socket, r.Socket.Conn()
	case r.Path == exchange.PathWrapped:
		port, err := timing.Wrap(r.Conn, r.Clock)
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		r.port, pc = port, port.Conn()
		closers = append(closers, port)
	}
	r.transport = &quic.Transport{Conn: pc}
	closers = append(closers, r.transport)
	if r.port == nil && r.Path == exchange.PathTransport {
		port := timing.NewTransportPort(r.transport, r.Clock)
		r.port = port
		closers = append(closers, port)
	}
	return closeAll, nil
}

// tell hands an event to the teller, so that a slow display never stands between a challenge and its answer.
func (r *run) tell(e Event) {
	if r.Progress != nil {
		r.events <- e
	}
}

// mention is tell for events that may be dropped when the teller is behind: those of single rounds, told from the timed phase.
func (r *run) mention(e Event) {
	select {
	case r.events <- e:
	default:
	}
}

// teller calls Progress from one goroutine until the returned function is called.
func (r *run) teller() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	r.events = make(chan Event, 256)
	var telling sync.WaitGroup
	telling.Go(func() {
		for e := range r.events {
			r.Progress(e)
		}
	})
	return func() { close(r.events); telling.Wait() }
}

// ask runs one beacon and files the result.
func (r *run) ask(ctx context.Context, id identity.ID) {
	beacon, _ := r.Directory.Lookup(id) // VerifyChallenge has seen it listed
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	answer, err := r.exchange(ctx, beacon, r.Path)
	if errors.Is(err, errNoPackets) && !r.NoFallback {
		answer, err = r.exchange(ctx, beacon, exchange.PathDatagram)
	}
	event := Event{Beacon: id, Place: beacon.Place, Phase: Succeeded, RTT: answer.RTTCore, Rounds: int(answer.Statement.RoundsOK)}
	r.mu.Lock()
	if err != nil {
		event.Phase, event.Err = Failed, err
		r.outcome.Failures = append(r.outcome.Failures, Failure{Beacon: id, Place: beacon.Place, Err: err})
	} else {
		r.outcome.Answers = append(r.outcome.Answers, answer)
	}
	r.mu.Unlock()
	r.tell(event)
}

// errNoPackets marks an exchange over packets beside QUIC in which not one came.
var errNoPackets = errors.New("no round packet came")

// exchange dials one beacon and runs the machine.
func (r *run) exchange(ctx context.Context, beacon directory.Beacon, path exchange.PathKind) (Answer, error) {
	started := r.Now()
	r.tell(Event{Beacon: beacon.ID(), Place: beacon.Place, Phase: Dialling})
	addr, err := r.Resolve(ctx, beacon.Address)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrDial, err)
	}
	config := channel.QUIC(-1, path == exchange.PathDatagram)
	config.TokenStore = r.Tokens
	conn, err := r.transport.Dial(ctx, addr, channel.ClientTLS(), config)
	if err != nil {
		return Answer{}, fmt.Errorf("%w at %s: %w", ErrDial, beacon.Address, err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return Answer{}, err
	}
	machine, err := exchange.NewCore(r.machine(beacon, ch, path))
	if err != nil {
		return Answer{}, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return Answer{}, channel.Closed(fmt.Errorf("%w: %w", drive.ErrStream, err))
	}
	if err := r.appraise(ctx, beacon, ch, stream); err != nil {
		if errors.Is(err, ErrAppraisal) { // its host should know; why in detail is the core's to tell
			_ = conn.CloseWithError(quic.ApplicationErrorCode(exchange.CloseCode(exchange.ErrMistrusted)), "")
		}
		return Answer{}, channel.Closed(err)
	}
	port := r.port
	if path == exchange.PathDatagram {
		datagrams := timing.NewDatagramPort(conn, r.Clock)
		defer func() { _ = datagrams.Close() }()
		port = datagrams
	}
	err = drive.Run(ctx, drive.Config{Machine: machine, Stream: stream, Port: port, Peer: addr, Stepped: r.progress(beacon, machine)})
	if err != nil {
		if err = channel.Closed(err); errors.Is(err, exchange.ErrTooFewRounds) && path != exchange.PathDatagram && !machine.Challenged() {
			err = fmt.Errorf("%w: %w", errNoPackets, err)
		}
		return Answer{}, err
	}
	elapsed := r.Now().Sub(started)
	linger(stream)
	return answerOf(beacon, machine, elapsed), nil
}

func answerOf(beacon directory.Beacon, machine *exchange.Core, elapsed time.Duration) Answer {
	result, _ := machine.Result()
	return Answer{
		Beacon: beacon, Signed: result.Signed, Statement: result.Statement, BeaconResult: result.BeaconResult,
		RTTCore: earth.RTT(result.RTTNS), Elapsed: elapsed,
	}
}

// machine is the configuration of one exchange.
func (r *run) machine(beacon directory.Beacon, ch channel.Channel, path exchange.PathKind) exchange.CoreConfig {
	carrier := exchange.CarrierPackets
	if path == exchange.PathDatagram {
		carrier = exchange.CarrierDatagrams
	}
	return exchange.CoreConfig{
		Key: r.Key, TimedKey: r.TimedKey, Directory: r.Directory, Beacon: beacon.ID(), UnixNS: r.Now().UnixNano(),
		Quality: r.Clock.Quality(), Mode: r.Mode, Carrier: carrier,
		Challenge: r.envelope, Asked: r.asked, Previous: r.PreviousProof, Attestation: r.Attestation, Roots: r.Roots,
		Binding: ch.Binding, ChannelKey: ch.Key, Random: r.Random,
	}
}

// progress tells what a step changed. It runs under the drive's lock.
func (r *run) progress(beacon directory.Beacon, machine *exchange.Core) func(exchange.Output) {
	if r.Progress == nil {
		return nil
	}
	phase, told := Opening, 0
	r.tell(Event{Beacon: beacon.ID(), Place: beacon.Place, Phase: phase})
	return func(out exchange.Output) {
		ns, rounds := machine.RTTSoFar()
		next := phase
		switch {
		case out.Listen != nil:
			next = Timing
		case phase == Timing:
			next = Stating
		}
		if next == phase && rounds == told {
			return
		}
		phase, told = next, rounds
		r.mention(Event{Beacon: beacon.ID(), Place: beacon.Place, Phase: phase, RTT: earth.RTT(ns), Rounds: rounds})
	}
}

// linger lets the countersignature reach the beacon: it closes this side of the stream and waits for the other's end, not for long.
func linger(s *quic.Stream) {
	_ = s.Close()
	_ = s.SetReadDeadline(time.Now().Add(time.Second))
	var b [1]byte
	_, _ = s.Read(b[:])
}
