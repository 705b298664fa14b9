package attest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// TypeRevocations is the signature context of a revocation list.
const TypeRevocations identity.ObjectType = "revocations"

// MaxRevocationTTL is how long a revocation list may be believed: who keeps a list back cannot hide news for longer.
const MaxRevocationTTL = 7 * 24 * time.Hour

// The refusals of, and by, a revocation list.
var (
	ErrRevocations        = errors.New("not a revocation list")
	ErrRevocationsTimes   = errors.New("revocation list must be issued after 1970 and expire later, by a week at most")
	ErrRevocationsFuture  = errors.New("revocation list was issued in the future")
	ErrRevocationsStale   = errors.New("revocation list is too old to be believed")
	ErrRevocationsMissing = errors.New("appraiser needs a revocation list and has none")
	ErrRevocationsBack    = errors.New("revocation list is older than the one in use")
	ErrMachineRevoked     = errors.New("machine is revoked")
	ErrCodeRevoked        = errors.New("code is revoked")
	ErrCredentialRevoked  = errors.New("attestation key or certificate is revoked")
)

// Revocations withdraw machines (stolen, sold, broken open), code that manifests and directories still name, and credentials: single
// attestation keys and certificates.
type Revocations struct {
	Version       uint64     `cbor:"1,keyasint"`
	Sequence      uint64     `cbor:"2,keyasint"` // grows with every list
	Machines      [][32]byte `cbor:"3,keyasint"` // ascending
	Measurements  [][]byte   `cbor:"4,keyasint"` // ascending; as platforms report them, with or without configuration
	IssuedUnixNS  int64      `cbor:"5,keyasint"`
	ExpiresUnixNS int64      `cbor:"6,keyasint"`
	Credentials   [][32]byte `cbor:"7,keyasint,omitempty"` // ascending; see Credential
}

func compareMachines(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }

func (r Revocations) validate() error {
	switch {
	case r.Version != Version:
		return fmt.Errorf("revocation list: %w %d, want %d", ErrVersion, r.Version, Version)
	case r.Sequence == 0 || !ascending(r.Machines, compareMachines) || !ascending(r.Measurements, bytes.Compare) ||
		!ascending(r.Credentials, compareMachines):
		return fmt.Errorf("%w: the sequence begins with 1; machines, measurements and credentials must ascend, each once", ErrRevocations)
	case r.IssuedUnixNS <= 0 || r.ExpiresUnixNS <= r.IssuedUnixNS || r.ExpiresUnixNS-r.IssuedUnixNS > int64(MaxRevocationTTL):
		return ErrRevocationsTimes
	}
	return nil
}

func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

// SignRevocations checks a draft and signs it with keys of role manifest. Its lists are sorted.
func SignRevocations(r Revocations, keys ...*identity.Private) ([]byte, error) {
	r.Machines, r.Measurements, r.Credentials = slices.Clone(r.Machines), slices.Clone(r.Measurements), slices.Clone(r.Credentials)
	slices.SortFunc(r.Credentials, compareMachines)
	slices.SortFunc(r.Machines, compareMachines)
	slices.SortFunc(r.Measurements, bytes.Compare)
	if err := r.validate(); err != nil {
		return nil, err
	}
	payload, err := canon.Marshal(r)
	if err != nil {
		return nil, err
	}
	return multisigned{Payload: payload}.sign(TypeRevocations, keys)
}

// VerifyRevocations is the only road to a list that appraisers take. Checks, in this order: those of the signatures as in
// VerifyManifest; ErrRevocations, ErrVersion, ErrRevocationsTimes; ErrRevocationsFuture; ErrRevocationsStale at now.
func VerifyRevocations(data []byte, k Keepers, nowUnixNS int64) (*Revocations, error) {
	payload, err := k.open(TypeRevocations, data)
	if err != nil {
		return nil, err
	}
	r, err := decodeRevocations(payload)
	if err != nil {
		return nil, err
	}
	if r.IssuedUnixNS-int64(MaxClockSkew) > nowUnixNS {
		return nil, ErrRevocationsFuture
	}
	if err := r.fresh(nowUnixNS); err != nil {
		return nil, err
	}
	return &r, nil
}

