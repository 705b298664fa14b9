package exchange

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// BeaconConfig is what the beacon's side of one exchange is made of.
type BeaconConfig struct {
	Key     *identity.Private // the beacon's identity
	Limits  Limits
	Quality stamp.Quality // of the clock that makes the stamps
	// Path is how packets beside QUIC travel, or PathDatagram where only DATAGRAM frames do. Datagrams says that these can be had as
	// well, for a core that asks for them.
	Path      PathKind
	Datagrams bool

	// Binding and ChannelKey are the exporter values of the channel under ExporterBinding and ExporterKey.
	Binding, ChannelKey [32]byte
	// Random gives nonces, seeds and the encapsulation: 224 bytes in all.
	Random io.Reader
	// Seal signs Accept and the statement; nil signs with Key at once. A server that signs many hands in its batcher: neither is
	// in the timed phase.
	Seal func(t identity.ObjectType, payload []byte) (identity.Envelope, error)

	// Directory is the verified constellation: it lists this beacon's place and the gates that may ask.
	Directory *directory.Directory
	// Before is the directory that was in force before it, or nil. A challenge of its epoch is still answered, with its
	// positions, by gates that both list, because a new directory takes time to spread.
	Before *directory.Directory
	// UnixNS is the wall clock at the opening, nanoseconds since 1970, for the challenge's validity.
	UnixNS int64
	// Appraised is asked, once the core has proven who it is, whether an appraiser vouches for its timed key: an error ends the
	// exchange. Nil asks nobody, and the gate alone judges.
	Appraised func(core identity.ID, timed identity.TimedKeyID, result []byte) error
	// Admit is asked once the core has proven who it is and before the beacon encapsulates and signs; an error (ErrBusy,
	// ErrQuota) ends the exchange. Asking earlier would let anybody use up a core's quota in its name. Nil admits all.
	Admit func(core identity.ID) error

	// Attestation is this beacon's encoded attestation result, which the core takes to the gate; 1 byte to 64 KiB.
	Attestation []byte
	// ClockAttested says that the attestation covers the source of time.
	ClockAttested bool
	// Validity is how long the statement is valid after the exchange; positive.
	Validity time.Duration
	// PathChanged is asked once, after the rounds: has the core's address changed since the opening? Nil means no.
	PathChanged func() bool
}

// Beacon is the beacon's side of one exchange.
//
//	awaiting init --Init--> awaiting ready --Ready--> timing --rounds over--> awaiting times --Times--> awaiting countersign --> over
//
// Any refused message, and any deadline, leads to over. A refused packet leads nowhere.
type Beacon struct {
	cfg     BeaconConfig
	state   beaconState
	wake    stamp.Instant
	session Session
	seed    Seed
	salt    [32]byte
	nonce   [32]byte

	core      identity.Public
	located   identity.TimedPublic // the core's, to which this beacon encapsulates
	directory *directory.Directory // of the challenge's epoch
	self      directory.Beacon     // this beacon in it
	init      initBody
	asked     statement.Asked
	digests   digests
	limits    Limits
	path      PathKind
	caller    *caller
	rounds    []roundWire
	times     []Round
	payload   []byte // the statement's
	result    BeaconResult
}

type beaconState uint8

const (
	beaconInit beaconState = iota + 1
	beaconReady
	beaconTiming
	beaconTimes
	beaconCountersign
	beaconOver
)

// digests are SHA-256 over the bodies of the messages, each under the name of its kind.
type digests struct{ init, accept, stop, times [32]byte }

