package statement

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The refusals of a statement by what the verifier knows.
var (
	ErrNotAsked          = errors.New("no verified challenge to verify with")
	ErrUnknownBeacon     = errors.New("beacon is not in the directory")
	ErrQuarantined       = errors.New("beacon is in quarantine")
	ErrBeaconExpired     = errors.New("beacon's directory entry is not in force")
	ErrNotInCommittee    = errors.New("beacon is not on the challenge's committee")
	ErrBeaconSignature   = errors.New("beacon's signature does not verify")
	ErrWrongBeacon       = errors.New("statement names another beacon than its signer")
	ErrWrongCore         = errors.New("another core than expected")
	ErrChallengeHash     = errors.New("statement answers another challenge")
	ErrWrongPosition     = errors.New("position differs from the directory's")
	ErrWrongUncertainty  = errors.New("position uncertainty differs from the directory's")
	ErrWrongDomains      = errors.New("domains differ from the directory's")
	ErrPreviousProof     = errors.New("previous proof hash differs")
	ErrExpired           = errors.New("statement has expired")
	ErrFuture            = errors.New("session starts in the future")
	ErrDisagree          = errors.New("statement differs from what the core saw")
	ErrAgreedUnspecified = errors.New("the core did not say what it saw")
)

// Context is what a verifier knows when a statement comes in. Every field but Roots is required.
type Context struct {
	Directory     *directory.Directory
	Asked         Asked           // the challenge that is being answered
	Core          identity.Public // whose place it is
	PreviousProof [32]byte        // hash of the core's last proof, or FirstProof
	NowUnixNS     int64
	Roots         *identity.RootCache // of beacons' batch signatures; may be nil
}

// VerifyStatement verifies what a beacon says about one exchange. It is not a fact yet: that the core says so too stands under the
// whole proof, see VerifyProof. Checks, in this order, each with its own error:
//
//	ErrDirectory         the directory is verified and in force at now
//	ErrNotAsked          the challenge was verified
//	ErrUnknownBeacon     the signer is listed
//	ErrQuarantined       and not in quarantine
//	ErrBeaconExpired     and its entry is in force
//	ErrNotInCommittee    and the challenge asks it
//	ErrBeaconSignature   type, path and both halves of its signature (wraps identity's errors)
//	ErrStatementTooBig   at most 64 KiB
//	ErrStatement         canonical encoding, no unknown or missing field (wraps canon's errors)
//	                     the statement by itself: all errors of Statement.Check
//	ErrWrongBeacon       it names its signer
//	ErrWrongCore         it names the expected core, and so does the challenge
//	ErrChallengeHash     it answers this challenge
//	ErrWrongEpoch        under this directory
//	ErrWrongPosition     with the directory's position
//	ErrWrongUncertainty  and uncertainty
//	ErrWrongDomains      and domains
//	ErrPreviousProof     it continues the core's chain of proofs
//	ErrTooFewRounds      at least the challenge's number of valid rounds
//	ErrTooManyRounds     at most the challenge's number of rounds sent
//	ErrFuture            it starts at most MaxClockSkew in the future
//	ErrExpired           it is not past its own expiry at now
func VerifyStatement(e identity.Envelope, x Context) (Statement, error) {
	s, _, err := x.verify(e)
	return s, err
}

// verify is VerifyStatement, with the signer's directory entry.
func (x Context) verify(e identity.Envelope) (Statement, directory.Beacon, error) {
	fail := func(err error) (Statement, directory.Beacon, error) { return Statement{}, directory.Beacon{}, err }
	b, err := x.beacon(e.Signer)
	if err != nil {
		return fail(err)
	}
	payload, err := x.Roots.Open(e, b.Key, identity.TypeStatement)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrBeaconSignature, err))
	}
	s, err := Decode(payload)
	if err != nil {
		return fail(err)
	}
	if err := x.fits(s, b); err != nil {
		return fail(err)
	}
	return s, b, nil
}

