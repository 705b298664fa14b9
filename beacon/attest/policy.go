package attest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of genuine evidence, and of results, by policy.
var (
	ErrSim         = errors.New("simulated platform, and the policy does not name it")
	ErrPlatform    = errors.New("platform is not one the policy names")
	ErrMeasurement = errors.New("measurement is not one the policy names")
	ErrMachine     = errors.New("machine is not one the policy names")
	ErrTCB         = errors.New("security version is below the policy's minimum")
	ErrPolicy      = errors.New("attestation policy is not well formed")
)

// Policy names what may run: platform by platform, with the measurements of acceptable builds and the lowest security version.
// What it does not name is refused; the empty policy refuses everything.
type Policy struct {
	Accept []directory.Expectation
}

// PolicyOf is the policy for a beacon's evidence: what its directory entry expects.
func PolicyOf(b directory.Beacon) Policy { return Policy{Accept: b.Attest} }

// Hash identifies the policy in results. Order of platforms and measurements does not matter.
func (p Policy) Hash() ([32]byte, error) {
	list := slices.Clone(p.Accept)
	for i := range list {
		list[i].Measurements = slices.Clone(list[i].Measurements)
		slices.SortFunc(list[i].Measurements, bytes.Compare)
	}
	slices.SortFunc(list, func(a, b directory.Expectation) int { return bytes.Compare([]byte(a.Platform), []byte(b.Platform)) })
	for i := 1; i < len(list); i++ {
		if list[i-1].Platform == list[i].Platform {
			return [32]byte{}, fmt.Errorf("%w: %q is named twice", ErrPolicy, list[i].Platform)
		}
	}
	b, err := canon.Marshal(list)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return identity.Hash("attestation policy", b), nil
}

// allowsPlatform finds what the policy expects of the platform.
func (p Policy) allowsPlatform(platform Platform) (directory.Expectation, error) {
	for _, e := range p.Accept {
		if e.Platform == string(platform) {
			return e, nil
		}
	}
	if platform == Sim {
		return directory.Expectation{}, ErrSim
	}
	return directory.Expectation{}, fmt.Errorf("%w: %q", ErrPlatform, clip(string(platform)))
}

// allows judges platform, measurement, security version and, where the policy names any, the machine.
func (p Policy) allows(platform Platform, measurement []byte, tcb uint64, machine [32]byte) error {
	e, err := p.allowsPlatform(platform)
	if err != nil {
		return err
	}
	if len(measurement) == 0 || !slices.ContainsFunc(e.Measurements, func(m []byte) bool { return bytes.Equal(m, measurement) }) {
		return fmt.Errorf("%w: %x", ErrMeasurement, measurement[:min(len(measurement), 8)])
	}
	if !TCBAtLeast(platform, tcb, e.MinTCB) {
		return fmt.Errorf("%w: %s, want %s", ErrTCB, TCBText(platform, tcb), TCBText(platform, e.MinTCB))
	}
	if len(e.Machines) > 0 && !slices.Contains(e.Machines, machine) {
		return fmt.Errorf("%w: %x", ErrMachine, machine[:8])
	}
	return nil
}

// TCBAtLeast says whether a platform's security version reaches a minimum. The confidential machines number eight components,
// one byte each, and every one must reach its own minimum: as one integer, a new microcode would outweigh an old boot loader.
func TCBAtLeast(platform Platform, tcb, minimum uint64) bool {
	if !componentwise(platform) {
		return tcb >= minimum
	}
	for shift := 0; shift < 64; shift += 8 {
		if byte(tcb>>shift) < byte(minimum>>shift) {
			return false
		}
	}
	return true
}

func componentwise(p Platform) bool {
	host, _, _ := strings.Cut(string(p), "+")
	return Platform(host) == SEVSNP || Platform(host) == TDX
}

// TCBText writes a security version for people: components in hexadecimal, or one number.
func TCBText(platform Platform, tcb uint64) string {
	if componentwise(platform) {
		return fmt.Sprintf("%016x", tcb)
	}
	return fmt.Sprint(tcb)
}

// Times that hold everywhere.
const (
	MaxEvidenceAge = 5 * time.Minute // by the platform's clock, where it has one; the nonce is the real freshness
	MaxResultTTL   = time.Hour
	MaxClockSkew   = time.Minute
)

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
