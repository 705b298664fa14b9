package attest

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// ErrTwoMachines reports a core whose statements rest on evidence of different machines: the timed key would exist twice.
var ErrTwoMachines = errors.New("core attested on two machines within one proof")

// ErrTimedKey reports statements about a key that no attested process holds: whoever answered had the core's identity, not its machine.
var ErrTimedKey = errors.New("timed key is not the one that the core's machine attests")

// ProofResults is what the attestation results of a verified proof amount to.
type ProofResults struct {
	Core    Appraised                 // of the core's machine
	Beacons map[identity.ID]Appraised // of each beacon that stated something
}

// Simulated says whether any part rests on the simulated platform.
func (p ProofResults) Simulated() bool {
	if p.Core.Simulated() {
		return true
	}
	for _, b := range p.Beacons {
		if b.Simulated() {
			return true
		}
	}
	return false
}

// VerifyProof verifies every attestation result that a verified proof rests on: each beacon's against what its directory entry
// expects, the core's against the given policy, all for the audience and at now. Beside VerifyResult's errors, with the name of
// whom they concern: ErrTimedKey when the core's result does not name the timed key of the statements, and ErrTwoMachines.
func VerifyProof(v *statement.Verified, d *directory.Directory, core Policy, audience string, nowUnixNS int64) (ProofResults, error) {
	return VerifyProofAs(v, Relying{Directory: d, Policy: core, Audience: audience, NowUnixNS: nowUnixNS, Known: identity.NewRootCache(2 * statement.MaxResults)})
}

// VerifyProofAs is VerifyProof for a relying party that also holds a revocation list against every result, or remembers
// appraisers' signatures because it sees the same results in many proofs. The relying party's Policy is the core's; its Subject is
// not read.
func VerifyProofAs(v *statement.Verified, relying Relying) (ProofResults, error) {
	d, core := relying.Directory, relying.Policy
	if v == nil || d == nil || len(v.Facts) == 0 {
		return ProofResults{}, ErrWant
	}
	out := ProofResults{Beacons: make(map[identity.ID]Appraised, len(v.Facts))}
	var seen [32]byte // hash of the core's result in out
	for _, f := range v.Facts {
		entry, ok := d.Lookup(f.Beacon)
		if !ok {
			return ProofResults{}, fmt.Errorf("%w: beacon %s", statement.ErrUnknownBeacon, f.Beacon.Short())
		}
		relying.Subject, relying.Policy = f.Beacon, PolicyOf(entry)
		b, err := VerifyResult(v.Results[f.BeaconResult], relying)
		if err != nil {
			return ProofResults{}, fmt.Errorf("beacon %s: %w", f.Beacon.Short(), err)
		}
		out.Beacons[f.Beacon] = b
		if !out.Core.Valid() || f.CoreResult != seen { // most often all statements name the same result of the core
			relying.Subject, relying.Policy = v.Core.ID(), core
			c, err := VerifyResult(v.Results[f.CoreResult], relying)
			if err != nil {
				return ProofResults{}, fmt.Errorf("core %s: %w", v.Core.ID().Short(), err)
			}
			if out.Core.Valid() && c.result.Machine != out.Core.result.Machine {
				return ProofResults{}, ErrTwoMachines
			}
			out.Core, seen = c, f.CoreResult
		}
		if f.TimedKey.IsZero() || f.TimedKey != out.Core.result.TimedKey {
			return ProofResults{}, fmt.Errorf("%w: beacon %s", ErrTimedKey, f.Beacon.Short())
		}
	}
	return out, nil
}
