package attest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// ErrNotLinked reports two kinds of evidence that do not vouch for each other: they may be of two machines.
var ErrNotLinked = errors.New("two kinds of evidence are not about one machine: neither names the other as it is")

// KeyAttester is an attester whose attestation key other evidence can vouch for, such as a TPM inside a confidential machine.
type KeyAttester interface {
	Attester
	// Credential names the attestation key, as Claims.Key will.
	Credential() ([32]byte, error)
}

// LinkedPlatform is the platform of a confidential machine with a TPM inside: "sev-snp+tpm".
func LinkedPlatform(host, guest Platform) Platform { return host + "+" + guest }

// LinkedMeasurement is what policies name for linked evidence: both measurements, the guest's with its configuration.
func LinkedMeasurement(host, guest []byte) []byte {
	h := identity.Hash("linked measurement", host, guest)
	return h[:]
}

// LinkedMachine names a pair of machines. A core enrolled under it, or a directory entry that names it, takes no other pair: a TPM of
// one machine and a report of another make another name.
func LinkedMachine(host, guest [32]byte) [32]byte {
	return identity.Hash("linked machine", host[:], guest[:])
}

// Linked attests by two kinds of evidence at once that are tied to each other:
//
//	host   a confidential machine's report over Hash("linked host", report data, the guest's attestation key)
//	guest  a TPM's quote over Hash("linked guest", report data, the host's whole report)
//
// The measured code in the host vouches for the key of the TPM that it uses, and that TPM's quote names the very report. Who mixes the
// report of one machine with the quote of another has a pair in which one of them names something else.
type Linked struct {
	Host  Attester
	Guest KeyAttester
}

// LinkedBody is the evidence of a pair: a claim.
type LinkedBody struct {
	Version    uint64   `cbor:"1,keyasint"`
	ReportData [32]byte `cbor:"2,keyasint"`
	Host       []byte   `cbor:"3,keyasint"`
	Guest      []byte   `cbor:"4,keyasint"`
}

func linkHost(reportData, credential [32]byte) [32]byte {
	return identity.Hash("linked host", reportData[:], credential[:])
}

func linkGuest(reportData [32]byte, host []byte) [32]byte {
	return identity.Hash("linked guest", reportData[:], host)
}

// Platform returns both names, such as "sev-snp+tpm".
func (l Linked) Platform() Platform { return LinkedPlatform(l.Host.Platform(), l.Guest.Platform()) }

// Report collects both kinds of evidence.
func (l Linked) Report(ctx context.Context, reportData [32]byte) ([]byte, error) {
	credential, err := l.Guest.Credential()
	if err != nil {
		return nil, err
	}
	b := LinkedBody{Version: Version, ReportData: reportData}
	if b.Host, err = l.Host.Report(ctx, linkHost(reportData, credential)); err != nil {
		return nil, err
	}
	if b.Guest, err = l.Guest.Report(ctx, linkGuest(reportData, b.Host)); err != nil {
		return nil, err
	}
	return canon.Marshal(b)
}

// LinkedVerifier verifies pairs. Safe for concurrent use if both verifiers are.
type LinkedVerifier struct{ Host, Guest Verifier }

// Platform returns both names.
func (v LinkedVerifier) Platform() Platform {
	return LinkedPlatform(v.Host.Platform(), v.Guest.Platform())
}

// Verify checks form (ErrEvidence, ErrVersion), each half by its own verifier, and that each names the other (ErrNotLinked). The claims
// are those of the pair: debug and migratable if either is, the host's security version, the guest's measured configuration.
func (v LinkedVerifier) Verify(body []byte, nowUnixNS int64) (Claims, error) {
	var b LinkedBody
	if err := canon.Unmarshal(body, &b, MaxEvidenceSize); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if b.Version != Version {
		return Claims{}, fmt.Errorf("linked evidence: %w %d, want %d", ErrVersion, b.Version, Version)
	}
	host, err := v.Host.Verify(b.Host, nowUnixNS)
	if err != nil {
		return Claims{}, fmt.Errorf("%s: %w", v.Host.Platform(), err)
	}
	guest, err := v.Guest.Verify(b.Guest, nowUnixNS)
	if err != nil {
		return Claims{}, fmt.Errorf("%s: %w", v.Guest.Platform(), err)
	}
	if guest.Key == ([32]byte{}) || host.ReportData != linkHost(b.ReportData, guest.Key) {
		return Claims{}, fmt.Errorf("%w: the %s report vouches for another key", ErrNotLinked, v.Host.Platform())
	}
	if guest.ReportData != linkGuest(b.ReportData, b.Host) {
		return Claims{}, fmt.Errorf("%w: the %s quote names another report", ErrNotLinked, v.Guest.Platform())
	}
	out := Claims{ReportData: b.ReportData, Measurement: LinkedMeasurement(host.Measurement, guest.Measurement), Configuration: guest.Configuration,
		Debug: host.Debug || guest.Debug, Migratable: host.Migratable || guest.Migratable, TCB: host.TCB,
		Machine:     LinkedMachine(host.Machine, guest.Machine),
		Credentials: append(append([][32]byte{}, host.Credentials...), guest.Credentials...)}
	if host.HasClock {
		out.HasClock, out.IssuedUnixNS = true, host.IssuedUnixNS
	}
	return out, nil
}