func (r *Revocations) fresh(now int64) error {
	if now >= r.ExpiresUnixNS {
		return fmt.Errorf("%w: expired %s ago", ErrRevocationsStale, time.Duration(now-r.ExpiresUnixNS))
	}
	return nil
}

// withdrawable is what a revocation list can name.
type withdrawable struct {
	machine      [32]byte
	measurements [][]byte // with and without configuration
	credentials  [][32]byte
}

func (c Claims) withdrawable() withdrawable {
	return withdrawable{c.Machine, [][]byte{c.Measurement, Configured(c.Measurement, c.Configuration)}, c.Credentials}
}

func (a Result) withdrawable() withdrawable {
	return withdrawable{a.Machine, [][]byte{a.Measurement, a.Code}, a.Credentials}
}

// check refuses what is listed. A list past its date refuses everything.
func (r *Revocations) check(w withdrawable, now int64) error {
	if err := r.fresh(now); err != nil {
		return err
	}
	if _, found := slices.BinarySearchFunc(r.Machines, w.machine, compareMachines); found {
		return fmt.Errorf("%w: %x", ErrMachineRevoked, w.machine[:8])
	}
	for _, m := range w.measurements {
		if _, found := slices.BinarySearchFunc(r.Measurements, m, bytes.Compare); found {
			return fmt.Errorf("%w: %x", ErrCodeRevoked, m[:min(len(m), 8)])
		}
	}
	for _, c := range w.credentials {
		if _, found := slices.BinarySearchFunc(r.Credentials, c, compareMachines); found {
			return fmt.Errorf("%w: %x", ErrCredentialRevoked, c[:8])
		}
	}
	return nil
}

// heed holds something against a list that may be absent.
func heed(r *Revocations, need bool, w withdrawable, now int64) error {
	switch {
	case r != nil:
		return r.check(w, now)
	case need:
		return ErrRevocationsMissing
	}
	return nil
}

// SetRevocations puts a verified list into use, from now on and for concurrent examinations: ErrRevocationsBack if it is older than the
// one in use.
func (x *Examiner) SetRevocations(r *Revocations) error {
	for {
		old := x.revocations.Load()
		if r == nil || old != nil && r.Sequence < old.Sequence {
			return ErrRevocationsBack
		}
		if x.revocations.CompareAndSwap(old, r) {
			return nil
		}
	}
}

func (x *Examiner) checkRevoked(w withdrawable, now int64) error {
	return heed(x.revocations.Load(), x.needRevocations, w, now)
}

// CosignRevocations adds signatures to a signed list: how j people in j places sign one. It checks its form but nobody else's
// signature.
func CosignRevocations(data []byte, keys ...*identity.Private) ([]byte, error) {
	s, err := decodeMultisigned(data)
	if err != nil {
		return nil, err
	}
	if _, err := decodeRevocations(s.Payload); err != nil {
		return nil, err
	}
	return s.sign(TypeRevocations, keys)
}

func decodeRevocations(payload []byte) (Revocations, error) {
	var r Revocations
	if err := canon.Unmarshal(payload, &r, MaxSigned); err != nil {
		return Revocations{}, fmt.Errorf("%w: %w", ErrRevocations, err)
	}
	return r, r.validate()
}

// DecodeRevocations reads a signed list without believing it, for showing: who says to have signed it is not verified.
func DecodeRevocations(data []byte) (r Revocations, signers []identity.ID, err error) {
	s, err := decodeMultisigned(data)
	if err != nil {
		return Revocations{}, nil, err
	}
	for _, sig := range s.Signatures {
		signers = append(signers, sig.Signer)
	}
	r, err = decodeRevocations(s.Payload)
	return r, signers, err
}
