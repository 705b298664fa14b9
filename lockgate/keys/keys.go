// Package keys makes and opens leases: what a gate signs so that one lock, for
// one nonce, may do so many units of work.
//
// A lease travels as one signed envelope and holds its key wrapped (HPKE with
// X-Wing) to the timed key of the core, the one that beacons located: what was
// located is what unlocks. The hash of the key, bound to the lock nonce, stands
// in the lease as well; so a lease that is stolen on the way, or read out of the
// store or the ledger, opens nothing without the memory of the core's process,
// and a lease that the core could read but that was not made for its outstanding
// nonce opens nothing either.
//
// What it believes: the gate's public key that is handed in, and nothing of the
// envelope before its signature holds. What an attacker may do: send any bytes
// as a lease, keep leases for later, hand the lease of one core to another.
package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Version of the lease format.
const Version = 1

// MaxSize is the most bytes that an encoded lease may have.
const MaxSize = 16 << 10

const wrapInfo = "ursa/1 lease key"

// Refusals. Each names one check.
var (
	ErrEncoding = errors.New("keys: not a lease")
	ErrVersion  = errors.New("keys: a lease of an unknown version")
	ErrField    = errors.New("keys: a lease lacks a field")
	ErrCore     = errors.New("keys: the lease is for another core")
	ErrWrap     = errors.New("keys: the lease's key does not open with this core's key")
	ErrKeyHash  = errors.New("keys: the wrapped key is not the one the lease names")
	ErrPeriod   = errors.New("keys: the lease ends before it begins")
)

// Terms are what a gate grants.
type Terms struct {
	Serial         [16]byte    `cbor:"1,keyasint"`  // one lease, one serial
	RequestID      [16]byte    `cbor:"2,keyasint"`  // the request that it answers
	Core           identity.ID `cbor:"3,keyasint"`  // who may open it
	LockNonce      [32]byte    `cbor:"4,keyasint"`  // the lock nonce that it answers
	LockSeq        uint64      `cbor:"5,keyasint"`  // the sequence of that nonce
	Units          uint64      `cbor:"6,keyasint"`  // units of compute
	Class          uint8       `cbor:"7,keyasint"`  // lock.Class
	PerMille       uint16      `cbor:"8,keyasint"`  // speed in thousandths
	PolicyHash     [32]byte    `cbor:"9,keyasint"`  // the policy that released it
	ChallengeHash  [32]byte    `cbor:"10,keyasint"` // the challenge that was answered
	ProofHash      [32]byte    `cbor:"11,keyasint"` // the proof that answered it
	IssuedUnixNS   int64       `cbor:"12,keyasint"` // the gate's clock
	NotAfterUnixNS int64       `cbor:"13,keyasint"` // the proof says nothing of the place after this
	TOffMS         uint64      `cbor:"14,keyasint"` // the workload stops within this of the last lease
	Steps          uint32      `cbor:"15,keyasint"` // in which it is opened, see lock; 1: all at once
}

// Lease is the signed object: terms and the wrapped key.
type Lease struct {
	Version uint64   `cbor:"1,keyasint"`
	Terms   Terms    `cbor:"2,keyasint"`
	KeyHash [32]byte `cbor:"3,keyasint"` // lock.HashKey of the wrapped key
	Wrapped []byte   `cbor:"4,keyasint"` // the key, for the core's timed key only
}

// Hash names a lease in reports and in the ledger.
func (l Lease) Hash() ([32]byte, error) {
	b, err := canon.Marshal(l)
	if err != nil {
		return [32]byte{}, fmt.Errorf("keys: %w", err)
	}
	return identity.Hash("lease", b), nil
}

// StepKey is the key of a lease's step, from 1 to steps: the seed is the last
// one, and each is the hash of the one after it.
func StepKey(seed lock.Key, step, steps uint32) lock.Key {
	for range steps - min(step, steps) {
		seed = lock.PreviousKey(seed)
	}
	return seed
}

// RandomSeed draws a seed for one lease.
func RandomSeed(random io.Reader) (seed lock.Key, err error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return lock.Key{}, fmt.Errorf("keys: no randomness for a key: %w", err)
	}
	return seed, nil
}

