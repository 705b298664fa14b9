// Package quorum is what j of k authors sign together: policies and lists of
// revocations.
//
// What it promises: Open gives back the signed bytes only when at least the
// threshold of known authors signed them, each once, in the context that is
// asked for. One bad signature refuses the whole: there is no reason for an
// honest one to be there. What an attacker may do: send any bytes, and hold
// fewer keys than the threshold.
package quorum

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Signed is a payload with the signatures of its authors: a claim until Open.
type Signed struct {
	Payload    []byte      `cbor:"1,keyasint"`
	Signatures []Signature `cbor:"2,keyasint"`
}

// Signature is one author's.
type Signature struct {
	Author identity.ID `cbor:"1,keyasint"`
	Bytes  []byte      `cbor:"2,keyasint"`
}

// MaxAuthors bounds the work of verifying.
const MaxAuthors = 16

// Overhead is the most bytes that signatures add.
const Overhead = MaxAuthors*8192 + 64

// Refusals of Open.
var (
	ErrEncoding  = errors.New("quorum: not a signed object")
	ErrAuthors   = errors.New("quorum: more signatures than authors, or none")
	ErrAuthor    = errors.New("quorum: signed by someone who is no author")
	ErrTwice     = errors.New("quorum: an author signed twice")
	ErrSignature = errors.New("quorum: a signature does not verify")
	ErrThreshold = errors.New("quorum: too few authors signed")
)

// Authors may sign, and so many of them must.
type Authors struct {
	Keys      []identity.Public // of role policy
	Threshold int
}

// Decode reads what Sign wrote. It says nothing about who signed: everything in
// it is a claim until Open.
func Decode(claim []byte, maxPayload int) (Signed, error) {
	var s Signed
	if err := canon.Unmarshal(claim, &s, maxPayload+Overhead); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return s, nil
}

// Add signs the same payload as those before, as one author more. Their
// signatures are carried over unverified: Open decides.
func Add(t identity.ObjectType, claim []byte, maxPayload int, author *identity.Private) ([]byte, error) {
	s, err := Decode(claim, maxPayload)
	if err != nil {
		return nil, err
	}
	for _, sig := range s.Signatures {
		if sig.Author == author.ID() {
			return nil, fmt.Errorf("%w: %s", ErrTwice, sig.Author.Short())
		}
	}
	sig, err := author.Sign(t, s.Payload)
	if err != nil {
		return nil, fmt.Errorf("quorum: cannot sign: %w", err)
	}
	s.Signatures = append(s.Signatures, Signature{Author: author.ID(), Bytes: sig})
	out, err := canon.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	return out, nil
}

// Sign signs a payload in a context.
func Sign(t identity.ObjectType, payload []byte, authors ...*identity.Private) ([]byte, error) {
	s := Signed{Payload: payload}
	for _, a := range authors {
		sig, err := a.Sign(t, payload)
		if err != nil {
			return nil, fmt.Errorf("quorum: cannot sign: %w", err)
		}
		s.Signatures = append(s.Signatures, Signature{Author: a.ID(), Bytes: sig})
	}
	out, err := canon.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	return out, nil
}

// Open verifies a claim of at most maxPayload signed bytes: encoding, number of
// signatures, each by a different known author and sound, at least the
// threshold of them.
func Open(t identity.ObjectType, claim []byte, a Authors, maxPayload int) ([]byte, error) {
	s, err := Decode(claim, maxPayload)
	if err != nil {
		return nil, err
	}
	if len(s.Signatures) == 0 || len(s.Signatures) > min(len(a.Keys), MaxAuthors) {
		return nil, ErrAuthors
	}
	seen := map[identity.ID]bool{}
	for _, sig := range s.Signatures {
		if seen[sig.Author] {
			return nil, ErrTwice
		}
		seen[sig.Author] = true
		pub, ok := a.find(sig.Author)
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrAuthor, sig.Author.Short())
		}
		if err := pub.Verify(t, s.Payload, sig.Bytes); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSignature, sig.Author.Short(), err)
		}
	}
	if a.Threshold < 1 || len(s.Signatures) < a.Threshold {
		return nil, fmt.Errorf("%w: %d of the %d needed", ErrThreshold, len(s.Signatures), a.Threshold)
	}
	return s.Payload, nil
}

func (a Authors) find(id identity.ID) (identity.Public, bool) {
	for _, k := range a.Keys {
		if k.ID() == id && k.Role() == identity.RolePolicy {
			return k, true
		}
	}
	return identity.Public{}, false
}
