package attest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Status is the appraiser's conclusion, numbered as in EAR (RFC 9711's companion draft-ietf-rats-ear §3.2.1).
type Status uint64

// The statuses. Only Affirming is ever relied upon, and the zero value is not it.
const (
	StatusNone            Status = 0
	StatusAffirming       Status = 2
	StatusWarning         Status = 32
	StatusContraindicated Status = 96
)

// String returns EAR's word.
func (s Status) String() string {
	switch s {
	case StatusNone:
		return "none"
	case StatusAffirming:
		return "affirming"
	case StatusWarning:
		return "warning"
	case StatusContraindicated:
		return "contraindicated"
	}
	return fmt.Sprintf("status %d", uint64(s))
}

// MaxResultSize is the largest encoded result in bytes.
const MaxResultSize = 32 << 10

// The refusals of a result by the relying side.
var (
	ErrDirectory        = errors.New("no directory to verify with")
	ErrResult           = errors.New("not an attestation result")
	ErrUnknownAppraiser = errors.New("result is signed by an unknown appraiser")
	ErrResultSignature  = errors.New("result's signature does not verify")
	ErrStatus           = errors.New("result is not affirming")
	ErrSubject          = errors.New("about another identity than expected")
	ErrAudience         = errors.New("result is for another audience")
	ErrNonce            = errors.New("answers another nonce")
	ErrResultTimes      = errors.New("result's lifetime is empty or longer than an hour")
	ErrResultFuture     = errors.New("result was issued in the future")
	ErrResultExpired    = errors.New("result has expired")
)

// Result is an appraiser's signed conclusion about one piece of evidence: a claim until VerifyResult. On the wire it is an
// envelope of type "result".
type Result struct {
	Version       uint64      `cbor:"1,keyasint"`
	Status        Status      `cbor:"2,keyasint"`
	Subject       identity.ID `cbor:"3,keyasint"` // whose key is bound to the evidence
	Platform      Platform    `cbor:"4,keyasint"`
	Measurement   []byte      `cbor:"5,keyasint"`
	TCB           uint64      `cbor:"6,keyasint"`
	Machine       [32]byte    `cbor:"7,keyasint"`
	Nonce         [32]byte    `cbor:"8,keyasint"`  // that the evidence answered
	EvidenceHash  [32]byte    `cbor:"9,keyasint"`  // of the encoded evidence
	PolicyHash    [32]byte    `cbor:"10,keyasint"` // of the policy that was applied
	Audience      string      `cbor:"11,keyasint"` // who may rely on it: the constellation's name
	IssuedUnixNS  int64       `cbor:"12,keyasint"`
	ExpiresUnixNS int64       `cbor:"13,keyasint"`
	// Credentials and Code let the relying side hold its own revocation list against the result: what the report's signature rested
	// upon, and the measurement without its configuration, where it has one.
	Credentials [][32]byte `cbor:"14,keyasint,omitempty"`
	Code        []byte     `cbor:"15,keyasint,omitempty"`
	// TimedKey names the key that the attested process of a core holds in its memory; zero where the evidence named none.
	TimedKey identity.TimedKeyID `cbor:"16,keyasint"`
}

