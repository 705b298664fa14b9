package statement

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Limits of a statement.
const (
	MaxStatementSize = 64 << 10       // bytes of the canonical payload
	MaxRTTNS         = 10_000_000_000 // ten seconds: no packet on Earth takes longer and still says anything
	MaxGranularityNS = 1_000_000_000  // one second
	MaxErrPPB        = 1_000_000      // 0.1 %: a clock that is worse is broken
	MaxPayloadLen    = 1452           // bytes of UDP payload in an unfragmented IPv6 packet of 1,500
)

// Kind says who measured whom.
type Kind uint64

// KindExchange is a beacon's timed exchange with a core that answers a gate's challenge. Zero and all other kinds are refused.
const KindExchange Kind = 1

// Flags are remarks on an exchange. They never make a bound smaller; a policy may ask for some and refuse others.
type Flags uint64

// The flags. Unknown bits are refused.
const (
	FlagDirectionMismatch Flags = 1 << iota // the two directions' minima disagree beyond the tolerance
	FlagPathChanged                         // the core's address or port changed during the session
	FlagClockAttested                       // the beacon's attestation covers its clock source
	FlagDatagram                            // rounds travelled in QUIC DATAGRAM frames instead of packets of their own
	FlagKernelStamps                        // the beacon's receive stamps are the kernel's
	FlagCoreHeld                            // the core held its processor out of idle while answering
	FlagCoreSpinning                        // the core spun while answering

	knownFlags = FlagCoreSpinning<<1 - 1
)

var flagNames = []string{"direction-mismatch", "path-changed", "clock-attested", "datagram", "kernel-stamps", "core-held",
	"core-spinning"}