// NewBeacon checks the configuration and draws the session's secrets.
func NewBeacon(cfg BeaconConfig) (*Beacon, error) {
	if cfg.Key == nil || cfg.Key.Public().Role() != identity.RoleBeacon {
		return nil, fmt.Errorf("%w: key of a beacon missing", ErrConfig)
	}
	if _, listed := cfg.Directory.Lookup(cfg.Key.ID()); !listed {
		return nil, fmt.Errorf("%w: directory does not list this beacon", ErrConfig)
	}
	if cfg.Random == nil || len(cfg.Attestation) == 0 || len(cfg.Attestation) > statement.MaxResultSize || cfg.Validity <= 0 || cfg.UnixNS <= 0 {
		return nil, fmt.Errorf("%w: randomness, attestation result, validity or time missing", ErrConfig)
	}
	if !cfg.Path.Valid() {
		return nil, fmt.Errorf("%w: unknown path", ErrConfig)
	}
	if err := errors.Join(cfg.Limits.Validate(), cfg.Quality.Validate()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	b := &Beacon{cfg: cfg, state: beaconInit, wake: stamp.Never}
	for _, secret := range [][]byte{b.session[:], b.seed[:], b.salt[:], b.nonce[:]} {
		if _, err := io.ReadFull(cfg.Random, secret); err != nil {
			return nil, fmt.Errorf("%w: reading randomness: %w", ErrConfig, err)
		}
	}
	if cfg.Seal == nil {
		b.cfg.Seal = func(t identity.ObjectType, payload []byte) (identity.Envelope, error) {
			return identity.Seal(cfg.Key, t, payload)
		}
	}
	return b, nil
}

// Step takes one event. An error ends the exchange (Refusal makes the message that says so); after it, and after Done, every step
// returns ErrOver.
func (b *Beacon) Step(now stamp.Instant, ev Event) (Output, error) {
	if b.state == beaconOver {
		return Output{Wake: stamp.Never}, ErrOver
	}
	out, err := b.step(now, ev)
	if err != nil {
		b.state = beaconOver
		return Output{Wake: stamp.Never}, err
	}
	out.Wake = b.wake
	if b.state == beaconTiming {
		out.Wake, out.Listen = b.caller.wake, &b.session
	}
	return out, nil
}

func (b *Beacon) step(now stamp.Instant, ev Event) (Output, error) {
	switch ev.kind {
	case eventStart:
		if b.wake == stamp.Never {
			b.await(now, b.state)
		}
		return Output{}, nil
	case eventTick:
		return b.tick(now)
	case eventPacket:
		return b.packet(ev)
	case eventDeparted:
		if b.state == beaconTiming {
			b.caller.departed(ev.departure)
		}
		return Output{}, nil
	case eventArrived:
		if b.state != beaconTiming || !b.caller.arrived(now, ev.arrival) {
			return Output{}, nil
		}
		return b.afterRound(now, Output{})
	case eventMessage:
		return b.message(now, ev.message)
	}
	return Output{}, ErrUnexpected
}

// await enters a state of the slow phase with its deadline.
func (b *Beacon) await(now stamp.Instant, s beaconState) {
	b.state = s
	b.wake = now.Add(b.cfg.Limits.Step)
}

func (b *Beacon) tick(now stamp.Instant) (Output, error) {
	if b.state != beaconTiming {
		if now >= b.wake {
			return Output{}, ErrDeadline
		}
		return Output{}, nil
	}
	if p := b.caller.tick(now); p != nil {
		return Output{Packet: p, Timed: true}, nil
	}
	return b.afterRound(now, Output{})
}

func (b *Beacon) packet(ev Event) (Output, error) {
	if b.state != beaconTiming {
		return Output{Refused: ErrNotTiming}, nil
	}
	if ev.packet == nil {
		return Output{Refused: ErrPacketSize}, nil
	}
	if err := ev.packet.check(); err != nil {
		return Output{Refused: err}, nil
	}
	finish, err := b.caller.answer(ev.packet)
	if err != nil {
		return Output{Refused: err}, nil
	}
	return Output{Packet: finish, Stamped: true}, nil
}

// afterRound sends Stop once the rounds are over.
func (b *Beacon) afterRound(now stamp.Instant, out Output) (Output, error) {
	if b.caller.state != callerOver {
		return out, nil
	}
	if b.caller.valid < int(b.limits.MinRounds) {
		return out, fmt.Errorf("%w: %d of %d sent, at least %d", ErrTooFewRounds, b.caller.valid, b.caller.sent, b.limits.MinRounds)
	}
	b.rounds = wireOf(b.caller.rounds[:b.caller.valid])
	commit, err := commitTimes(b.session, b.salt, b.rounds)
	if err != nil {
		return out, err
	}
	out.Message, b.digests.stop, err = encode(KindStop, stopBody{Session: b.session, Sent: b.caller.sent, TimesCommit: commit})
	b.await(now, beaconTimes)
	return out, err
}

func (b *Beacon) message(now stamp.Instant, msg []byte) (Output, error) {
	kind, body, err := split(msg)
	if err != nil {
		return Output{}, err
	}
	switch {
	case kind == KindRefused:
		return Output{}, refused(body)
	case kind == KindInit && b.state == beaconInit:
		return b.open(now, body)
	case kind == KindReady && b.state == beaconReady:
		return b.ready(now, body)
	case kind == KindTimes && b.state == beaconTimes:
		return b.timed(now, body)
	case kind == KindCountersign && b.state == beaconCountersign:
		return b.countersigned(body)
	}
	return Output{}, fmt.Errorf("%w (kind %d)", ErrUnexpected, kind)
}

// open checks Init and answers Accept. The order is: form, addressee, channel, challenge by look (all comparisons), challenge by
// signature, the core's key, the core's signature, its timed key and
// what an appraiser says of it, room, encapsulation.
func (b *Beacon) open(now stamp.Instant, body []byte) (Output, error) {
	var env identity.Envelope
	if err := decode(KindInit, body, &env); err != nil {
		return Output{}, err
	}
	if err := decode(KindInit, env.Payload, &b.init); err != nil {
		return Output{}, err
	}
	challenge, err := b.openCheaply(env)
	if err != nil {
		return Output{}, err
	}
	if b.asked, err = statement.VerifyChallenge(challenge, b.directory, b.cfg.UnixNS); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if b.core, err = coreKey(b.init.Core, env.Signer); err != nil {
		return Output{}, err
	}
	if _, err := env.Open(b.core, identity.TypeInit); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrInitSignature, err)
	}
	if b.located, err = identity.ParseTimedPublic(b.init.TimedKey); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrTimedKey, err)
	}
	if b.cfg.Appraised != nil {
		if err := b.cfg.Appraised(b.core.ID(), b.located.ID(), b.init.Attestation); err != nil {
			return Output{}, fmt.Errorf("%w: %w", ErrCoreResult, err)
		}
	}
	if b.cfg.Admit != nil {
		if err := b.cfg.Admit(b.core.ID()); err != nil {
			return Output{}, err
		}
	}
	b.digests.init = sha256.Sum256(body)
	return b.accept(now)
}

