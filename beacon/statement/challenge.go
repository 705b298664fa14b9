package statement

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Version is the version of the challenge, statement and proof formats.
const Version = 1

// Limits of a challenge, in bytes and rounds.
const (
	MaxChallengeSize = 16 << 10 // encoded envelope
	MinRounds        = 8        // fewer valid rounds make no statement
	MaxRounds        = 256
	MaxTTL           = 10 * time.Minute
	MaxClockSkew     = time.Minute // between the clocks of gate, beacon and core
)

// The refusals of a challenge.
var (
	ErrChallenge         = errors.New("not a challenge")
	ErrVersion           = errors.New("unknown version")
	ErrSuite             = identity.ErrSuite
	ErrNoNonce           = errors.New("nonce is all zero")
	ErrNoPolicy          = errors.New("policy hash is all zero")
	ErrNoCore            = errors.New("core id is all zero")
	ErrTTL               = errors.New("time to live must be positive and at most ten minutes")
	ErrRoundLimits       = errors.New("round limits must satisfy 8 <= min <= max <= 256")
	ErrCommittee         = errors.New("committee must be 1 to 64 beacon ids in ascending order")
	ErrCommitteeStranger = errors.New("committee names a beacon that the directory does not offer")
	ErrWrongGate         = errors.New("challenge is signed by another gate than it names")
	ErrUnknownGate       = errors.New("gate is not in the directory")
	ErrChallengeSigned   = errors.New("challenge signature does not verify")
	ErrWrongEpoch        = errors.New("directory epoch differs")
	ErrWrongDirectory    = errors.New("directory hash differs")
	ErrChallengeEarly    = errors.New("challenge is issued in the future")
	ErrChallengeExpired  = errors.New("challenge has expired")
	ErrDirectory         = errors.New("no directory to verify with")
)

// Challenge is a gate's question to one core: prove to these beacons, for this policy, that you are near.
type Challenge struct {
	Version        uint64        `cbor:"1,keyasint"`
	Suite          uint64        `cbor:"2,keyasint"`
	Gate           identity.ID   `cbor:"3,keyasint"`
	Core           identity.ID   `cbor:"4,keyasint"`
	NonceG         [32]byte      `cbor:"5,keyasint"` // single use
	PolicyHash     [32]byte      `cbor:"6,keyasint"` // of the policy that will judge
	DirectoryEpoch uint64        `cbor:"7,keyasint"`
	DirectoryHash  [32]byte      `cbor:"8,keyasint"`
	Committee      []identity.ID `cbor:"9,keyasint"`  // beacons to ask, ascending
	IssuedUnixNS   int64         `cbor:"10,keyasint"` // on the gate's clock
	TTLNS          int64         `cbor:"11,keyasint"` // nanoseconds
	RoundsMin      uint64        `cbor:"12,keyasint"` // valid rounds that each statement needs
	RoundsMax      uint64        `cbor:"13,keyasint"` // rounds that a beacon may send
}

// Hash is what statements refer to: a domain-separated hash of the canonical encoding, without the signature.
func (c Challenge) Hash() ([32]byte, error) {
	b, err := canon.Marshal(c)
	if err != nil {
		return [32]byte{}, err
	}
	return hashChallenge(b), nil
}

func hashChallenge(payload []byte) [32]byte { return identity.Hash("challenge", payload) }

// Seal checks the challenge's own rules and signs it. Version, Suite and Gate are filled in.
func (c Challenge) Seal(gate *identity.Private) (identity.Envelope, error) {
	c.Version, c.Suite, c.Gate = Version, identity.Suite, gate.ID()
	if err := c.check(); err != nil {
		return identity.Envelope{}, err
	}
	payload, err := canon.Marshal(c)
	if err != nil {
		return identity.Envelope{}, err
	}
	return identity.Seal(gate, identity.TypeChallenge, payload)
}

