package identity

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"

	"github.com/cloudflare/circl/kem/xwing"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
)

// Private is a whole identity: it signs, and opens what was wrapped for it. It never shows its keys: formatting, logging and JSON all answer role
// and short id. Safe for concurrent use.
//
// The keys stand behind a function, not a pointer: fmt follows a pointer in an unexported field when the verb does not fit it,
// and would print them in spite of every method here.
type Private struct{ s func() *secret }

type secret struct {
	seed    [SeedSize]byte
	public  Public
	ed25519 ed25519.PrivateKey
	mldsa   *mldsa65.PrivateKey
	unwrap  hpke.PrivateKey // nil for roles without KEM
}

// SeedSize is the size in bytes of the seed from which all keys of an identity are derived.
const SeedSize = 32

// Generate makes a new identity of the role from 32 bytes of random (crypto/rand when nil).
func Generate(role Role, random io.Reader) (*Private, error) {
	if random == nil {
		random = rand.Reader
	}
	var seed [SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for a %s key: %w", role, err)
	}
	return FromSeed(role, seed)
}

// FromSeed derives an identity from its role and seed: the same pair always gives the same keys, and the same seed in two roles
// gives unrelated ones. Each key's own seed is HKDF-SHA-256(seed, info = "ursa/1 key " ‖ algorithm ‖ " " ‖ role).
func FromSeed(role Role, seed [SeedSize]byte) (*Private, error) {
	if _, err := ParseRole(string(role)); err != nil {
		return nil, err
	}
	edSeed, err := derive(seed, "ed25519", role)
	if err != nil {
		return nil, err
	}
	mlSeed, err := derive(seed, "ml-dsa-65", role)
	if err != nil {
		return nil, err
	}
	s := &secret{seed: seed, ed25519: ed25519.NewKeyFromSeed(edSeed[:])}
	mlPublic, mlPrivate := mldsa65.NewKeyFromSeed(&mlSeed)
	s.mldsa = mlPrivate
	kem, err := s.deriveKEM(role)
	if err != nil {
		return nil, err
	}
	edPublic := []byte(s.ed25519[ed25519.SeedSize:])
	if s.public, err = newPublic(role, append([]byte(nil), edPublic...), mlPublic.Bytes(), kem); err != nil {
		return nil, err
	}
	return &Private{func() *secret { return s }}, nil
}

// deriveKEM fills the KEM key of roles that have one and returns its public part.
func (s *secret) deriveKEM(role Role) ([]byte, error) {
	if !role.HasKEM() {
		return []byte{}, nil
	}
	seed, err := derive(s.seed, "x-wing", role)
	if err != nil {
		return nil, err
	}
	_, public := xwing.DeriveKeyPair(seed[:])
	if s.unwrap, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
		return nil, fmt.Errorf("deriving the KEM key: %w", err)
	}
	packed := make([]byte, KEMPublicSize)
	public.Pack(packed)
	return packed, nil
}

func derive(seed [SeedSize]byte, algorithm string, role Role) ([SeedSize]byte, error) {
	b, err := hkdf.Key(sha256.New, seed[:], nil, "ursa/1 key "+algorithm+" "+string(role), SeedSize)
	if err != nil {
		return [SeedSize]byte{}, fmt.Errorf("deriving the %s key: %w", algorithm, err)
	}
	return [SeedSize]byte(b), nil
}

// Public returns the public part; nobody for a nil or zero Private.
func (k *Private) Public() Public {
	if k == nil || k.s == nil {
		return Public{}
	}
	return k.s().public
}

// ID returns the identity's id.
func (k *Private) ID() ID { return k.Public().ID() }

// String returns role and short id and says that the rest is hidden.
func (k Private) String() string { return k.redacted() }

// GoString is String: %#v shows no key either.
func (k Private) GoString() string { return k.redacted() }

// Format implements fmt.Formatter, so that no verb and flag reaches the fields.
func (k Private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.redacted()) }

// LogValue implements slog.LogValuer.
func (k Private) LogValue() slog.Value { return slog.StringValue(k.redacted()) }

// MarshalText implements encoding.TextMarshaler with the same words; a private key is stored by SaveKey only.
func (k Private) MarshalText() ([]byte, error) { return []byte(k.redacted()), nil }

// MarshalJSON implements json.Marshaler with the same words.
func (k Private) MarshalJSON() ([]byte, error) { return []byte(`"` + k.redacted() + `"`), nil }

func (k Private) redacted() string {
	if k.s == nil {
		return "private key (none)"
	}
	return "private key of " + k.s().public.String() + " (redacted)"
}
