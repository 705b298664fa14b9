package directory

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// MaxSize is the largest encoded directory in bytes: some 4,900 beacons of 3.3 KB.
const MaxSize = 16 << 20

// MaxSignatures is the largest number of signatures on a directory.
const MaxSignatures = 64

// MaxClockSkew is how far in the future of the reader's clock a directory may have been issued.
const MaxClockSkew = time.Minute

// The refusals of a signed directory, beside its rules.
var (
	ErrDecode        = errors.New("not a signed directory")
	ErrVersion       = errors.New("unknown version of the directory format")
	ErrThreshold     = errors.New("threshold must be 1 to the number of roots")
	ErrRoots         = errors.New("roots must be distinct keys of role directory")
	ErrTooFewSigners = errors.New("directory is signed by too few known keys")
	ErrUnknownSigner = errors.New("directory is signed by an unknown key")
	ErrSignature     = errors.New("directory signature does not verify")
	ErrNotYetValid   = errors.New("directory is not yet valid")
	ErrExpired       = errors.New("directory has expired")
	ErrOldEpoch      = errors.New("directory is older than the one known")
	ErrEquivocation  = errors.New("two different directories with one epoch")
	ErrUnverified    = errors.New("directory was not verified")
)

// signed is a directory on the wire.
type signed struct {
	Payload    []byte      `cbor:"1,keyasint"`
	Signatures []signature `cbor:"2,keyasint"` // ascending by signer
}

type signature struct {
	Signer    identity.ID `cbor:"1,keyasint"`
	Signature []byte      `cbor:"2,keyasint"`
}

// Sign encodes a draft, checks it against all rules, and signs it with the given directory keys. The draft must be in canonical
// order (Sort).
func Sign(d *Directory, keys ...*identity.Private) ([]byte, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	data, err := d.encode()
	if err != nil {
		return nil, err
	}
	s := signed{Payload: data, Signatures: []signature{}}
	return s.add(keys)
}

// AddSignatures signs an encoded directory with further keys: how j people in j places sign one. It checks the rules but nobody
// else's signature.
func AddSignatures(data []byte, keys ...*identity.Private) ([]byte, error) {
	s, err := decodeSigned(data)
	if err != nil {
		return nil, err
	}
	if _, err := s.content(); err != nil {
		return nil, err
	}
	return s.add(keys)
}

func (s signed) add(keys []*identity.Private) ([]byte, error) {
	for _, k := range keys {
		if k.Public().Role() != identity.RoleDirectory {
			return nil, fmt.Errorf("%w: %q cannot sign a directory", ErrKeyRole, k.Public().Role())
		}
		sig, err := k.Sign(identity.TypeDirectory, s.Payload)
		if err != nil {
			return nil, err
		}
		s.Signatures = append(s.Signatures, signature{k.ID(), sig})
	}
	slices.SortFunc(s.Signatures, compareSignatures)
	if err := ascending(s.Signatures, compareSignatures, ErrDuplicateEntry); err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	return canon.Marshal(s)
}

// Decode reads the content of an encoded directory and checks all rules but no signature: a draft, for showing and for adding
// signatures. signers are who claims to have signed.
func Decode(data []byte) (d *Directory, signers []identity.ID, err error) {
	s, err := decodeSigned(data)
	if err != nil {
		return nil, nil, err
	}
	if d, err = s.content(); err != nil {
		return nil, nil, err
	}
	for _, sig := range s.Signatures {
		signers = append(signers, sig.Signer)
	}
	return d, signers, nil
}

// Verify is the only way to a verified directory. Its checks, in this order, each with its own error: roots distinct and of role
// directory (ErrRoots), threshold sensible (ErrThreshold); size and canonical encoding (ErrDecode and canon's errors); signatures
// in order and by different keys (ErrOrder, ErrDuplicateEntry), all by known keys (ErrUnknownSigner), all verifying (ErrSignature),
// at least threshold of them (ErrTooFewSigners); canonical encoding of the content, version (ErrVersion), suite
// (identity.ErrSuite), the rules of the content (the errors of this package, see ErrEpoch and following); issued (ErrNotYetValid)
// and not expired (ErrExpired) at now.
//
// A known key that signs counts once. A signature that does not verify refuses the directory even if enough others do: nothing in
// it is there for show.
func Verify(data []byte, roots []identity.Public, threshold int, nowUnixNS int64) (*Directory, error) {
	known, err := rootSet(roots)
	if err != nil {
		return nil, err
	}
	if threshold < 1 || threshold > len(roots) {
		return nil, fmt.Errorf("%w: %d of %d", ErrThreshold, threshold, len(roots))
	}
	s, err := decodeSigned(data)
	if err != nil {
		return nil, err
	}
	if err := s.verify(known, threshold); err != nil {
		return nil, err
	}
	d, err := s.content()
	if err != nil {
		return nil, err
	}
	if err := d.checkTime(nowUnixNS); err != nil {
		return nil, err
	}
	d.seal(s.Payload)
	return d, nil
}