// beacon finds the signer's entry, if it may answer.
func (x Context) beacon(id identity.ID) (directory.Beacon, error) {
	if err := x.Directory.ValidAt(x.NowUnixNS); err != nil {
		return directory.Beacon{}, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	if !x.Asked.Valid() {
		return directory.Beacon{}, ErrNotAsked
	}
	b, listed := x.Directory.Lookup(id)
	if !listed {
		return directory.Beacon{}, fmt.Errorf("%w: %s", ErrUnknownBeacon, id.Short())
	}
	if q, out := x.Directory.Quarantined(id); out {
		return directory.Beacon{}, fmt.Errorf("%w: %s: %s", ErrQuarantined, id.Short(), q.Reason)
	}
	if !b.ValidAt(x.NowUnixNS) {
		return directory.Beacon{}, fmt.Errorf("%w: %s", ErrBeaconExpired, id.Short())
	}
	if !x.Asked.Asks(id) {
		return directory.Beacon{}, fmt.Errorf("%w: %s", ErrNotInCommittee, id.Short())
	}
	return b, nil
}

// fits compares a sound statement with what the verifier knows.
func (x Context) fits(s Statement, b directory.Beacon) error {
	asked := x.Asked.challenge
	switch {
	case s.Beacon != b.ID():
		return fmt.Errorf("%w: %s, names %s", ErrWrongBeacon, b.ID().Short(), s.Beacon.Short())
	case s.Core != x.Core.ID() || s.Core != asked.Core:
		return fmt.Errorf("statement: %w: %s, want %s", ErrWrongCore, s.Core.Short(), asked.Core.Short())
	case s.ChallengeHash != x.Asked.hash:
		return ErrChallengeHash
	case s.DirectoryEpoch != x.Directory.Epoch || s.DirectoryEpoch != asked.DirectoryEpoch:
		return fmt.Errorf("statement: %w: %d, ours is %d", ErrWrongEpoch, s.DirectoryEpoch, x.Directory.Epoch)
	case s.PositionMM != b.Position:
		return ErrWrongPosition
	case s.PosUncMM != b.PosUncMM:
		return fmt.Errorf("%w: %d mm, listed %d mm", ErrWrongUncertainty, s.PosUncMM, b.PosUncMM)
	case !slices.Equal(s.Domains, b.Domains):
		return ErrWrongDomains
	case s.PreviousProof != x.PreviousProof:
		return fmt.Errorf("statement: %w", ErrPreviousProof)
	case s.RoundsOK < asked.RoundsMin:
		return fmt.Errorf("%w: %d, the challenge wants %d", ErrTooFewRounds, s.RoundsOK, asked.RoundsMin)
	case s.RoundsSent > asked.RoundsMax:
		return fmt.Errorf("%w: %d, the challenge allows %d", ErrTooManyRounds, s.RoundsSent, asked.RoundsMax)
	case s.StartUnixNS-int64(MaxClockSkew) > x.NowUnixNS:
		return ErrFuture
	case x.NowUnixNS > s.NotAfterUnixNS:
		return ErrExpired
	}
	return nil
}

// Agreed is what the core itself saw of an exchange. Every field is required.
type Agreed struct {
	SessionID      [16]byte
	ExporterHash   [32]byte
	TranscriptHash [32]byte
	RTTCoreMinNS   int64    // as the core reported it, its own clock's errors added
	CoreResult     [32]byte // hash of the attestation result that the core presented
	TimedKey       identity.TimedKeyID
}

// Countersign is the core's side: it makes all of VerifyStatement's checks, compares the statement with what the core saw
// (ErrDisagree), and only then signs the same payload, for the beacon to keep.
func Countersign(core *identity.Private, e identity.Envelope, x Context, a Agreed) (signature []byte, err error) {
	if a.SessionID == [16]byte{} || a.ExporterHash == [32]byte{} || a.TranscriptHash == [32]byte{} || a.RTTCoreMinNS <= 0 ||
		a.CoreResult == [32]byte{} || a.TimedKey.IsZero() {
		return nil, ErrAgreedUnspecified
	}
	x.Core = core.Public()
	s, err := VerifyStatement(e, x)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		what string
		same bool
	}{
		{"session id", s.SessionID == a.SessionID}, {"exporter hash", s.ExporterHash == a.ExporterHash},
		{"transcript hash", s.TranscriptHash == a.TranscriptHash}, {"core's minimum", s.RTTCoreMinNS == a.RTTCoreMinNS},
		{"core's attestation result", s.CoreResult == a.CoreResult}, {"core's timed key", s.TimedKey == a.TimedKey},
	} {
		if !c.same {
			return nil, fmt.Errorf("%w: %s", ErrDisagree, c.what)
		}
	}
	return core.Sign(identity.TypeCountersign, e.Payload)
}