// openCheaply does every check of Init that is only a comparison, and returns the gate's envelope.
func (b *Beacon) openCheaply(env identity.Envelope) (identity.Envelope, error) {
	in := &b.init
	switch {
	case in.Suite != Suite:
		return env, fmt.Errorf("%w (%d)", ErrSuite, in.Suite)
	case env.Type != identity.TypeInit:
		return env, fmt.Errorf("%w: envelope holds another type of object", ErrInitSignature)
	case in.Beacon != b.cfg.Key.ID():
		return env, ErrWrongBeacon
	case in.Binding != b.cfg.Binding:
		return env, ErrBinding
	case !in.Mode.Valid():
		return env, fmt.Errorf("%w: unknown answering mode %d", ErrMalformed, in.Mode)
	case !in.Carrier.valid():
		return env, fmt.Errorf("%w: unknown carrier %d", ErrMalformed, in.Carrier)
	case in.Previous == [32]byte{}:
		return env, fmt.Errorf("%w: hash of the previous proof missing", ErrMalformed)
	case len(in.Attestation) == 0 || len(in.Attestation) > MaxCoreResult:
		return env, fmt.Errorf("%w: attestation result of %d bytes, it must have 1 to %d", ErrMalformed, len(in.Attestation), MaxCoreResult)
	}
	if err := in.quality().Validate(); err != nil {
		return env, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	b.path = b.cfg.Path
	if in.Carrier == CarrierDatagrams && b.cfg.Datagrams {
		b.path = PathDatagram
	}
	if !in.Carrier.carries(b.path) {
		return env, fmt.Errorf("%w: carrier %d, path %v", ErrCarrier, in.Carrier, b.path)
	}
	return b.peek(env.Signer)
}

// Path returns how the rounds of this exchange travel. It is known once Init has been taken.
func (b *Beacon) Path() PathKind { return b.path }

// peek looks at the gate's challenge before anybody's signature is verified.
func (b *Beacon) peek(core identity.ID) (identity.Envelope, error) {
	env, err := identity.DecodeEnvelope(b.init.Challenge, statement.MaxChallengeSize)
	if err != nil {
		return env, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	c, err := statement.DecodeChallenge(env.Payload)
	if err != nil {
		return env, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if c.Core != core {
		return env, fmt.Errorf("%w: it names %s, opened by %s", ErrOtherCore, c.Core.Short(), core.Short())
	}
	if _, ok := slices.BinarySearchFunc(c.Committee, b.cfg.Key.ID(), identity.ID.Compare); !ok {
		return env, ErrNotCommittee
	}
	if _, ok := b.cfg.Directory.Gate(env.Signer); !ok {
		return env, fmt.Errorf("%w: %s", ErrUnknownGate, env.Signer.Short())
	}
	b.directory = b.directoryOf(c.DirectoryEpoch)
	if b.self, err = b.selfIn(b.directory); err != nil {
		return env, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if age := b.cfg.UnixNS - c.IssuedUnixNS; age > c.TTLNS || age < -int64(statement.MaxClockSkew) {
		return env, fmt.Errorf("%w: issued %v ago, valid for %v", ErrExpired, time.Duration(age), time.Duration(c.TTLNS))
	}
	if b.limits, err = b.cfg.Limits.within(c.RoundsMin, c.RoundsMax); err != nil {
		return env, fmt.Errorf("%w: %w", ErrRoundsAsked, err)
	}
	return env, nil
}

// directoryOf returns the directory of an epoch: the one before when it is that, else the one in force, which then refuses the
// challenge.
func (b *Beacon) directoryOf(epoch uint64) *directory.Directory {
	if d := b.cfg.Before; d.Verified() && d.Epoch == epoch {
		return d
	}
	return b.cfg.Directory
}

func (b *Beacon) selfIn(d *directory.Directory) (directory.Beacon, error) {
	self, listed := d.Lookup(b.cfg.Key.ID())
	if !listed {
		return self, fmt.Errorf("%w: directory of epoch %d does not list this beacon", ErrConfig, d.Epoch)
	}
	return self, nil
}

// coreKey parses a core's public key and checks that it is the signer's.
func coreKey(data []byte, signer identity.ID) (identity.Public, error) {
	pub, err := identity.ParsePublic(data)
	if err != nil {
		return identity.Public{}, fmt.Errorf("%w: %w", ErrCoreKey, err)
	}
	if pub.ID() != signer || pub.Role() != identity.RoleCore {
		return identity.Public{}, fmt.Errorf("%w: key of %s, signer %s", ErrCoreKey, pub, signer.Short())
	}
	return pub, nil
}

func (b *Beacon) accept(now stamp.Instant) (Output, error) {
	ciphertext, secret, err := b.located.Encapsulate(b.cfg.Random)
	if err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrTimedKey, err)
	}
	body := acceptBody{
		Suite: Suite, Init: b.digests.init, Session: b.session, Nonce: b.nonce, Ciphertext: ciphertext,
		SeedCommit: b.seed.Commit(b.cfg.Key.ID()), Binding: b.cfg.Binding,
		MinRounds: b.limits.MinRounds, MaxRounds: b.limits.MaxRounds,
		TimeoutNS: uint64(b.limits.Timeout), DeadlineNS: uint64(b.limits.Deadline),
		PayloadSize: PacketSize, Path: b.path, Attestation: statement.HashResult(b.cfg.Attestation),
	}
	payload, err := canon.Marshal(body)
	if err != nil {
		return Output{}, err
	}
	env, err := b.cfg.Seal(identity.TypeAccept, payload)
	if err != nil {
		return Output{}, err
	}
	msg, digest, err := encode(KindAccept, env)
	if err != nil {
		return Output{}, err
	}
	b.digests.accept = digest
	schedule := KeySchedule{
		KEMSecret: secret, ChannelKey: b.cfg.ChannelKey, NonceCore: b.init.Nonce, NonceBeacon: b.nonce,
		Core: b.core.ID(), Beacon: b.cfg.Key.ID(), Session: b.session, Init: b.digests.init, Accept: digest,
	}
	keys, err := schedule.derive()
	if err != nil {
		return Output{}, err
	}
	b.caller = newCaller(b.limits, b.session, b.seed, keys, b.cfg.Quality.GranularityNS)
	b.await(now, beaconReady)
	return Output{Message: msg}, nil
}

func (b *Beacon) ready(now stamp.Instant, body []byte) (Output, error) {
	var r readyBody
	if err := decode(KindReady, body, &r); err != nil {
		return Output{}, err
	}
	if r.Session != b.session {
		return Output{}, fmt.Errorf("%w: ready for another session", ErrMalformed)
	}
	b.state = beaconTiming
	b.caller.start(now)
	return Output{}, nil
}

// timed checks the core's times and seed.
func (b *Beacon) timed(now stamp.Instant, body []byte) (Output, error) {
	var env identity.Envelope
	if err := decode(KindTimes, body, &env); err != nil {
		return Output{}, err
	}
	var t timesBody
	if err := opened(env, b.core, KindTimes, identity.TypeTimes, &t); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrTimes, err)
	}
	if t.Session != b.session || t.Stop != b.digests.stop {
		return Output{}, fmt.Errorf("%w: they answer another session or stop", ErrTimes)
	}
	times, err := roundsOf(t.Rounds, b.caller.sent)
	if err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrTimes, err)
	}
	if len(times) < fewestCoreTimes(b.limits.MinRounds) {
		return Output{}, fmt.Errorf("%w: the core timed %d, at least %d", ErrTooFewRounds, len(times), fewestCoreTimes(b.limits.MinRounds))
	}
	if err := b.checkAnswers(t.Seed); err != nil {
		return Output{}, err
	}
	b.times, b.digests.times = times, sha256.Sum256(body)
	return b.conclude(now)
}

