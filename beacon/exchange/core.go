package exchange

import (
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Mode is how a core's answering loop waits for challenges; the statement prints it. There is no zero mode.
type Mode uint8

// The rungs of the ladder, slowest first.
const (
	ModeBlocking Mode = 1 // an ordinary blocking read
	ModeHeld     Mode = 2 // the same, with the CPU held out of idle states during the session
	ModeSpinning Mode = 3 // reading in a loop for the session's few hundred milliseconds
)

// Valid says whether m is one of the modes.
func (m Mode) Valid() bool { return m >= ModeBlocking && m <= ModeSpinning }

// String returns the mode's word.
func (m Mode) String() string {
	switch m {
	case ModeBlocking:
		return "blocking"
	case ModeHeld:
		return "held"
	case ModeSpinning:
		return "spinning"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// CoreConfig is what the core's side of one exchange is made of.
type CoreConfig struct {
	Key       *identity.Private    // the core's identity
	TimedKey  *identity.TimedKey   // what is located: the key that answers rest upon
	Directory *directory.Directory // the verified constellation
	Beacon    identity.ID          // whom it talks to; the directory lists it
	UnixNS    int64                // the wall clock at the opening, nanoseconds since 1970, for expiries

	Quality stamp.Quality // of the clock that makes the stamps
	Mode    Mode
	Carrier Carrier       // how rounds can reach this core; 0 means CarrierAny
	Step    time.Duration // how long a message is waited for; 0 means 5 s

	Challenge   []byte              // the gate's envelope, as it came
	Asked       statement.Asked     // the same, verified; it names this core and the beacon
	Previous    [32]byte            // hash of this core's previous proof, or statement.FirstProof; never zero
	Attestation []byte              // this core's encoded attestation result, which names the timed key; 1 byte to MaxCoreResult
	Roots       *identity.RootCache // of beacons' batch signatures; may be nil

	// Binding and ChannelKey are the exporter values of the channel under ExporterBinding and ExporterKey.
	Binding, ChannelKey [32]byte
	// Random gives the nonce and the seed: 64 bytes.
	Random io.Reader
}

// Core is the core's side of one exchange.
//
//	start --> awaiting accept --Accept--> timing --Stop--> awaiting result --Result--> over
type Core struct {
	cfg    CoreConfig
	beacon directory.Beacon
	state  coreState
	wake   stamp.Instant
	step   time.Duration

	nonce    [32]byte
	seed     Seed
	init     initBody
	accept   acceptBody
	stop     stopBody
	digests  digests
	answerer *answerer
	result   *CoreResult
}

type coreState uint8

const (
	coreStart coreState = iota + 1
	coreAccept
	coreTiming
	coreResult
	coreOver
)

// NewCore checks the configuration and draws the session's secrets.
func NewCore(cfg CoreConfig) (*Core, error) {
	if cfg.Key == nil || cfg.Key.Public().Role() != identity.RoleCore {
		return nil, fmt.Errorf("%w: key of a core missing", ErrConfig)
	}
	if cfg.TimedKey.ID().IsZero() {
		return nil, fmt.Errorf("%w: timed key missing", ErrConfig)
	}
	beacon, listed := cfg.Directory.Lookup(cfg.Beacon)
	if !listed {
		return nil, fmt.Errorf("%w: directory does not list beacon %s", ErrConfig, cfg.Beacon.Short())
	}
	if cfg.Carrier == 0 {
		cfg.Carrier = CarrierAny
	}
	if cfg.Random == nil || !cfg.Mode.Valid() || len(cfg.Challenge) == 0 || cfg.Step < 0 || cfg.UnixNS <= 0 {
		return nil, fmt.Errorf("%w: randomness, answering mode, challenge, step or time missing", ErrConfig)
	}
	if cfg.Previous == [32]byte{} {
		return nil, fmt.Errorf("%w: hash of the previous proof missing", ErrConfig)
	}
	if len(cfg.Attestation) == 0 || len(cfg.Attestation) > MaxCoreResult {
		return nil, fmt.Errorf("%w: attestation result of %d bytes, it must have 1 to %d", ErrConfig, len(cfg.Attestation), MaxCoreResult)
	}
	if cfg.Asked.Core() != cfg.Key.ID() {
		return nil, fmt.Errorf("%w: %w", ErrConfig, ErrOtherCore)
	}
	if !cfg.Asked.Asks(cfg.Beacon) {
		return nil, fmt.Errorf("%w: %w", ErrConfig, ErrNotCommittee)
	}
	if err := cfg.Quality.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c := &Core{cfg: cfg, beacon: beacon, state: coreStart, wake: stamp.Never, step: cfg.Step}
	if c.step == 0 {
		c.step = DefaultLimits().Step
	}
	for _, secret := range [][]byte{c.nonce[:], c.seed[:]} {
		if _, err := io.ReadFull(cfg.Random, secret); err != nil {
			return nil, fmt.Errorf("%w: reading randomness: %w", ErrConfig, err)
		}
	}
	return c, nil
}

// Step takes one event, like Beacon.Step.
func (c *Core) Step(now stamp.Instant, ev Event) (Output, error) {
	if c.state == coreOver {
		return Output{Wake: stamp.Never}, ErrOver
	}
	out, err := c.dispatch(now, ev)
	if err != nil {
		c.state = coreOver
		return Output{Wake: stamp.Never}, err
	}
	out.Wake = c.wake
	if c.state == coreTiming {
		out.Listen = &c.accept.Session
	}
	return out, nil
}

// RTTSoFar returns the smallest round trip that this side has timed yet, for progress displays.
func (c *Core) RTTSoFar() (ns int64, rounds int) {
	if c.answerer == nil || c.answerer.valid == 0 {
		return 0, 0
	}
	return summarise(c.answerer.rounds[:c.answerer.valid]).min, c.answerer.valid
}

// Challenged says whether a single challenge has come: without one, packets beside QUIC do not pass.
func (c *Core) Challenged() bool { return c.answerer != nil && c.answerer.next > 0 }

func (c *Core) dispatch(now stamp.Instant, ev Event) (Output, error) {
	switch ev.kind {
	case eventStart:
		if c.state != coreStart {
			return Output{}, ErrUnexpected
		}
		return c.begin(now)
	case eventTick:
		if now >= c.wake {
			return Output{}, ErrDeadline
		}
		return Output{}, nil
	case eventPacket:
		return c.packet(ev)
	case eventDeparted:
		if c.state == coreTiming {
			c.answerer.departed(ev.departure)
		}
		return Output{}, nil
	case eventArrived:
		if c.state == coreTiming {
			c.answerer.arrived(ev.arrival)
		}
		return Output{}, nil
	case eventMessage:
		return c.message(now, ev.message)
	}
	return Output{}, ErrUnexpected
}

func (c *Core) await(now stamp.Instant, s coreState, d time.Duration) {
	c.state = s
	c.wake = now.Add(d)
}

// begin signs Init.
func (c *Core) begin(now stamp.Instant) (Output, error) {
	pub, err := c.cfg.Key.Public().MarshalBinary()
	if err != nil {
		return Output{}, err
	}
	c.init = initBody{
		Suite: Suite, Challenge: c.cfg.Challenge, Core: pub, Beacon: c.cfg.Beacon, Nonce: c.nonce,
		SeedCommit: c.seed.Commit(c.cfg.Key.ID()), Binding: c.cfg.Binding, Previous: c.cfg.Previous, Attestation: c.cfg.Attestation,
		GranularityNS: c.cfg.Quality.GranularityNS, ErrPPB: c.cfg.Quality.ErrPPB, Mode: c.cfg.Mode, Carrier: c.cfg.Carrier,
		TimedKey: c.cfg.TimedKey.Public().Bytes(),
	}
	msg, digest, err := sealed(c.cfg.Key, KindInit, identity.TypeInit, c.init)
	if err != nil {
		return Output{}, err
	}
	c.digests.init = digest
	c.await(now, coreAccept, c.step)
	return Output{Message: msg}, nil
}

func (c *Core) packet(ev Event) (Output, error) {
	if c.state != coreTiming {
		return Output{Refused: ErrNotTiming}, nil
	}
	if ev.packet == nil {
		return Output{Refused: ErrPacketSize}, nil
	}
	if err := ev.packet.check(); err != nil {
		return Output{Refused: err}, nil
	}
	switch ev.packet.Kind() {
	case CH:
		reply, err := c.answerer.answer(ev.packet)
		if err != nil {
			return Output{Refused: err}, nil
		}
		return Output{Packet: reply, Timed: true}, nil
	case FN:
		if err := c.answerer.finish(ev.packet); err != nil {
			return Output{Refused: err}, nil
		}
		return Output{Stamped: true}, nil
	}
	return Output{Refused: ErrPacketKind}, nil
}

func (c *Core) message(now stamp.Instant, msg []byte) (Output, error) {
	kind, body, err := split(msg)
	if err != nil {
		return Output{}, err
	}
	switch {
	case kind == KindRefused:
		return Output{}, refused(body)
	case kind == KindAccept && c.state == coreAccept:
		return c.accepted(now, body)
	case kind == KindStop && c.state == coreTiming:
		return c.stopped(now, body)
	case kind == KindResult && c.state == coreResult:
		return c.concluded(body)
	}
	return Output{}, fmt.Errorf("%w (kind %d)", ErrUnexpected, kind)
}

// accepted checks Accept, derives the keys and says Ready.
func (c *Core) accepted(now stamp.Instant, body []byte) (Output, error) {
	var env identity.Envelope
	if err := decode(KindAccept, body, &env); err != nil {
		return Output{}, err
	}
	if err := opened(env, c.beacon.Key, KindAccept, identity.TypeAccept, &c.accept); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrAcceptSignature, err)
	}
	c.digests.accept = sha256.Sum256(body)
	if err := c.checkAccept(); err != nil {
		return Output{}, err
	}
	secret, err := c.cfg.TimedKey.Decapsulate(c.accept.Ciphertext)
	if err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	a := &c.accept
	schedule := KeySchedule{
		KEMSecret: secret, ChannelKey: c.cfg.ChannelKey, NonceCore: c.nonce, NonceBeacon: a.Nonce,
		Core: c.cfg.Key.ID(), Beacon: c.cfg.Beacon, Session: a.Session, Init: c.digests.init, Accept: c.digests.accept,
	}
	keys, err := schedule.derive()
	if err != nil {
		return Output{}, err
	}
	c.answerer = newAnswerer(a.MaxRounds, a.Session, c.seed, keys, c.cfg.Quality.GranularityNS)
	c.await(now, coreTiming, time.Duration(a.DeadlineNS)+time.Duration(a.TimeoutNS)+c.step)
	msg, _, err := encode(KindReady, readyBody{Session: a.Session})
	return Output{Message: msg}, err
}

func (c *Core) checkAccept() error {
	a := &c.accept
	switch {
	case a.Suite != Suite:
		return fmt.Errorf("%w (%d)", ErrSuite, a.Suite)
	case a.Init != c.digests.init:
		return ErrOtherInit
	case a.Binding != c.cfg.Binding:
		return ErrBinding
	case a.PayloadSize != PacketSize:
		return fmt.Errorf("%w: rounds of %d bytes, want %d", ErrTerms, a.PayloadSize, PacketSize)
	case !c.cfg.Carrier.carries(a.Path):
		return fmt.Errorf("%w: path %v, asked for carrier %d", ErrTerms, a.Path, c.cfg.Carrier)
	case a.Attestation == [32]byte{}:
		return fmt.Errorf("%w: hash of the attestation result missing", ErrTerms)
	case a.TimeoutNS > uint64(time.Minute) || a.DeadlineNS > uint64(time.Minute):
		return fmt.Errorf("%w: time-outs beyond a minute", ErrTerms)
	}
	l := DefaultLimits()
	l.MinRounds, l.MaxRounds, l.Timeout, l.Deadline = a.MinRounds, a.MaxRounds, time.Duration(a.TimeoutNS), time.Duration(a.DeadlineNS)
	l.Budget = min(l.Budget, l.Deadline)
	if err := l.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrTerms, err)
	}
	return nil
}

