package identity

import (
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/kem/xwing"
)

// Sizes in bytes of an encapsulation, and of what Wrap adds to a plaintext.
const (
	KEMCiphertextSize = xwing.CiphertextSize
	KEMSecretSize     = xwing.SharedKeySize
	WrapOverhead      = xwing.CiphertextSize + 16
)

// The refusals of encapsulation and wrapping.
var (
	ErrNoKEM          = errors.New("identity has no KEM key")
	ErrCiphertextSize = errors.New("KEM ciphertext of the wrong size")
	ErrUnwrap         = errors.New("wrapped bytes do not open with this key and purpose")
)

// wrapLabel precedes the caller's info in HPKE's info.
const wrapLabel = "ursa/1 wrap\x00"

// Encapsulate makes a shared secret that only the holder of pub's KEM key can recover from the ciphertext (X-Wing). It draws 64
// bytes of random (crypto/rand when nil).
func Encapsulate(pub Public, random io.Reader) (ciphertext, secret []byte, err error) {
	if pub.p == nil || len(pub.p.kem) != KEMPublicSize {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoKEM, pub)
	}
	if random == nil {
		random = rand.Reader
	}
	var seed [xwing.EncapsulationSeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("reading randomness for an encapsulation: %w", err)
	}
	secret, ciphertext, err = xwing.Encapsulate(pub.p.kem, seed[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrKEMKey, err)
	}
	return ciphertext, secret, nil
}

// Decapsulate recovers the secret of an encapsulation. A ciphertext made for another key, or a changed one, yields an unrelated
// secret and no error (implicit rejection): whatever is keyed by it will not verify.
func (k *Private) Decapsulate(ciphertext []byte) (secret []byte, err error) {
	if k == nil || k.s == nil || k.s().kem == nil {
		return nil, ErrNoKEM
	}
	if len(ciphertext) != KEMCiphertextSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCiphertextSize, len(ciphertext), KEMCiphertextSize)
	}
	secret = make([]byte, KEMSecretSize)
	k.s().kem.DecapsulateTo(secret, ciphertext)
	return secret, nil
}

// Wrap encrypts plaintext to pub for one purpose (info): HPKE base mode with X-Wing, HKDF-SHA-256, ChaCha20-Poly1305. It says
// nothing about who wrapped.
func Wrap(pub Public, info, plaintext []byte) ([]byte, error) {
	if pub.p == nil || pub.p.wrap == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoKEM, pub)
	}
	return hpke.Seal(pub.p.wrap, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), wrapInfo(info), plaintext)
}

// Unwrap opens what Wrap made for this identity and the same info; ErrUnwrap for anything else.
func (k *Private) Unwrap(info, wrapped []byte) ([]byte, error) {
	if k == nil || k.s == nil || k.s().unwrap == nil {
		return nil, ErrNoKEM
	}
	if len(wrapped) < WrapOverhead {
		return nil, fmt.Errorf("%w: %d bytes, at least %d", ErrUnwrap, len(wrapped), WrapOverhead)
	}
	b, err := hpke.Open(k.s().unwrap, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), wrapInfo(info), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwrap, err)
	}
	return b, nil
}

func wrapInfo(info []byte) []byte { return append([]byte(wrapLabel), info...) }