// fewestCoreTimes is how many rounds the core must have timed itself. A lost FN costs it a round that the beacon counts, so
// this is half; one would be sound, but needlessly wide.
func fewestCoreTimes(minRounds uint16) int { return max(1, int(minRounds)/2) }

// checkAnswers compares the values that the core used with the seed that it committed to.
func (b *Beacon) checkAnswers(seed Seed) error {
	if seed.Commit(b.core.ID()) != b.init.SeedCommit {
		return fmt.Errorf("%w: core's", ErrSeed)
	}
	for _, r := range b.rounds {
		if seed.Value(b.session, r.Index) != b.caller.answers[r.Index] {
			return fmt.Errorf("%w: core's, round %d", ErrSeed, r.Index)
		}
	}
	return nil
}

// conclude signs the statement and opens the beacon's seed and times.
func (b *Beacon) conclude(now stamp.Instant) (Output, error) {
	claim := b.claim()
	payload, err := claim.Encode()
	if err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	env, err := b.cfg.Seal(identity.TypeStatement, payload)
	if err != nil {
		return Output{}, err
	}
	signed, err := env.Encode()
	if err != nil {
		return Output{}, err
	}
	msg, _, err := encode(KindResult, resultBody{
		Session: b.session, Statement: signed, Seed: b.seed, Salt: b.salt, Rounds: b.rounds, Attestation: b.cfg.Attestation,
	})
	if err != nil {
		return Output{}, err
	}
	b.payload = payload
	b.result = BeaconResult{Statement: claim, Envelope: env, Core: b.core, Unstable: b.caller.unstable}
	b.await(now, beaconCountersign)
	return Output{Message: msg}, nil
}

// countersigned keeps the core's countersignature: with it the beacon can show that the core took the statement as it stands.
func (b *Beacon) countersigned(body []byte) (Output, error) {
	var c countersignBody
	if err := decode(KindCountersign, body, &c); err != nil {
		return Output{}, err
	}
	if c.Session != b.session {
		return Output{}, ErrCountersign
	}
	if err := b.core.Verify(identity.TypeCountersign, b.payload, c.Signature); err != nil {
		return Output{}, fmt.Errorf("%w: %w", ErrCountersign, err)
	}
	b.result.Countersignature = c.Signature
	b.state = beaconOver
	return Output{Done: true}, nil
}

// BeaconResult is what a beacon has after an exchange.
type BeaconResult struct {
	Statement        statement.Statement
	Envelope         identity.Envelope // the signed statement, as the core has it
	Core             identity.Public
	Countersignature []byte // nil until the core has sent it
	Unstable         int    // verified rounds that the clock rule refused
}

// Result returns what has been signed, if anything has.
func (b *Beacon) Result() (BeaconResult, bool) { return b.result, b.payload != nil }