// VerifyNext is Verify for a reader that has a verified directory already: the new one must have a greater epoch (ErrOldEpoch), or
// be the same directory again. Two directories with one epoch are the signers' misbehaviour (ErrEquivocation). previous may be
// expired, but it must once have been verified (ErrUnverified).
func VerifyNext(previous *Directory, data []byte, roots []identity.Public, threshold int, nowUnixNS int64) (*Directory, error) {
	if !previous.Verified() {
		return nil, ErrUnverified
	}
	d, err := Verify(data, roots, threshold, nowUnixNS)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Epoch < previous.Epoch:
		return nil, fmt.Errorf("%w: epoch %d after %d", ErrOldEpoch, d.Epoch, previous.Epoch)
	case d.Epoch == previous.Epoch && d.Hash() != previous.Hash():
		return nil, fmt.Errorf("%w %d", ErrEquivocation, d.Epoch)
	}
	return d, nil
}

// ValidAt says whether a verified directory is in force at the instant: ErrUnverified, ErrNotYetValid, ErrExpired.
func (d *Directory) ValidAt(nowUnixNS int64) error {
	if !d.Verified() {
		return ErrUnverified
	}
	return d.checkTime(nowUnixNS)
}

func (d *Directory) checkTime(now int64) error {
	if now < d.IssuedUnixNS-int64(MaxClockSkew) { // issued is positive, so this does not wrap
		return fmt.Errorf("%w: issued %s, now %s", ErrNotYetValid, utc(d.IssuedUnixNS), utc(now))
	}
	if now >= d.ExpiresUnixNS {
		return fmt.Errorf("%w: at %s, now %s", ErrExpired, utc(d.ExpiresUnixNS), utc(now))
	}
	return nil
}

func utc(unixNS int64) string { return time.Unix(0, unixNS).UTC().Format(time.RFC3339) }

func rootSet(roots []identity.Public) (map[identity.ID]identity.Public, error) {
	known := make(map[identity.ID]identity.Public, len(roots))
	for _, r := range roots {
		if _, twice := known[r.ID()]; twice || r.Role() != identity.RoleDirectory {
			return nil, fmt.Errorf("%w: %s", ErrRoots, r)
		}
		known[r.ID()] = r
	}
	return known, nil
}

func (s signed) verify(known map[identity.ID]identity.Public, threshold int) error {
	for _, sig := range s.Signatures {
		root, ok := known[sig.Signer]
		if !ok {
			return fmt.Errorf("%w: %s", ErrUnknownSigner, sig.Signer.Short())
		}
		if err := root.Verify(identity.TypeDirectory, s.Payload, sig.Signature); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSignature, sig.Signer.Short(), err)
		}
	}
	if len(s.Signatures) < threshold {
		return fmt.Errorf("%w: %d, want %d", ErrTooFewSigners, len(s.Signatures), threshold)
	}
	return nil
}

// decodeSigned reads the outer layer.
func decodeSigned(data []byte) (signed, error) {
	var s signed
	if err := canon.Unmarshal(data, &s, MaxSize); err != nil {
		return signed{}, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	if len(s.Signatures) > MaxSignatures {
		return signed{}, fmt.Errorf("%w: %d signatures", ErrTooMany, len(s.Signatures))
	}
	if err := ascending(s.Signatures, compareSignatures, ErrDuplicateEntry); err != nil {
		return signed{}, fmt.Errorf("signatures: %w", err)
	}
	return s, nil
}

// content reads the inner layer and checks all rules of the content.
func (s signed) content() (*Directory, error) {
	var p payload
	if err := canon.Unmarshal(s.Payload, &p, MaxSize); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	if p.Version != Version {
		return nil, fmt.Errorf("%w: %d, want %d", ErrVersion, p.Version, Version)
	}
	if p.Suite != identity.Suite {
		return nil, fmt.Errorf("directory: %w %d, want %d", identity.ErrSuite, p.Suite, identity.Suite)
	}
	d := &Directory{Epoch: p.Epoch, IssuedUnixNS: p.IssuedUnixNS, ExpiresUnixNS: p.ExpiresUnixNS, Beacons: p.Beacons,
		Gates: p.Gates, Appraisers: p.Appraisers, Quarantine: p.Quarantine, AttestRoots: p.AttestRoots}
	if err := d.validate(); err != nil {
		return nil, err
	}
	return d, nil
}

func compareSignatures(a, b signature) int { return a.Signer.Compare(b.Signer) }
