package identity

import (
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
)

// ObjectType is the context of a signature: what kind of object was signed. Lower-case letters, digits, '-' and '.', at most 32.
type ObjectType string

// The types of signed objects. Packages with objects of their own may add words here or use their own constants.
const (
	TypeChallenge   ObjectType = "challenge"   // gate → core: prove your place
	TypeInit        ObjectType = "init"        // core → beacon: open a session
	TypeAccept      ObjectType = "accept"      // beacon → core: session opened
	TypeTimes       ObjectType = "times"       // core → beacon: what the core measured
	TypeStatement   ObjectType = "statement"   // beacon: one exchange
	TypeCountersign ObjectType = "countersign" // core: the same exchange
	TypeProof       ObjectType = "proof"       // core: all statements of a challenge
	TypeDirectory   ObjectType = "directory"   // the constellation
	TypeEvidence    ObjectType = "evidence"    // simulated attestation evidence
	TypeResult      ObjectType = "result"      // appraisal of evidence
	TypeManifest    ObjectType = "manifest"    // reference values
	TypePolicy      ObjectType = "policy"
	TypeLease       ObjectType = "lease"
	TypeRequest     ObjectType = "request"
	TypeReport      ObjectType = "report" // usage
)

// SignatureSize is the size in bytes of every signature: 64 of Ed25519 followed by 3,309 of ML-DSA-65.
const SignatureSize = ed25519.SignatureSize + mldsa65.SignatureSize

// The refusals of a signature.
var (
	ErrObjectType    = errors.New("not a type of signed object")
	ErrSignatureSize = errors.New("signature of the wrong size")
	ErrEd25519       = errors.New("ed25519 half of the signature does not verify")
	ErrMLDSA65       = errors.New("ml-dsa-65 half of the signature does not verify")
)

// batchSuffix turns a type into the context of a batch root. ObjectType has no '/', so the two never meet.
const batchSuffix = "/batch"

// Validate refuses words that could be mistaken for another context.
func (t ObjectType) Validate() error {
	ok := len(t) > 0 && len(t) <= 32
	for _, c := range []byte(t) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.')
	}
	if !ok {
		return fmt.Errorf("%w: %q", ErrObjectType, clip(string(t), 40))
	}
	return nil
}

// Sign signs msg as an object of type t with both keys; the ML-DSA half is hedged with fresh randomness (FIPS 204 §3.4).
func (k *Private) Sign(t ObjectType, msg []byte) ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return k.sign(string(t), msg)
}

// Verify says whether sig is this identity's signature over msg as an object of type t. Both halves must verify:
// ErrSignatureSize, ErrEd25519 or ErrMLDSA65 name what failed first, the cheap half before the costly one.
func (p Public) Verify(t ObjectType, msg, sig []byte) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return p.verify(string(t), msg, sig)
}

func (k *Private) sign(context string, msg []byte) ([]byte, error) {
	if k == nil || k.s == nil {
		return nil, ErrNoKey
	}
	covered := signedBytes(context, msg)
	sig := make([]byte, SignatureSize)
	copy(sig, ed25519.Sign(k.s().ed25519, covered))
	if err := mldsa65.SignTo(k.s().mldsa, covered, nil, true, sig[ed25519.SignatureSize:]); err != nil {
		return nil, fmt.Errorf("signing with ml-dsa-65: %w", err)
	}
	return sig, nil
}

func (p Public) verify(context string, msg, sig []byte) error {
	if p.p == nil {
		return ErrNoKey
	}
	if len(sig) != SignatureSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSignatureSize, len(sig), SignatureSize)
	}
	covered := signedBytes(context, msg)
	if !ed25519.Verify(p.p.ed25519, covered, sig[:ed25519.SignatureSize]) {
		return ErrEd25519
	}
	if !mldsa65.Verify(p.p.parsed, covered, nil, sig[ed25519.SignatureSize:]) {
		return ErrMLDSA65
	}
	return nil
}

// signedBytes is "ursa/1 " ‖ context ‖ 0x00 ‖ SHA-512(msg).
func signedBytes(context string, msg []byte) []byte {
	digest := sha512.Sum512(msg)
	b := make([]byte, 0, 7+len(context)+1+len(digest))
	b = append(b, "ursa/1 "...)
	b = append(b, context...)
	b = append(b, 0)
	return append(b, digest[:]...)
}