// DecodeChallenge reads the payload of a challenge envelope: a claim.
func DecodeChallenge(payload []byte) (Challenge, error) {
	var c Challenge
	if err := canon.Unmarshal(payload, &c, MaxChallengeSize); err != nil {
		return Challenge{}, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	if err := c.check(); err != nil {
		return Challenge{}, err
	}
	return c, nil
}

// check judges the challenge by itself.
func (c Challenge) check() error {
	switch {
	case c.Version != Version:
		return fmt.Errorf("challenge: %w %d, want %d", ErrVersion, c.Version, Version)
	case c.Suite != identity.Suite:
		return fmt.Errorf("challenge: %w %d, want %d", ErrSuite, c.Suite, identity.Suite)
	case c.NonceG == [32]byte{}:
		return ErrNoNonce
	case c.PolicyHash == [32]byte{}:
		return ErrNoPolicy
	case c.Core.IsZero():
		return ErrNoCore
	case c.IssuedUnixNS <= 0 || c.TTLNS <= 0 || c.TTLNS > int64(MaxTTL):
		return fmt.Errorf("%w: %d ns", ErrTTL, c.TTLNS)
	case c.RoundsMin < MinRounds || c.RoundsMax < c.RoundsMin || c.RoundsMax > MaxRounds:
		return fmt.Errorf("%w: %d and %d", ErrRoundLimits, c.RoundsMin, c.RoundsMax)
	}
	n := len(c.Committee)
	if n == 0 || n > directory.MaxCommittee || c.Committee[0].IsZero() {
		return fmt.Errorf("%w: %d ids", ErrCommittee, n)
	}
	for i := 1; i < n; i++ {
		if c.Committee[i-1].Compare(c.Committee[i]) >= 0 {
			return fmt.Errorf("%w: entry %d", ErrCommittee, i)
		}
	}
	return nil
}

// Asked is a verified challenge. Only VerifyChallenge makes one; the zero Asked is none.
type Asked struct {
	challenge Challenge
	hash      [32]byte
}

// Valid says whether a came out of VerifyChallenge.
func (a Asked) Valid() bool { return a.challenge.Version != 0 }

// Challenge returns the content.
func (a Asked) Challenge() Challenge {
	c := a.challenge
	c.Committee = slices.Clone(c.Committee)
	return c
}

// Hash returns the challenge's hash.
func (a Asked) Hash() [32]byte { return a.hash }

// Core returns the id of the core that is asked.
func (a Asked) Core() identity.ID { return a.challenge.Core }

// ExpiresUnixNS returns the instant on the gate's clock after which the challenge is void.
func (a Asked) ExpiresUnixNS() int64 { return a.challenge.IssuedUnixNS + a.challenge.TTLNS }

// Asks says whether the beacon is on the committee.
func (a Asked) Asks(beacon identity.ID) bool {
	_, ok := slices.BinarySearchFunc(a.challenge.Committee, beacon, identity.ID.Compare)
	return ok
}

// VerifyChallenge makes a challenge from its envelope. Checks, in this order: the directory is verified and in force at now
// (ErrDirectory with the directory's own error); the signer is a gate of the directory (ErrUnknownGate); type and both halves of
// the signature (ErrChallengeSigned with identity's errors); canonical encoding and the challenge's own rules (ErrChallenge,
// ErrVersion, ErrSuite, ErrNoNonce, ErrNoPolicy, ErrNoCore, ErrTTL, ErrRoundLimits, ErrCommittee); it names its signer
// (ErrWrongGate); epoch and hash are the directory's (ErrWrongEpoch, ErrWrongDirectory); every member of the committee is listed,
// valid and not quarantined (ErrCommitteeStranger); issued at most MaxClockSkew in the future (ErrChallengeEarly) and not expired
// (ErrChallengeExpired) at now.
//
// It does not know whether the nonce was used before: that is the gate's durable memory.
func VerifyChallenge(e identity.Envelope, d *directory.Directory, nowUnixNS int64) (Asked, error) {
	if err := d.ValidAt(nowUnixNS); err != nil {
		return Asked{}, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	gate, ok := d.Gate(e.Signer)
	if !ok {
		return Asked{}, fmt.Errorf("%w: %s", ErrUnknownGate, e.Signer.Short())
	}
	payload, err := e.Open(gate, identity.TypeChallenge)
	if err != nil {
		return Asked{}, fmt.Errorf("%w: %w", ErrChallengeSigned, err)
	}
	c, err := DecodeChallenge(payload)
	if err != nil {
		return Asked{}, err
	}
	if err := c.fits(gate, d, nowUnixNS); err != nil {
		return Asked{}, err
	}
	return Asked{challenge: c, hash: hashChallenge(payload)}, nil
}

// fits judges the challenge by what the verifier knows.
func (c Challenge) fits(gate identity.Public, d *directory.Directory, now int64) error {
	switch {
	case c.Gate != gate.ID():
		return fmt.Errorf("%w: %s, names %s", ErrWrongGate, gate.ID().Short(), c.Gate.Short())
	case c.DirectoryEpoch != d.Epoch:
		return fmt.Errorf("challenge: %w: %d, ours is %d", ErrWrongEpoch, c.DirectoryEpoch, d.Epoch)
	case c.DirectoryHash != d.Hash():
		return fmt.Errorf("challenge: %w", ErrWrongDirectory)
	}
	for _, id := range c.Committee {
		b, listed := d.Lookup(id)
		if _, out := d.Quarantined(id); out || !listed || !b.ValidAt(now) {
			return fmt.Errorf("%w: %s", ErrCommitteeStranger, id.Short())
		}
	}
	if c.IssuedUnixNS-int64(MaxClockSkew) > now {
		return fmt.Errorf("%w: by %s", ErrChallengeEarly, time.Duration(c.IssuedUnixNS-now))
	}
	if now-c.IssuedUnixNS > c.TTLNS { // now is at least issued less the skew, both positive
		return fmt.Errorf("%w: %s ago", ErrChallengeExpired, time.Duration(now-c.IssuedUnixNS-c.TTLNS))
	}
	return nil
}
