package policy

import (
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Sign makes a policy that the authors sign.
func Sign(p Policy, authors ...*identity.Private) ([]byte, error) {
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return quorum.Sign(identity.TypePolicy, b, authors...)
}

// Open verifies a signed policy: the errors of quorum.Open, then ErrEncoding for
// a policy that is not in its canonical encoding.
func Open(claim []byte, authors quorum.Authors) (Policy, error) {
	b, err := quorum.Open(identity.TypePolicy, claim, authors, MaxSize)
	if err != nil {
		return Policy{}, err
	}
	return Decode(b)
}

// Cosign adds one author's signature to a signed policy. What stands there
// already is not verified: Open decides.
func Cosign(claim []byte, author *identity.Private) ([]byte, error) {
	if _, _, err := Claimed(claim); err != nil {
		return nil, err
	}
	return quorum.Add(identity.TypePolicy, claim, MaxSize, author)
}

// Claimed reads a signed policy without looking at its signatures, for people:
// what it says, and who is said to have signed it. It is no fact until Open.
func Claimed(claim []byte) (Policy, []identity.ID, error) {
	s, err := quorum.Decode(claim, MaxSize)
	if err != nil {
		return Policy{}, nil, err
	}
	p, err := Decode(s.Payload)
	if err != nil {
		return Policy{}, nil, err
	}
	ids := make([]identity.ID, len(s.Signatures))
	for i, sig := range s.Signatures {
		ids[i] = sig.Author
	}
	return p, ids, nil
}

// SignedSize is the most bytes that a signed policy may have.
const SignedSize = MaxSize + quorum.Overhead
