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
