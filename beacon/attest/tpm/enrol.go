package tpm

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// TypeEnrolment is the signature context of a Record.
const TypeEnrolment identity.ObjectType = "enrolment"

// MaxRecordSize and MaxApplicationSize bound what is read, in bytes.
const (
	MaxRecordSize      = 8 << 10
	MaxApplicationSize = 32 << 10
)

// MaxEnrolment is how long a Record may hold.
const MaxEnrolment = 366 * 24 * time.Hour

// ActivationTime is how long a challenge may stay open.
const ActivationTime = 5 * time.Minute

// The refusals of enrolment.
var (
	ErrEnroller    = errors.New("enroller is not well configured")
	ErrApplication = errors.New("not an application for enrolment")
	ErrChallenge   = errors.New("not an activation challenge")
	ErrActivation  = errors.New("TPM did not return the activation secret")
	ErrTooLate     = errors.New("activation took too long")
	ErrNotAdmitted = errors.New("machine is not among those that the appraiser's people looked at")
	ErrAKMovable   = errors.New("attestation key is not fixed to its TPM")
)

// application is what a machine sends to be enrolled.
type application struct {
	Version uint64   `cbor:"1,keyasint"`
	Chain   [][]byte `cbor:"2,keyasint"` // DER: EK certificate, then its issuers without the root
	EK      []byte   `cbor:"3,keyasint"` // TPMT_PUBLIC
	AK      []byte   `cbor:"4,keyasint"` // TPMT_PUBLIC
}

// activation is what the machine's TPM must open.
type activation struct {
	Version    uint64 `cbor:"1,keyasint"`
	Credential []byte `cbor:"2,keyasint"` // TPMS_ID_OBJECT
	Secret     []byte `cbor:"3,keyasint"` // encrypted seed
}

// Record is an enroller's signed word that an attestation key lives in the TPM of an endorsement key. On the wire it is an envelope
// of type TypeEnrolment.
type Record struct {
	Version       uint64   `cbor:"1,keyasint"`
	AKName        []byte   `cbor:"2,keyasint"`
	Chain         [32]byte `cbor:"3,keyasint"` // hash of the endorsement certificates
	Machine       [32]byte `cbor:"4,keyasint"`
	IssuedUnixNS  int64    `cbor:"5,keyasint"`
	ExpiresUnixNS int64    `cbor:"6,keyasint"`
}

// Enroller enrols machines: an appraiser, or somebody it trusts with this.
type Enroller struct {
	Key         *identity.Private // of role appraiser
	Endorsement Endorsement
	TTL         time.Duration // of records, at most MaxEnrolment, which is also the default for zero
}

// Pending is an enroller's memory of one open challenge. It must not leave the enroller: it holds the secret.
type Pending struct {
	record Record
	secret [32]byte
	issued int64
}

// Challenge checks an application and makes a challenge that only the TPM with that endorsement key, with that attestation key
// loaded, can answer. Checks, in this order: ErrApplication, the chain (attest.ErrWrongRoot, attest.ErrCollateralExpired, ErrEKUsage,
// attest.ErrCertificateRevoked …), ErrEKAttributes, ErrEKMismatch, ErrAKAlgorithm, ErrAKAttributes, ErrAKMovable.
func (e *Enroller) Challenge(encoded []byte, random io.Reader, now time.Time) ([]byte, *Pending, error) {
	ttl := e.TTL
	if ttl == 0 {
		ttl = MaxEnrolment
	}
	if e.Key.Public().Role() != identity.RoleAppraiser || ttl < 0 || ttl > MaxEnrolment {
		return nil, nil, fmt.Errorf("%w: needs a key of role %s and records of at most %s", ErrEnroller, identity.RoleAppraiser, MaxEnrolment)
	}
	var a application
	if err := canon.Unmarshal(encoded, &a, MaxApplicationSize); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrApplication, err)
	}
	ek, record, err := e.check(a, now)
	if err != nil {
		return nil, nil, err
	}
	record.IssuedUnixNS, record.ExpiresUnixNS = now.UnixNano(), now.Add(ttl).UnixNano()
	p := &Pending{record: record, issued: now.UnixNano()}
	if _, err := io.ReadFull(random, p.secret[:]); err != nil {
		return nil, nil, err
	}
	to, err := tpm2.ImportEncapsulationKey(ek)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEKAttributes, err)
	}
	credential, secret, err := tpm2.CreateCredential(random, to, record.AKName, p.secret[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEKAttributes, err)
	}
	out, err := canon.Marshal(activation{1, credential, secret})
	return out, p, err
}

func (e *Enroller) check(a application, now time.Time) (*tpm2.TPMTPublic, Record, error) {
	if a.Version != 1 {
		return nil, Record{}, fmt.Errorf("%w: version %d", ErrApplication, a.Version)
	}
	chain, err := parseChain(a.Chain)
	if err != nil {
		return nil, Record{}, fmt.Errorf("%w: %w", ErrApplication, err)
	}
	if err := e.Endorsement.verify(chain, now); err != nil {
		return nil, Record{}, err
	}
	ek, err := checkEK(a.EK, chain[0])
	if err != nil {
		return nil, Record{}, err
	}
	ak, err := parseAK(a.AK)
	if err != nil {
		return nil, Record{}, err
	}
	if ak.migratable {
		return nil, Record{}, ErrAKMovable
	}
	return ek, Record{Version: 1, AKName: nameOf(a.AK), Chain: hashChain(a.Chain), Machine: machineOf(chain[0])}, nil
}

// Finish compares the TPM's answer and signs the record: ErrTooLate, ErrActivation.
func (e *Enroller) Finish(p *Pending, answer []byte, now time.Time) ([]byte, error) {
	if took := now.UnixNano() - p.issued; took < 0 || took > int64(ActivationTime) {
		return nil, fmt.Errorf("%w: at most %s", ErrTooLate, ActivationTime)
	}
	if subtle.ConstantTimeCompare(p.secret[:], answer) != 1 {
		return nil, ErrActivation
	}
	payload, err := canon.Marshal(p.record)
	if err != nil {
		return nil, err
	}
	signed, err := identity.Seal(e.Key, TypeEnrolment, payload)
	if err != nil {
		return nil, err
	}
	return signed.Encode()
}

// Machine names the machine that applies. Whether its people may have it enrolled is for the enroller to say before it sends the
// challenge.
func (p *Pending) Machine() [32]byte { return p.record.Machine }
