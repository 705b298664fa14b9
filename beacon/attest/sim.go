package attest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of a report by its signature.
var (
	ErrWrongRoot       = errors.New("report is signed by an unknown root")
	ErrReportSignature = errors.New("report's signature does not verify")
	ErrRoots           = errors.New("simulated roots must be identities of role sim-root")
)

// maxReportSize bounds a simulated report in bytes.
const maxReportSize = 16 << 10

// simReport is the body of simulated evidence, inside an envelope of type "evidence" signed by a sim root.
type simReport struct {
	Version      uint64   `cbor:"1,keyasint"`
	ReportData   [32]byte `cbor:"2,keyasint"`
	Measurement  []byte   `cbor:"3,keyasint"`
	Debug        bool     `cbor:"4,keyasint"`
	Migratable   bool     `cbor:"5,keyasint"`
	TCB          uint64   `cbor:"6,keyasint"`
	Machine      [32]byte `cbor:"7,keyasint"`
	IssuedUnixNS int64    `cbor:"8,keyasint"`
}

// SimMachine is a simulated machine: an Attester that holds the root key which a real one would only chain to.
type SimMachine struct {
	Root        *identity.Private // of role sim-root
	Measurement []byte            // of the code that it pretends to run
	TCB         uint64
	Debug       bool
	Migratable  bool
	Machine     [32]byte
	NowUnixNS   func() int64 // the machine's clock
}

// Platform returns Sim.
func (m SimMachine) Platform() Platform { return Sim }

// Report signs a report over reportData.
func (m SimMachine) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	if m.NowUnixNS == nil {
		return nil, errors.New("simulated machine has no clock")
	}
	payload, err := canon.Marshal(simReport{Version, reportData, m.Measurement, m.Debug, m.Migratable, m.TCB, m.Machine, m.NowUnixNS()})
	if err != nil {
		return nil, err
	}
	e, err := identity.Seal(m.Root, identity.TypeEvidence, payload)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}

// SimVerifier verifies simulated reports against the given roots.
type SimVerifier struct {
	roots map[identity.ID]identity.Public
}

// NewSimVerifier returns a verifier that believes the given roots, each of role sim-root (ErrRoots).
func NewSimVerifier(roots ...identity.Public) (SimVerifier, error) {
	v := SimVerifier{make(map[identity.ID]identity.Public, len(roots))}
	for _, r := range roots {
		if r.Role() != identity.RoleSimRoot {
			return SimVerifier{}, fmt.Errorf("%w: %s", ErrRoots, r)
		}
		v.roots[r.ID()] = r
	}
	return v, nil
}

// SimVerifierOf believes the roots that a verified directory lists for the platform.
func SimVerifierOf(d *directory.Directory) (SimVerifier, error) {
	if !d.Verified() {
		return SimVerifier{}, directory.ErrUnverified
	}
	var roots []identity.Public
	for _, r := range d.AttestRoots {
		if r.Platform != string(Sim) {
			continue
		}
		root, err := identity.ParsePublic(r.Key)
		if err != nil {
			return SimVerifier{}, fmt.Errorf("%w: %w", ErrRoots, err)
		}
		roots = append(roots, root)
	}
	return NewSimVerifier(roots...)
}

// Platform returns Sim.
func (v SimVerifier) Platform() Platform { return Sim }

// Verify checks form, root and both halves of the signature: ErrEvidence, ErrWrongRoot, ErrReportSignature, ErrVersion.
func (v SimVerifier) Verify(body []byte, _ int64) (Claims, error) {
	e, err := identity.DecodeEnvelope(body, maxReportSize)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	root, ok := v.roots[e.Signer]
	if !ok {
		return Claims{}, fmt.Errorf("%w: %s", ErrWrongRoot, e.Signer.Short())
	}
	payload, err := e.Open(root, identity.TypeEvidence)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrReportSignature, err)
	}
	var r simReport
	if err := canon.Unmarshal(payload, &r, maxReportSize); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if r.Version != Version {
		return Claims{}, fmt.Errorf("report: %w %d, want %d", ErrVersion, r.Version, Version)
	}
	return Claims{ReportData: r.ReportData, Measurement: r.Measurement, Debug: r.Debug, Migratable: r.Migratable, TCB: r.TCB,
		Machine: r.Machine, IssuedUnixNS: r.IssuedUnixNS, HasClock: true}, nil
}