// Has says whether all the given flags are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// String lists the flags by name, "none" for none.
func (f Flags) String() string {
	var names []string
	for i, name := range flagNames {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	if unknown := f &^ knownFlags; unknown != 0 {
		names = append(names, fmt.Sprintf("unknown(%#x)", uint64(unknown)))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// The refusals of a statement by itself.
var (
	ErrStatement       = errors.New("not a statement")
	ErrKind            = errors.New("unknown kind of statement")
	ErrFlags           = errors.New("unknown flags")
	ErrNoBeacon        = errors.New("beacon id is all zero")
	ErrNoTimedKey      = errors.New("name of the timed key is all zero")
	ErrNoHash          = errors.New("hash or session id is all zero")
	ErrPosition        = errors.New("position is off the Earth's shell")
	ErrNoUncertainty   = errors.New("position has no uncertainty")
	ErrUncertainty     = errors.New("position uncertainty is absurd")
	ErrNoDomain        = errors.New("no domain")
	ErrDomains         = errors.New("domains are not a strictly ascending list of words")
	ErrEndBeforeStart  = errors.New("session ends before it starts")
	ErrNotAfter        = errors.New("statement expires before its session ends")
	ErrRounds          = errors.New("more valid rounds than were sent")
	ErrTooFewRounds    = errors.New("too few valid rounds")
	ErrTooManyRounds   = errors.New("more rounds than allowed")
	ErrRTT             = errors.New("round trip is zero, negative or longer than ten seconds")
	ErrPercentiles     = errors.New("minimum and percentiles are not in ascending order")
	ErrGranularity     = errors.New("timer granularity must be 1 ns to 1 s")
	ErrTimerError      = errors.New("timer rate error must be 1 ppb to 1,000,000 ppb")
	ErrPayloadLen      = errors.New("payload length must be 1 to 1452 bytes")
	ErrStatementTooBig = errors.New("statement is larger than 64 KiB")
)

// Statement is what a beacon signs about one exchange with one core: a claim. Round trips are nanoseconds rounded up; those of the
// beacon are what its clock showed, to which a bound adds 2 × granularity and the rate error, and the core's already contain its
// own clock's.
type Statement struct {
	Version            uint64      `cbor:"1,keyasint"`
	Kind               Kind        `cbor:"2,keyasint"`
	Suite              uint64      `cbor:"3,keyasint"`
	Flags              Flags       `cbor:"4,keyasint"`
	Beacon             identity.ID `cbor:"5,keyasint"`
	Core               identity.ID `cbor:"6,keyasint"`
	ChallengeHash      [32]byte    `cbor:"7,keyasint"`
	SessionID          [16]byte    `cbor:"8,keyasint"`
	ExporterHash       [32]byte    `cbor:"9,keyasint"`  // of the TLS exporter value
	TranscriptHash     [32]byte    `cbor:"10,keyasint"` // of the whole run
	PreviousProof      [32]byte    `cbor:"11,keyasint"` // hash of the core's last proof, or FirstProof
	PositionMM         [3]int64    `cbor:"12,keyasint"` // ECEF, the directory's
	PosUncMM           uint64      `cbor:"13,keyasint"` // the directory's
	DirectoryEpoch     uint64      `cbor:"14,keyasint"`
	Domains            []string    `cbor:"15,keyasint"` // the directory's
	StartUnixNS        int64       `cbor:"16,keyasint"` // on the beacon's clock
	EndUnixNS          int64       `cbor:"17,keyasint"`
	RoundsSent         uint64      `cbor:"18,keyasint"`
	RoundsOK           uint64      `cbor:"19,keyasint"` // answered in time and verified
	RTTBeaconMinNS     int64       `cbor:"20,keyasint"` // smallest of the valid rounds
	RTTCoreMinNS       int64       `cbor:"21,keyasint"` // the same in the other direction, as the core signed it
	RTTBeaconP10NS     int64       `cbor:"22,keyasint"`
	RTTBeaconP50NS     int64       `cbor:"23,keyasint"`
	RTTBeaconP90NS     int64       `cbor:"24,keyasint"`
	TimerGranularityNS uint64      `cbor:"25,keyasint"` // of the beacon's clock
	TimerErrorPPB      uint64      `cbor:"26,keyasint"` // of the beacon's clock
	PayloadLen         uint64      `cbor:"27,keyasint"` // bytes of a round's packet
	BeaconResult       [32]byte    `cbor:"28,keyasint"` // HashResult of the beacon's attestation result
	CoreResult         [32]byte    `cbor:"29,keyasint"` // HashResult of the core's attestation result
	NotAfterUnixNS     int64       `cbor:"30,keyasint"` // the statement is void after this instant

	TimedKey identity.TimedKeyID `cbor:"31,keyasint"` // the core's key to which the beacon encapsulated: whose holder was timed
}

// Encode fills in Version, Kind and Suite, checks the statement by itself and returns the canonical payload for the beacon to sign.
func (s Statement) Encode() ([]byte, error) {
	s.Version, s.Kind, s.Suite = Version, KindExchange, identity.Suite
	if err := s.Check(); err != nil {
		return nil, err
	}
	b, err := canon.Marshal(s)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxStatementSize {
		return nil, ErrStatementTooBig
	}
	return b, nil
}

// Seal encodes and signs one statement. A server with many signs a batch: Encode each, then identity.SealBatch.
func (s Statement) Seal(beacon *identity.Private) (identity.Envelope, error) {
	payload, err := s.Encode()
	if err != nil {
		return identity.Envelope{}, err
	}
	return identity.Seal(beacon, identity.TypeStatement, payload)
}

// Decode reads a statement's payload and checks it by itself: a claim. ErrStatement wraps the encoding's own error.
func Decode(payload []byte) (Statement, error) {
	if len(payload) > MaxStatementSize {
		return Statement{}, ErrStatementTooBig
	}
	var s Statement
	if err := canon.Unmarshal(payload, &s, MaxStatementSize); err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if err := s.Check(); err != nil {
		return Statement{}, err
	}
	return s, nil
}

// Check judges the statement by itself, without keys, directory or clock: ErrVersion, ErrKind, ErrSuite, ErrFlags, ErrNoBeacon,
// ErrNoCore, ErrNoTimedKey, ErrNoHash, ErrPosition, ErrNoUncertainty, ErrUncertainty, ErrNoDomain, ErrDomains, ErrEndBeforeStart, ErrNotAfter,
// ErrRounds, ErrTooFewRounds, ErrTooManyRounds, ErrRTT, ErrPercentiles, ErrGranularity, ErrTimerError, ErrPayloadLen.
func (s Statement) Check() error {
	for _, check := range []func() error{s.checkForm, s.checkPlace, s.checkSession, s.checkTimes} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s Statement) checkForm() error {
	switch {
	case s.Version != Version:
		return fmt.Errorf("statement: %w %d, want %d", ErrVersion, s.Version, Version)
	case s.Kind != KindExchange:
		return fmt.Errorf("%w: %d", ErrKind, s.Kind)
	case s.Suite != identity.Suite:
		return fmt.Errorf("statement: %w %d, want %d", ErrSuite, s.Suite, identity.Suite)
	case s.Flags&^knownFlags != 0:
		return fmt.Errorf("%w: %s", ErrFlags, s.Flags)
	case s.Beacon.IsZero():
		return ErrNoBeacon
	case s.Core.IsZero():
		return ErrNoCore
	case s.TimedKey.IsZero():
		return ErrNoTimedKey
	case s.SessionID == [16]byte{}:
		return fmt.Errorf("%w: session id", ErrNoHash)
	}
	for _, h := range []struct {
		name string
		hash [32]byte
	}{{"challenge", s.ChallengeHash}, {"exporter", s.ExporterHash}, {"transcript", s.TranscriptHash},
		{"previous proof", s.PreviousProof}, {"beacon's attestation result", s.BeaconResult}, {"core's attestation result", s.CoreResult}} {
		if h.hash == [32]byte{} {
			return fmt.Errorf("%w: %s", ErrNoHash, h.name)
		}
	}
	return nil
}

// maxCoordinateMM is beyond every place on the shell; larger numbers are refused before they are converted.
const maxCoordinateMM = 6_500_000_000

func (s Statement) checkPlace() error {
	for _, c := range s.PositionMM {
		if c > maxCoordinateMM || c < -maxCoordinateMM {
			return fmt.Errorf("%w: %d mm", ErrPosition, c)
		}
	}
	if err := earth.FromMillimetres(s.PositionMM).Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPosition, err)
	}
	switch {
	case s.PosUncMM == 0:
		return ErrNoUncertainty
	case s.PosUncMM > directory.MaxPosUncMM:
		return fmt.Errorf("%w: %d mm", ErrUncertainty, s.PosUncMM)
	case len(s.Domains) == 0:
		return ErrNoDomain
	}
	if err := directory.CheckDomains(s.Domains); err != nil {
		return fmt.Errorf("%w: %w", ErrDomains, err)
	}
	return nil
}

func (s Statement) checkSession() error {
	switch {
	case s.StartUnixNS <= 0 || s.EndUnixNS < s.StartUnixNS:
		return ErrEndBeforeStart
	case s.NotAfterUnixNS <= s.EndUnixNS:
		return ErrNotAfter
	case s.RoundsOK > s.RoundsSent:
		return fmt.Errorf("%w: %d of %d", ErrRounds, s.RoundsOK, s.RoundsSent)
	case s.RoundsOK < MinRounds:
		return fmt.Errorf("%w: %d, at least %d", ErrTooFewRounds, s.RoundsOK, MinRounds)
	case s.RoundsSent > MaxRounds:
		return fmt.Errorf("%w: %d, at most %d", ErrTooManyRounds, s.RoundsSent, MaxRounds)
	case s.PayloadLen < 1 || s.PayloadLen > MaxPayloadLen:
		return fmt.Errorf("%w: %d", ErrPayloadLen, s.PayloadLen)
	}
	return nil
}

func (s Statement) checkTimes() error {
	for _, ns := range []int64{s.RTTBeaconMinNS, s.RTTCoreMinNS, s.RTTBeaconP10NS, s.RTTBeaconP50NS, s.RTTBeaconP90NS} {
		if ns <= 0 || ns > MaxRTTNS {
			return fmt.Errorf("%w: %d ns", ErrRTT, ns)
		}
	}
	switch {
	case s.RTTBeaconMinNS > s.RTTBeaconP10NS || s.RTTBeaconP10NS > s.RTTBeaconP50NS || s.RTTBeaconP50NS > s.RTTBeaconP90NS:
		return fmt.Errorf("%w: min %d, p10 %d, p50 %d, p90 %d ns", ErrPercentiles, s.RTTBeaconMinNS, s.RTTBeaconP10NS,
			s.RTTBeaconP50NS, s.RTTBeaconP90NS)
	case s.TimerGranularityNS < 1 || s.TimerGranularityNS > MaxGranularityNS:
		return fmt.Errorf("%w: %d ns", ErrGranularity, s.TimerGranularityNS)
	case s.TimerErrorPPB < 1 || s.TimerErrorPPB > MaxErrPPB:
		return fmt.Errorf("%w: %d", ErrTimerError, s.TimerErrorPPB)
	}
	return nil
}

// HashExporter hashes a TLS exporter value for ExporterHash.
func HashExporter(exporter []byte) [32]byte { return identity.Hash("exporter", exporter) }

// HashTranscript hashes the messages of a run, in order, for TranscriptHash.
func HashTranscript(messages ...[]byte) [32]byte { return identity.Hash("transcript", messages...) }

// HashResult hashes an encoded attestation result for BeaconResult and CoreResult.
func HashResult(result []byte) [32]byte { return identity.Hash("attestation result", result) }

// FirstProof is the previous proof hash of a core that has none: no hash is ever zero, and no two cores share it.
func FirstProof(core identity.ID) [32]byte { return identity.Hash("first proof", core[:]) }