// Issue wraps the first key of the seed's chain to the core's timed key, the
// one that was located, and signs the lease. The seed must be secret and of
// this lease alone.
func Issue(gate *identity.Private, timed identity.TimedPublic, t Terms, seed lock.Key) ([]byte, Lease, error) {
	l := Lease{Version: Version, Terms: t}
	if err := l.validate(); err != nil {
		return nil, Lease{}, err
	}
	k := StepKey(seed, 1, t.Steps)
	l.KeyHash = lock.HashKey(lock.Nonce(t.LockNonce), k)
	info, err := t.info()
	if err != nil {
		return nil, Lease{}, err
	}
	if l.Wrapped, err = timed.Wrap(info, k[:]); err != nil {
		return nil, Lease{}, fmt.Errorf("keys: cannot wrap for %s: %w", t.Core.Short(), err)
	}
	payload, err := canon.Marshal(l)
	if err != nil {
		return nil, Lease{}, fmt.Errorf("keys: %w", err)
	}
	env, err := identity.Seal(gate, identity.TypeLease, payload)
	if err != nil {
		return nil, Lease{}, fmt.Errorf("keys: cannot sign: %w", err)
	}
	out, err := env.Encode()
	if err != nil {
		return nil, Lease{}, fmt.Errorf("keys: %w", err)
	}
	return out, l, nil
}

// Verify checks that the gate signed the lease and that it is whole, in this
// order: the envelope, the signature, the encoding, the version, the fields, the
// period. It opens nothing; anybody can verify.
func Verify(envelope []byte, gate identity.Public) (Lease, error) {
	env, err := identity.DecodeEnvelope(envelope, MaxSize)
	if err != nil {
		return Lease{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	payload, err := env.Open(gate, identity.TypeLease)
	if err != nil {
		return Lease{}, fmt.Errorf("keys: lease: %w", err)
	}
	var l Lease
	if err := canon.Unmarshal(payload, &l, MaxSize); err != nil {
		return Lease{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return l, l.validate()
}

// Open verifies a lease, checks that it is for this core, and unwraps its key:
// the only way from bytes to something that a lock is fed with.
func Open(envelope []byte, gate identity.Public, core identity.ID, timed *identity.TimedKey) (Lease, lock.Feed, error) {
	l, err := Verify(envelope, gate)
	if err != nil {
		return Lease{}, lock.Feed{}, err
	}
	if l.Terms.Core != core {
		return Lease{}, lock.Feed{}, ErrCore
	}
	info, err := l.Terms.info()
	if err != nil {
		return Lease{}, lock.Feed{}, err
	}
	plain, err := timed.Unwrap(info, l.Wrapped)
	if err != nil {
		return Lease{}, lock.Feed{}, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	var k lock.Key
	if len(plain) != len(k) {
		return Lease{}, lock.Feed{}, ErrWrap
	}
	copy(k[:], plain)
	if lock.HashKey(lock.Nonce(l.Terms.LockNonce), k) != l.KeyHash {
		return Lease{}, lock.Feed{}, ErrKeyHash
	}
	return l, lock.Feed{Grant: l.grant(), Key: k}, nil
}

func (l Lease) grant() lock.Grant {
	return lock.Grant{Nonce: l.Terms.LockNonce, Units: lock.Units(l.Terms.Units), Class: lock.Class(l.Terms.Class),
		PerMille: l.Terms.PerMille, KeyHash: l.KeyHash, Steps: l.Terms.Steps}
}

// info binds the wrapped key to every term, so that a wrapped key cut out of
// one lease opens in no other.
func (t Terms) info() ([]byte, error) {
	b, err := canon.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	h := identity.Hash(wrapInfo, b)
	return append([]byte(wrapInfo+"\x00"), h[:]...), nil
}

func (l Lease) validate() error {
	if l.Version != Version {
		return ErrVersion
	}
	t := l.Terms
	var zero [32]byte
	if t.Serial == [16]byte{} || t.RequestID == [16]byte{} || t.Core.IsZero() || t.LockNonce == zero || t.LockSeq == 0 ||
		t.Units == 0 || t.PolicyHash == zero || t.ChallengeHash == zero || t.ProofHash == zero || t.TOffMS == 0 || t.IssuedUnixNS <= 0 ||
		t.Steps == 0 || t.Steps > lock.MaxSteps || uint64(t.Steps) > t.Units {
		return ErrField
	}
	if t.NotAfterUnixNS <= t.IssuedUnixNS {
		return ErrPeriod
	}
	return nil
}
