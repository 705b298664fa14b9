package identity

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of an envelope, beside those of its signature and path.
var (
	ErrEnvelopeType = errors.New("envelope holds another type of object")
	ErrSigner       = errors.New("envelope names another signer")
)

// Envelope is a payload with its signature: a claim until Open says otherwise. Either the signature covers the payload, or, with
// a Path, the root of a Merkle tree in which the payload is a leaf.
type Envelope struct {
	Type      ObjectType `cbor:"1,keyasint"`
	Signer    ID         `cbor:"2,keyasint"`
	Payload   []byte     `cbor:"3,keyasint"`
	Signature []byte     `cbor:"4,keyasint"`
	Path      *Path      `cbor:"5,keyasint,omitempty"`
}

// Seal signs payload as an object of type t.
func Seal(priv *Private, t ObjectType, payload []byte) (Envelope, error) {
	sig, err := priv.Sign(t, payload)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{Type: t, Signer: priv.ID(), Payload: payload, Signature: sig}, nil
}

// Open verifies the envelope and returns its payload. Checks, in this order: ErrNoKey (pub is nobody), ErrEnvelopeType, ErrSigner,
// the path (ErrPath), ErrSignatureSize, ErrEd25519, ErrMLDSA65. The payload is the envelope's own slice.
func (e Envelope) Open(pub Public, t ObjectType) ([]byte, error) {
	var uncached *RootCache
	return uncached.Open(e, pub, t)
}

// check does what needs no arithmetic.
func (e Envelope) check(pub Public, t ObjectType) error {
	if pub.IsZero() {
		return ErrNoKey
	}
	if err := t.Validate(); err != nil {
		return err
	}
	if e.Type != t {
		return fmt.Errorf("%w: %q, want %q", ErrEnvelopeType, clip(string(e.Type), 40), t)
	}
	if e.Signer != pub.ID() {
		return fmt.Errorf("%w: %s, want %s", ErrSigner, e.Signer.Short(), pub)
	}
	return nil
}

// Encode returns the canonical encoding.
func (e Envelope) Encode() ([]byte, error) { return canon.Marshal(e) }

// DecodeEnvelope reads what Encode wrote, of at most maxSize bytes. The result is a claim: Open verifies it.
func DecodeEnvelope(data []byte, maxSize int) (Envelope, error) {
	var e Envelope
	if err := canon.Unmarshal(data, &e, maxSize); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if err := e.Type.Validate(); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}