// DecodeResult reads an encoded result without verifying it, for showing.
func DecodeResult(encoded []byte) (Result, identity.ID, error) {
	e, err := identity.DecodeEnvelope(encoded, MaxResultSize)
	if err != nil {
		return Result{}, identity.ID{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	r, err := decodeResult(e.Payload)
	return r, e.Signer, err
}

func decodeResult(payload []byte) (Result, error) {
	var r Result
	if err := canon.Unmarshal(payload, &r, MaxResultSize); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if r.Version != Version {
		return Result{}, fmt.Errorf("result: %w %d, want %d", ErrVersion, r.Version, Version)
	}
	return r, nil
}

// Relying is what the relying side knows. Every field but Nonce is required.
type Relying struct {
	Directory *directory.Directory // lists the appraisers
	Policy    Policy               // what the relying side itself accepts
	Subject   identity.ID          // whose machine it wants to know about
	Audience  string               // its constellation's name
	Nonce     *[32]byte            // its own nonce; nil accepts a passport made for the appraiser's
	NowUnixNS int64
	// Revocations is the relying side's own list, for withdrawals since the appraisal; nil: none. With NeedRevocations nothing counts
	// without a list.
	Revocations     *Revocations
	NeedRevocations bool
	// anyCode leaves platform, code and security version to whoever relies on it afterwards.
	anyCode bool
	// Known remembers appraisers' signatures, so that the same result costs one verification; may be nil.
	Known *identity.RootCache
}

// Appraised is a verified result: such a machine, running such code, held the subject's key when it answered. Only VerifyResult
// makes one.
type Appraised struct {
	result    Result
	appraiser identity.ID
	ok        bool
}

// Valid says whether a came out of VerifyResult.
func (a Appraised) Valid() bool { return a.ok }

// Result returns the content.
func (a Appraised) Result() Result { return a.result }

// Appraiser returns who concluded.
func (a Appraised) Appraiser() identity.ID { return a.appraiser }

// Simulated says whether this is about no real machine; a verdict shows it.
func (a Appraised) Simulated() bool { return a.result.Platform == Sim }

// VerifyResult is the only road from a result to a fact. Checks, in this order, each with its own error:
//
//	ErrDirectory         the directory is verified and in force at now
//	ErrResult            size and canonical encoding (wraps canon's errors)
//	ErrUnknownAppraiser  the signer is an appraiser of the directory
//	ErrResultSignature   type and both halves of its signature (wraps identity's errors)
//	ErrVersion           of the format
//	ErrStatus            it is affirming
//	ErrSubject           it is about the expected identity
//	ErrAudience          and for this constellation
//	ErrNonce             and, where the relying side has one, its nonce
//	ErrSim, ErrPlatform, ErrMeasurement, ErrTCB, ErrMachine  the relying side's own policy accepts what was found
//	ErrResultTimes       it lives at most MaxResultTTL
//	ErrResultFuture      it was issued at most MaxClockSkew in the future
//	ErrResultExpired     it has not expired at now
//	ErrRevocationsMissing, ErrRevocationsStale  the relying side's own revocation list is there, if needed, and not past its date
//	ErrMachineRevoked, ErrCodeRevoked, ErrCredentialRevoked  and names nothing that the result rests upon
func VerifyResult(encoded []byte, r Relying) (Appraised, error) {
	if err := r.Directory.ValidAt(r.NowUnixNS); err != nil {
		return Appraised{}, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	e, err := identity.DecodeEnvelope(encoded, MaxResultSize)
	if err != nil {
		return Appraised{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	appraiser, ok := r.Directory.Appraiser(e.Signer)
	if !ok {
		return Appraised{}, fmt.Errorf("%w: %s", ErrUnknownAppraiser, e.Signer.Short())
	}
	payload, err := r.Known.OpenKnown(e, appraiser, identity.TypeResult)
	if err != nil {
		return Appraised{}, fmt.Errorf("%w: %w", ErrResultSignature, err)
	}
	result, err := decodeResult(payload)
	if err != nil {
		return Appraised{}, err
	}
	if err := r.accepts(result); err != nil {
		return Appraised{}, err
	}
	return Appraised{result: result, appraiser: e.Signer, ok: true}, nil
}

// VerifyTimed is what a beacon asks before it encapsulates to a core's timed key: does an appraiser of the directory vouch, now, for this
// key in the process of this core? It makes all checks of VerifyResult but those of the relying side's own policy, which is for gates to
// have, and wants the result to name the key: ErrTimedKey.
func VerifyTimed(encoded []byte, r Relying, timed identity.TimedKeyID) error {
	r.anyCode = true
	a, err := VerifyResult(encoded, r)
	if err != nil {
		return err
	}
	if timed.IsZero() || a.result.TimedKey != timed {
		return ErrTimedKey
	}
	return nil
}

// Vouched is VerifyTimed for a beacon that serves a constellation: server.Config.Appraised. It remembers appraisers' signatures, since a
// core presents the same result to every beacon, again and again. Safe for concurrent use.
func Vouched(audience string) func(d *directory.Directory, core identity.ID, timed identity.TimedKeyID, result []byte, nowUnixNS int64) error {
	known := identity.NewRootCache(vouchedResults)
	return func(d *directory.Directory, core identity.ID, timed identity.TimedKeyID, result []byte, nowUnixNS int64) error {
		return VerifyTimed(result, Relying{Directory: d, Subject: core, Audience: audience, NowUnixNS: nowUnixNS, Known: known}, timed)
	}
}

// vouchedResults is how many signatures of appraisers a beacon remembers.
const vouchedResults = 4096

func (r Relying) accepts(a Result) error {
	switch {
	case a.Status != StatusAffirming:
		return fmt.Errorf("%w: %s", ErrStatus, a.Status)
	case a.Subject.IsZero() || a.Subject != r.Subject:
		return fmt.Errorf("result: %w: %s, want %s", ErrSubject, a.Subject.Short(), r.Subject.Short())
	case a.Audience == "" || a.Audience != r.Audience:
		return fmt.Errorf("%w: %q, ours is %q", ErrAudience, clip(a.Audience), r.Audience)
	case r.Nonce != nil && a.Nonce != *r.Nonce:
		return fmt.Errorf("result: %w", ErrNonce)
	}
	if !r.anyCode {
		if err := r.Policy.allows(a.Platform, a.Measurement, a.TCB, a.Machine); err != nil {
			return fmt.Errorf("result: %w", err)
		}
	}
	if err := a.checkTimes(r.NowUnixNS); err != nil {
		return err
	}
	return heed(r.Revocations, r.NeedRevocations, a.withdrawable(), r.NowUnixNS)
}

func (a Result) checkTimes(now int64) error {
	switch {
	case a.IssuedUnixNS <= 0 || a.ExpiresUnixNS <= a.IssuedUnixNS || a.ExpiresUnixNS-a.IssuedUnixNS > int64(MaxResultTTL):
		return ErrResultTimes
	case a.IssuedUnixNS-int64(MaxClockSkew) > now:
		return ErrResultFuture
	case now >= a.ExpiresUnixNS:
		return fmt.Errorf("%w: %s ago", ErrResultExpired, time.Duration(now-a.ExpiresUnixNS))
	}
	return nil
}
