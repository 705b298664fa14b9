package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Key signs checkpoints: twice, with Ed25519 for the tools of today and with
// ML-DSA-44 (as a C2SP cosignature) for those of tomorrow. Both names are the
// log's origin.
type Key struct {
	ed25519, mldsa string // signer keys in note format
	verifier       Verifier
}

// Verifier is the public half: both keys in note format. A checkpoint counts
// only with both signatures.
type Verifier struct {
	Origin  string
	Ed25519 string
	MLDSA   string
}

// Refusals of keys and checkpoints.
var (
	ErrKey        = errors.New("ledger: not a key of a log")
	ErrOrigin     = errors.New("ledger: an origin is a name without spaces and plus signs, such as example.com/gate")
	ErrCheckpoint = errors.New("ledger: the checkpoint is not signed by the log's two keys")
)

// NewKey makes a key for a log with the given origin.
func NewKey(origin string) (*Key, error) {
	if origin == "" || len(origin) > 128 || strings.ContainsAny(origin, " \t\r\n+") {
		return nil, ErrOrigin
	}
	ed, edV, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	ml, mlV, err := fnote.GenerateMLDSAKey(origin)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return &Key{ed25519: ed, mldsa: ml, verifier: Verifier{Origin: origin, Ed25519: edV, MLDSA: mlV}}, nil
}

// Verifier is the key's public half.
func (k *Key) Verifier() Verifier { return k.verifier }

// Encode is the secret text to keep: four lines, the signer and verifier key of
// each algorithm.
func (k *Key) Encode() []byte {
	return []byte(strings.Join([]string{k.ed25519, k.verifier.Ed25519, k.mldsa, k.verifier.MLDSA, ""}, "\n"))
}

// ParseKey reads what Encode wrote, and checks that the halves belong together.
func ParseKey(text []byte) (*Key, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 5 || lines[4] != "" {
		return nil, ErrKey
	}
	origin, _, ok := strings.Cut(lines[1], "+")
	if !ok {
		return nil, ErrKey
	}
	k := &Key{ed25519: lines[0], mldsa: lines[2], verifier: Verifier{Origin: origin, Ed25519: lines[1], MLDSA: lines[3]}}
	signers, err := k.signers()
	if err != nil {
		return nil, err
	}
	msg, err := note.Sign(&note.Note{Text: origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"}, signers...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if _, err := k.verifier.Open(msg); err != nil {
		return nil, fmt.Errorf("%w: its halves do not belong together", ErrKey)
	}
	return k, nil
}

// String, GoString and LogValue name the key without showing it.
func (k *Key) String() string { return "ledger key of " + k.verifier.Origin }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// LogValue is String.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k *Key) signers() ([]note.Signer, error) {
	ed, err := note.NewSigner(k.ed25519)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	ml, err := fnote.NewMLDSASigner(k.mldsa)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return []note.Signer{ed, ml}, nil
}

// verifiers are both halves for the note package.
func (v Verifier) verifiers() ([]note.Verifier, error) {
	ed, err := note.NewVerifier(v.Ed25519)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	ml, err := fnote.NewMLDSAVerifier(v.MLDSA)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if ed.Name() != v.Origin || ml.Name() != v.Origin {
		return nil, fmt.Errorf("%w: the keys are of another origin", ErrKey)
	}
	return []note.Verifier{ed, ml}, nil
}
