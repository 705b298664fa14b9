package attest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of what the keepers of reference values sign together: manifests and revocation lists.
var (
	ErrKeepers      = errors.New("keepers must be distinct keys of role manifest, and the threshold 1 to their number")
	ErrSignedForm   = errors.New("not a signed list of the keepers")
	ErrKeeper       = errors.New("signed by an unknown keeper")
	ErrKeeperSig    = errors.New("keeper's signature does not verify")
	ErrTooFewSigned = errors.New("signed by too few keepers")
)

// MaxSigned is the largest signed list in bytes.
const MaxSigned = 4 << 20

// Keepers are who must sign reference values: j of k keys of role manifest.
type Keepers struct {
	Keys      []identity.Public
	Threshold int
}

func (k Keepers) check() (map[identity.ID]identity.Public, error) {
	known := make(map[identity.ID]identity.Public, len(k.Keys))
	for _, p := range k.Keys {
		if _, twice := known[p.ID()]; twice || p.Role() != identity.RoleManifest {
			return nil, fmt.Errorf("%w: %s", ErrKeepers, p)
		}
		known[p.ID()] = p
	}
	if k.Threshold < 1 || k.Threshold > len(known) {
		return nil, fmt.Errorf("%w: %d of %d", ErrKeepers, k.Threshold, len(known))
	}
	return known, nil
}

// multisigned is a payload with the signatures of several keepers over it, each in the context of its type.
type multisigned struct {
	Payload    []byte      `cbor:"1,keyasint"`
	Signatures []signature `cbor:"2,keyasint"` // strictly ascending by signer
}

type signature struct {
	Signer    identity.ID `cbor:"1,keyasint"`
	Signature []byte      `cbor:"2,keyasint"`
}

func compareSigners(a, b signature) int { return a.Signer.Compare(b.Signer) }

func decodeMultisigned(data []byte) (multisigned, error) {
	var s multisigned
	if err := canon.Unmarshal(data, &s, MaxSigned); err != nil {
		return multisigned{}, fmt.Errorf("%w: %w", ErrSignedForm, err)
	}
	for i := 1; i < len(s.Signatures); i++ {
		if compareSigners(s.Signatures[i-1], s.Signatures[i]) >= 0 {
			return multisigned{}, fmt.Errorf("%w: signatures not in ascending order", ErrSignedForm)
		}
	}
	return s, nil
}

// sign adds signatures; who signed already is replaced.
func (s multisigned) sign(t identity.ObjectType, keys []*identity.Private) ([]byte, error) {
	for _, k := range keys {
		if k.Public().Role() != identity.RoleManifest {
			return nil, fmt.Errorf("%w: this one is of role %s", ErrKeepers, k.Public().Role())
		}
		sig, err := k.Sign(t, s.Payload)
		if err != nil {
			return nil, err
		}
		s.Signatures = slices.DeleteFunc(s.Signatures, func(x signature) bool { return x.Signer == k.ID() })
		s.Signatures = append(s.Signatures, signature{k.ID(), sig})
	}
	slices.SortFunc(s.Signatures, compareSigners)
	if s.Signatures == nil {
		s.Signatures = []signature{}
	}
	return canon.Marshal(s)
}

// open returns the payload if enough keepers signed. A signature that does not verify refuses all of it: nothing is there for show.
func (k Keepers) open(t identity.ObjectType, data []byte) ([]byte, error) {
	known, err := k.check()
	if err != nil {
		return nil, err
	}
	s, err := decodeMultisigned(data)
	if err != nil {
		return nil, err
	}
	for _, sig := range s.Signatures {
		p, ok := known[sig.Signer]
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrKeeper, sig.Signer.Short())
		}
		if err := p.Verify(t, s.Payload, sig.Signature); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrKeeperSig, sig.Signer.Short(), err)
		}
	}
	if len(s.Signatures) < k.Threshold {
		return nil, fmt.Errorf("%w: %d, want %d", ErrTooFewSigned, len(s.Signatures), k.Threshold)
	}
	return s.Payload, nil
}
