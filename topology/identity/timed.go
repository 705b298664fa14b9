package identity

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/cloudflare/circl/kem/xwing"
)

// TimedKeyID names a timed key: Hash("timed key", X-Wing public key). It is never zero, so zero stays "none".
type TimedKeyID [32]byte

// IsZero says whether t names no key.
func (t TimedKeyID) IsZero() bool { return t == TimedKeyID{} }

// String returns 64 lower-case hexadecimal digits.
func (t TimedKeyID) String() string { return hex.EncodeToString(t[:]) }

// ErrTimedKeyID reports text that names no timed key.
var ErrTimedKeyID = errors.New("the name of a timed key is 64 lower-case hexadecimal digits, not all zero")

// ParseTimedKeyID reads what String wrote.
func ParseTimedKeyID(s string) (TimedKeyID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(TimedKeyID{}) || hex.EncodeToString(b) != s || TimedKeyID(b).IsZero() {
		return TimedKeyID{}, ErrTimedKeyID
	}
	return TimedKeyID(b), nil
}

// TimedKey is the X-Wing key (draft-connolly-cfrg-xwing-kem) to which beacons encapsulate: whoever holds it is who gets located. It
// is drawn when a core starts and dies with the process: nothing here writes or prints it, so it cannot be copied off a disk.
// Attestation evidence names it, and so do statements; and what a gate releases is wrapped to it, so that what was located is what
// unlocks. Safe for concurrent use.
//
// The key stands behind a function for the reason that Private's do.
type TimedKey struct{ s func() *timedSecret }

type timedSecret struct {
	private *xwing.PrivateKey
	unwrap  hpke.PrivateKey // the same key
	public  TimedPublic
}

// NewTimedKey draws a key from 32 bytes of random (crypto/rand when nil).
func NewTimedKey(random io.Reader) (*TimedKey, error) {
	if random == nil {
		random = rand.Reader
	}
	var seed [xwing.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for a timed key: %w", err)
	}
	private, public := xwing.DeriveKeyPair(seed[:])
	unwrap, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("making a timed key: %w", err)
	}
	clear(seed[:])
	packed := make([]byte, KEMPublicSize)
	public.Pack(packed)
	p, err := ParseTimedPublic(packed)
	if err != nil {
		return nil, err
	}
	s := &timedSecret{private, unwrap, p}
	return &TimedKey{func() *timedSecret { return s }}, nil
}

// Public returns the public part; no key for a nil or zero TimedKey.
func (k *TimedKey) Public() TimedPublic {
	if k == nil || k.s == nil {
		return TimedPublic{}
	}
	return k.s().public
}

// ID returns the key's name; zero for a nil or zero TimedKey.
func (k *TimedKey) ID() TimedKeyID { return k.Public().ID() }

// Decapsulate recovers the secret of an encapsulation. A ciphertext made for another key, or a changed one, yields an unrelated
// secret and no error (implicit rejection): whatever is keyed by it will not verify.
func (k *TimedKey) Decapsulate(ciphertext []byte) (secret []byte, err error) {
	if k == nil || k.s == nil {
		return nil, ErrNoKEM
	}
	if len(ciphertext) != KEMCiphertextSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCiphertextSize, len(ciphertext), KEMCiphertextSize)
	}
	secret = make([]byte, KEMSecretSize)
	k.s().private.DecapsulateTo(secret, ciphertext)
	return secret, nil
}

// Unwrap opens what Wrap made for this key and the same info; ErrUnwrap for anything else.
func (k *TimedKey) Unwrap(info, wrapped []byte) ([]byte, error) {
	if k == nil || k.s == nil {
		return nil, ErrNoKEM
	}
	return open(k.s().unwrap, info, wrapped)
}

// String returns the beginning of the name and says that the rest is hidden.
func (k TimedKey) String() string { return k.redacted() }

// GoString is String: %#v shows no key either.
func (k TimedKey) GoString() string { return k.redacted() }

// Format implements fmt.Formatter, so that no verb and flag reaches the field.
func (k TimedKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.redacted()) }

// LogValue implements slog.LogValuer.
func (k TimedKey) LogValue() slog.Value { return slog.StringValue(k.redacted()) }

// MarshalText implements encoding.TextMarshaler with the same words: a timed key is not stored.
func (k TimedKey) MarshalText() ([]byte, error) { return []byte(k.redacted()), nil }

// MarshalJSON implements json.Marshaler with the same words.
func (k TimedKey) MarshalJSON() ([]byte, error) { return []byte(`"` + k.redacted() + `"`), nil }

func (k TimedKey) redacted() string {
	if k.s == nil {
		return "timed key (none)"
	}
	return "timed key " + k.s().public.ID().String()[:8] + " (redacted)"
}

// TimedPublic is the public part of a timed key, checked. It is immutable and cheap to copy. The zero value is no key and encapsulates
// nothing.
type TimedPublic struct {
	packed []byte
	wrap   hpke.PublicKey
	id     TimedKeyID
}

// ParseTimedPublic checks KEMPublicSize bytes: ErrKeySize, or ErrKEMKey for unreduced ML-KEM coefficients (FIPS 203 §7.2) and
// X25519 points of small order.
func ParseTimedPublic(b []byte) (TimedPublic, error) {
	if len(b) != KEMPublicSize {
		return TimedPublic{}, fmt.Errorf("%w: timed key of %d bytes, want %d", ErrKeySize, len(b), KEMPublicSize)
	}
	wrap, err := parseKEM(b)
	if err != nil {
		return TimedPublic{}, err
	}
	return TimedPublic{packed: bytes.Clone(b), wrap: wrap, id: TimedKeyID(Hash("timed key", b))}, nil
}

// ID returns the key's name; zero for no key.
func (p TimedPublic) ID() TimedKeyID { return p.id }

// Bytes returns a copy of the X-Wing public key; nil for no key.
func (p TimedPublic) Bytes() []byte { return bytes.Clone(p.packed) }

// MarshalBinary returns the X-Wing public key; inside canonical objects it stands as a byte string. ErrNoKEM for no key.
func (p TimedPublic) MarshalBinary() ([]byte, error) {
	if len(p.packed) == 0 {
		return nil, ErrNoKEM
	}
	return p.Bytes(), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler by ParseTimedPublic.
func (p *TimedPublic) UnmarshalBinary(b []byte) error {
	got, err := ParseTimedPublic(b)
	if err != nil {
		return err
	}
	*p = got
	return nil
}

// Wrap encrypts plaintext to the holder of the key for one purpose, as the function Wrap does to an identity.
func (p TimedPublic) Wrap(info, plaintext []byte) ([]byte, error) {
	if p.wrap == nil {
		return nil, ErrNoKEM
	}
	return seal(p.wrap, info, plaintext)
}

// Encapsulate makes a shared secret that only the holder of the key can recover from the ciphertext. It draws 64 bytes of random
// (crypto/rand when nil).
func (p TimedPublic) Encapsulate(random io.Reader) (ciphertext, secret []byte, err error) {
	if len(p.packed) != KEMPublicSize {
		return nil, nil, ErrNoKEM
	}
	if random == nil {
		random = rand.Reader
	}
	var seed [xwing.EncapsulationSeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("reading randomness for an encapsulation: %w", err)
	}
	secret, ciphertext, err = xwing.Encapsulate(p.packed, seed[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrKEMKey, err)
	}
	return ciphertext, secret, nil
}