// stopped commits to the core's own times, before it has seen the beacon's.
func (c *Core) stopped(now stamp.Instant, body []byte) (Output, error) {
	if err := decode(KindStop, body, &c.stop); err != nil {
		return Output{}, err
	}
	c.digests.stop = sha256.Sum256(body)
	a := c.answerer
	if c.stop.Session != c.accept.Session || c.stop.Sent > c.accept.MaxRounds || c.stop.Sent < a.next {
		return Output{}, fmt.Errorf("%w: stop does not fit the rounds", ErrTimes)
	}
	if a.valid < fewestCoreTimes(c.accept.MinRounds) {
		return Output{}, fmt.Errorf("%w: the core timed %d of %d, at least %d", ErrTooFewRounds, a.valid, c.stop.Sent, fewestCoreTimes(c.accept.MinRounds))
	}
	msg, digest, err := sealed(c.cfg.Key, KindTimes, identity.TypeTimes, timesBody{
		Session: c.accept.Session, Stop: c.digests.stop, Seed: c.seed, Rounds: wireOf(a.rounds[:a.valid]),
	})
	c.digests.times = digest
	c.await(now, coreResult, c.step)
	return Output{Message: msg}, err
}

// concluded checks everything that the beacon opens and says, and countersigns.
func (c *Core) concluded(body []byte) (Output, error) {
	var r resultBody
	if err := decode(KindResult, body, &r); err != nil {
		return Output{}, err
	}
	rounds, err := c.checkOpened(r)
	if err != nil {
		return Output{}, err
	}
	checked, err := c.checkStatement(r, rounds)
	if err != nil {
		return Output{}, err
	}
	msg, _, err := encode(KindCountersign, countersignBody{Session: c.accept.Session, Signature: checked.countersignature})
	if err != nil {
		return Output{}, err
	}
	c.result = &CoreResult{
		Signed: checked.signed, Statement: checked.claim, BeaconResult: r.Attestation,
		RTTNS: summarise(c.answerer.rounds[:c.answerer.valid]).min, Rounds: c.answerer.valid, Unstable: c.answerer.unstable,
	}
	c.state, c.wake = coreOver, stamp.Never
	return Output{Message: msg, Done: true}, nil
}

