package policy

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Signed is a policy with the signatures of its authors: a claim until Open.
type Signed struct {
	Policy     []byte      `cbor:"1,keyasint"` // canonical encoding
	Signatures []Signature `cbor:"2,keyasint"`
}

// Signature is one author's.
type Signature struct {
	Author identity.ID `cbor:"1,keyasint"`
	Bytes  []byte      `cbor:"2,keyasint"`
}

// MaxAuthors bounds the work of verifying.
const MaxAuthors = 16

const maxSigned = MaxSize + MaxAuthors*8192

// Refusals of Open.
var (
	ErrAuthors   = errors.New("policy: more signatures than authors, or none")
	ErrAuthor    = errors.New("policy: signed by someone who is no author")
	ErrTwice     = errors.New("policy: an author signed twice")
	ErrSignature = errors.New("policy: a signature does not verify")
	ErrThreshold = errors.New("policy: too few authors signed")
)

// Sign makes a signed policy.
func Sign(p Policy, authors ...*identity.Private) ([]byte, error) {
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	s := Signed{Policy: b}
	for _, a := range authors {
		sig, err := a.Sign(identity.TypePolicy, b)
		if err != nil {
			return nil, fmt.Errorf("policy: cannot sign: %w", err)
		}
		s.Signatures = append(s.Signatures, Signature{Author: a.ID(), Bytes: sig})
	}
	out, err := canon.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return out, nil
}

// Open verifies a signed policy: encoding, at most MaxAuthors signatures, each
// by a different known author, each sound, at least threshold of them, and the
// policy within in its canonical encoding. One bad signature refuses the whole:
// there is no reason for an honest one to be there.
func Open(claim []byte, authors []identity.Public, threshold int) (Policy, error) {
	var s Signed
	if err := canon.Unmarshal(claim, &s, maxSigned); err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if len(s.Signatures) == 0 || len(s.Signatures) > min(len(authors), MaxAuthors) {
		return Policy{}, ErrAuthors
	}
	seen := map[identity.ID]bool{}
	for _, sig := range s.Signatures {
		if seen[sig.Author] {
			return Policy{}, ErrTwice
		}
		seen[sig.Author] = true
		pub, ok := find(authors, sig.Author)
		if !ok {
			return Policy{}, fmt.Errorf("%w: %s", ErrAuthor, sig.Author.Short())
		}
		if err := pub.Verify(identity.TypePolicy, s.Policy, sig.Bytes); err != nil {
			return Policy{}, fmt.Errorf("%w: %s: %w", ErrSignature, sig.Author.Short(), err)
		}
	}
	if threshold < 1 || len(s.Signatures) < threshold {
		return Policy{}, fmt.Errorf("%w: %d of the %d needed", ErrThreshold, len(s.Signatures), threshold)
	}
	return Decode(s.Policy)
}

func find(authors []identity.Public, id identity.ID) (identity.Public, bool) {
	for _, a := range authors {
		if a.ID() == id && a.Role() == identity.RolePolicy {
			return a, true
		}
	}
	return identity.Public{}, false
}
