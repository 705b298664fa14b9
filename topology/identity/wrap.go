package identity

import (
	"crypto/hpke"
	"errors"
	"fmt"

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
	ErrNoKEM          = errors.New("there is no KEM key")
	ErrCiphertextSize = errors.New("KEM ciphertext of the wrong size")
	ErrUnwrap         = errors.New("wrapped bytes do not open with this key and purpose")
)

// wrapLabel precedes the caller's info in HPKE's info.
const wrapLabel = "ursa/1 wrap\x00"

// Wrap encrypts plaintext to pub for one purpose (info): HPKE base mode with X-Wing, HKDF-SHA-256, ChaCha20-Poly1305. It says
// nothing about who wrapped.
func Wrap(pub Public, info, plaintext []byte) ([]byte, error) {
	if pub.p == nil || pub.p.wrap == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoKEM, pub)
	}
	return seal(pub.p.wrap, info, plaintext)
}

// Unwrap opens what Wrap made for this identity and the same info; ErrUnwrap for anything else.
func (k *Private) Unwrap(info, wrapped []byte) ([]byte, error) {
	if k == nil || k.s == nil || k.s().unwrap == nil {
		return nil, ErrNoKEM
	}
	return open(k.s().unwrap, info, wrapped)
}

func seal(to hpke.PublicKey, info, plaintext []byte) ([]byte, error) {
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), wrapInfo(info), plaintext)
}

func open(key hpke.PrivateKey, info, wrapped []byte) ([]byte, error) {
	if len(wrapped) < WrapOverhead {
		return nil, fmt.Errorf("%w: %d bytes, at least %d", ErrUnwrap, len(wrapped), WrapOverhead)
	}
	b, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), wrapInfo(info), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwrap, err)
	}
	return b, nil
}

func wrapInfo(info []byte) []byte { return append([]byte(wrapLabel), info...) }