// CoreResult is what a core has after an exchange.
type CoreResult struct {
	Signed       identity.Envelope   // the beacon's signed statement, checked against everything that the core saw
	Statement    statement.Statement // what it says
	BeaconResult []byte              // the beacon's attestation result that the statement names: a claim until appraised
	RTTNS        int64               // the smallest round trip by the core's own clock, without that clock's own error
	Rounds       int                 // rounds that the core timed
	Unstable     int                 // verified rounds that the clock rule refused
}

// Result returns the outcome of an exchange that is done.
func (c *Core) Result() (CoreResult, bool) {
	if c.result == nil {
		return CoreResult{}, false
	}
	return *c.result, true
}

// checkOpened compares the beacon's opened seed and times with what it committed to and with the challenges that came.
func (c *Core) checkOpened(r resultBody) ([]Round, error) {
	if r.Session != c.accept.Session {
		return nil, fmt.Errorf("%w: of another session", ErrTimesOpened)
	}
	if r.Seed.Commit(c.cfg.Beacon) != c.accept.SeedCommit {
		return nil, fmt.Errorf("%w: beacon's", ErrSeed)
	}
	for i, answered := range c.answerer.answered {
		if answered && r.Seed.Value(r.Session, uint16(i)) != c.answerer.challenges[i] {
			return nil, fmt.Errorf("%w: beacon's, round %d", ErrSeed, i)
		}
	}
	commit, err := commitTimes(r.Session, r.Salt, r.Rounds)
	if err != nil {
		return nil, err
	}
	if commit != c.stop.TimesCommit {
		return nil, ErrTimesOpened
	}
	rounds, err := roundsOf(r.Rounds, c.stop.Sent)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTimesOpened, err)
	}
	for _, round := range rounds {
		if !c.answerer.answered[round.Index] {
			return nil, fmt.Errorf("%w: round %d was never answered", ErrTimesOpened, round.Index)
		}
	}
	if len(rounds) < int(c.accept.MinRounds) {
		return nil, fmt.Errorf("%w: beacon's %d, at least %d", ErrTooFewRounds, len(rounds), c.accept.MinRounds)
	}
	return rounds, nil
}
