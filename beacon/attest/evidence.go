package attest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Platform is a kind of machine that can attest.
type Platform string

// The platforms. Sim is simulated: the project's own root signs reports. It proves that the road works, nothing about hardware.
const (
	Sim    Platform = "sim"
	TPM    Platform = "tpm"     // TPM 2.0: package tpm
	SEVSNP Platform = "sev-snp" // AMD SEV-SNP: package snp
	TDX    Platform = "tdx"     // Intel TDX: package tdx
)

// Version is the version of the evidence and result formats.
const Version = 1

// MaxEvidenceSize is the largest encoded evidence in bytes.
const MaxEvidenceSize = 64 << 10

// The refusals of evidence by its form.
var (
	ErrEvidence = errors.New("not attestation evidence")
	ErrVersion  = errors.New("unknown version")
)

// Evidence is what an attester presents: a claim. What it is bound to stands beside the body so that a refusal can say what differs;
// the body's report data binds them.
type Evidence struct {
	Version  uint64      `cbor:"1,keyasint"`
	Platform Platform    `cbor:"2,keyasint"`
	Subject  identity.ID `cbor:"3,keyasint"` // whose machine this is
	Nonce    [32]byte    `cbor:"4,keyasint"` // of the side that will rely on it
	Body     []byte      `cbor:"5,keyasint"` // the platform's own format
	// TimedKey names the key that a core drew when it started, and that only this process holds; zero for who has none, as beacons.
	TimedKey identity.TimedKeyID `cbor:"6,keyasint"`
}

// Binding is what evidence is about: whose machine, for whom it is fresh, and a core's timed key.
type Binding struct {
	Subject  identity.ID
	TimedKey identity.TimedKeyID // zero: the subject has none
	Nonce    [32]byte            // of the side that will rely on it
}

// ReportData is what a platform puts into its report. Platforms with longer fields append zeros.
func (b Binding) ReportData() [32]byte {
	return identity.Hash("report data", b.Subject[:], b.TimedKey[:], b.Nonce[:])
}

// Attester makes the body of evidence on its own machine.
type Attester interface {
	Platform() Platform
	// Report returns the platform's signed report over reportData.
	Report(ctx context.Context, reportData [32]byte) ([]byte, error)
}

// Binding is what the evidence says that it is bound to.
func (e Evidence) Binding() Binding { return Binding{e.Subject, e.TimedKey, e.Nonce} }

// Collect asks the machine for evidence about what it shall be bound to, and encodes it.
func Collect(ctx context.Context, a Attester, b Binding) ([]byte, error) {
	body, err := a.Report(ctx, b.ReportData())
	if err != nil {
		return nil, fmt.Errorf("collecting %s evidence: %w", a.Platform(), err)
	}
	return EncodeEvidence(Evidence{Version: Version, Platform: a.Platform(), Subject: b.Subject, TimedKey: b.TimedKey, Nonce: b.Nonce, Body: body})
}

// EncodeEvidence writes evidence that was put together otherwise, for example from a report that another program asked for.
func EncodeEvidence(e Evidence) ([]byte, error) {
	b, err := canon.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEvidenceSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEvidence, len(b), MaxEvidenceSize)
	}
	return b, nil
}

// DecodeEvidence reads what Collect wrote: a claim.
func DecodeEvidence(data []byte) (Evidence, error) {
	var e Evidence
	if err := canon.Unmarshal(data, &e, MaxEvidenceSize); err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if e.Version != Version {
		return Evidence{}, fmt.Errorf("evidence: %w %d, want %d", ErrVersion, e.Version, Version)
	}
	return e, nil
}

// Claims is what a platform's verifier read from a report whose signatures and chains it verified. The report is then genuine;
// whether it is acceptable is for the rules of Appraise.
type Claims struct {
	ReportData    [32]byte
	Measurement   []byte   // of the code that runs
	Configuration [32]byte // hash of the Configuration that was measured beside the code; zero where there is none
	Debug         bool     // the owner of the machine can look inside
	Migratable    bool     // the environment can be moved to another machine
	TCB           uint64   // security version, the lowest of those reported and committed; compared as TCBAtLeast does
	Machine       [32]byte // names the machine: a hash of its chip or endorsement id
	IssuedUnixNS  int64    // when the report was made; 0 only for platforms without a clock
	HasClock      bool     // IssuedUnixNS means something
	// Credentials are what the report's signature rests upon: Credential of the attestation key and of each certificate below the
	// root. A revocation list may name any of them.
	Credentials [][32]byte
	// Key is the credential of the attestation key, where the platform has one that other evidence can vouch for; zero where not.
	Key [32]byte
}

// Credential names a certificate by its DER form, or an attestation key by its public area.
func Credential(encoded []byte) [32]byte { return sha256.Sum256(encoded) }

// Verifier checks the reports of one platform: signatures, chains, revocations, form. It makes no policy decision.
type Verifier interface {
	Platform() Platform
	// Verify returns what a genuine report says. ErrEvidence, ErrWrongRoot, ErrReportSignature or errors of the platform's own.
	Verify(body []byte, nowUnixNS int64) (Claims, error)
}
