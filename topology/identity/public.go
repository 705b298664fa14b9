package identity

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloudflare/circl/kem/xwing"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Suite is the number of the only set of algorithms: Ed25519 with ML-DSA-65, X-Wing, SHA-256 and SHA-512. Whatever carries a
// suite refuses every other number, so there is nothing to downgrade to.
const Suite = 1

// Sizes in bytes.
const (
	Ed25519PublicSize = ed25519.PublicKeySize
	MLDSAPublicSize   = mldsa65.PublicKeySize
	KEMPublicSize     = xwing.PublicKeySize
	MaxPublicSize     = 4096 // of an encoded Public
)

// The refusals of a public identity, beside those of its Ed25519 key.
var (
	ErrNoKey   = errors.New("no key")
	ErrSuite   = errors.New("unknown suite of algorithms")
	ErrKeySize = errors.New("public key of the wrong size")
	ErrKEMKey  = errors.New("not a valid X-Wing public key")
)

// Public is the public part of an identity. It is immutable and cheap to copy; the ML-DSA key stays parsed, because parsing costs
// more than verifying. The zero Public is nobody and verifies nothing. Compare with Equal.
type Public struct{ p *public }

type public struct {
	id      ID
	role    Role
	ed25519 ed25519.PublicKey
	mldsa   []byte
	kem     []byte // empty for roles without KEM
	parsed  *mldsa65.PublicKey
	wrap    hpke.PublicKey // nil for roles without KEM
}

// publicWire is the canonical form of a Public.
type publicWire struct {
	Suite   uint64 `cbor:"1,keyasint"`
	Role    Role   `cbor:"2,keyasint"`
	Ed25519 []byte `cbor:"3,keyasint"`
	MLDSA65 []byte `cbor:"4,keyasint"`
	KEM     []byte `cbor:"5,keyasint"`
}

// ParsePublic reads what MarshalBinary wrote. It refuses other suites, unknown roles, keys of the wrong size, small-order,
// non-canonical and off-curve Ed25519 keys, and KEM keys that are invalid, missing or out of place.
func ParsePublic(data []byte) (Public, error) {
	var w publicWire
	if err := canon.Unmarshal(data, &w, MaxPublicSize); err != nil {
		return Public{}, fmt.Errorf("public key: %w", err)
	}
	if w.Suite != Suite {
		return Public{}, fmt.Errorf("%w %d, want %d", ErrSuite, w.Suite, Suite)
	}
	return newPublic(w.Role, w.Ed25519, w.MLDSA65, w.KEM)
}

// newPublic checks the parts and joins them to an identity. It keeps the slices.
func newPublic(role Role, ed, mldsa, kem []byte) (Public, error) {
	if _, err := ParseRole(string(role)); err != nil {
		return Public{}, err
	}
	wantKEM := 0
	if role.HasKEM() {
		wantKEM = KEMPublicSize
	}
	if len(ed) != Ed25519PublicSize || len(mldsa) != MLDSAPublicSize || len(kem) != wantKEM {
		return Public{}, fmt.Errorf("%w: ed25519 %d, ml-dsa-65 %d, x-wing %d; a %s has %d, %d, %d", ErrKeySize,
			len(ed), len(mldsa), len(kem), role, Ed25519PublicSize, MLDSAPublicSize, wantKEM)
	}
	if err := checkEd25519(ed); err != nil {
		return Public{}, err
	}
	p := &public{role: role, ed25519: ed, mldsa: mldsa, kem: kem, parsed: new(mldsa65.PublicKey)}
	if err := p.parsed.UnmarshalBinary(mldsa); err != nil {
		return Public{}, fmt.Errorf("%w: %w", ErrKeySize, err)
	}
	if role.HasKEM() {
		var err error
		if p.wrap, err = parseKEM(kem); err != nil {
			return Public{}, err
		}
	}
	p.id = idOf(role, ed, mldsa, kem)
	return Public{p}, nil
}

// parseKEM refuses unreduced ML-KEM coefficients (FIPS 203 §7.2) and X25519 points of small order, which would make that half's
// secret known to everybody.
func parseKEM(kem []byte) (hpke.PublicKey, error) {
	wrap, err := hpke.MLKEM768X25519().NewPublicKey(kem)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEMKey, err)
	}
	x, err := ecdh.X25519().NewPublicKey(kem[mlkem.EncapsulationKeySize768:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEMKey, err)
	}
	if _, err := anyX25519.ECDH(x); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEMKey, err)
	}
	return wrap, nil
}

// anyX25519 is no secret: it only serves to notice small-order points, with which every key agrees on zero.
var anyX25519 = func() *ecdh.PrivateKey {
	k, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{9}, 32))
	if err != nil {
		panic("identity: " + err.Error())
	}
	return k
}()

// idOf hashes an identity; the framing is in the package comment.
func idOf(role Role, ed, mldsa, kem []byte) ID {
	h := sha256.New()
	h.Write([]byte("ursa/1 id"))
	h.Write([]byte{byte(len(role))})
	h.Write([]byte(role))
	h.Write(ed)
	h.Write(mldsa)
	h.Write(kem)
	return ID(h.Sum(nil))
}

// IsZero says whether p is nobody.
func (p Public) IsZero() bool { return p.p == nil }

// ID returns the identity's id; the zero ID for nobody.
func (p Public) ID() ID {
	if p.p == nil {
		return ID{}
	}
	return p.p.id
}

// Role returns the identity's role; "" for nobody.
func (p Public) Role() Role {
	if p.p == nil {
		return ""
	}
	return p.p.role
}

// Equal says whether both are the same identity.
func (p Public) Equal(other Public) bool { return p.ID() == other.ID() }

// String returns role and short id, for people.
func (p Public) String() string {
	if p.p == nil {
		return "nobody"
	}
	return string(p.p.role) + " " + p.p.id.Short()
}

// LogValue implements slog.LogValuer.
func (p Public) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalBinary returns the canonical encoding: a map {1: suite, 2: role, 3: ed25519, 4: ml-dsa-65, 5: x-wing or empty}. Inside
// other canonical objects it stands as a byte string.
func (p Public) MarshalBinary() ([]byte, error) {
	if p.p == nil {
		return nil, ErrNoKey
	}
	return canon.Marshal(publicWire{Suite, p.p.role, p.p.ed25519, p.p.mldsa, p.p.kem})
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler by ParsePublic.
func (p *Public) UnmarshalBinary(data []byte) error {
	got, err := ParsePublic(data)
	if err != nil {
		return err
	}
	*p = got
	return nil
}

// MarshalText returns the canonical encoding in unpadded URL-safe base64, for configuration files and JSON.
func (p Public) MarshalText() ([]byte, error) {
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// ErrKeyText reports text that is no public key.
var ErrKeyText = errors.New("public key is not unpadded URL-safe base64")

// UnmarshalText reads what MarshalText wrote and nothing else.
func (p *Public) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != string(text) {
		return ErrKeyText
	}
	return p.UnmarshalBinary(b)
}
