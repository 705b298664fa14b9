// Package policy says when a gate may release: a policy is data, its evaluation
// is total and knows three answers, and only TRUE releases.
//
// What it believes: nothing that is not there. A field that a policy lacks makes
// every rule that needs it UNKNOWN, and so does a fact that the gate does not
// have; UNKNOWN denies exactly as FALSE does, but says so. Zero is a value (no
// faulty domain is tolerated), absence is not.
//
// What it promises: [Evaluate] reads no clock and no file, looks at every rule
// whatever the others said, and answers the same for the same policy and facts.
// Adding delay, age, faults or uncertainty to the facts never turns its answer
// into TRUE.
//
// What an attacker may do: send any bytes as a policy, sign with too few
// authors, bring an older version back.
//
// The region itself is judged in package verdict; here its verdict is one fact
// among others.
package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Timing says which side's clock a bound is taken from.
type Timing string

// The timings.
const (
	TimingBoth   Timing = "both"   // the larger of the beacon's and the core's
	TimingBeacon Timing = "beacon" // the beacon's; a tampered beacon counts against f
)

// Scheme says what pays for a lease and how it is opened.
type Scheme string

// The schemes. They differ in two things: whether units must be burnt before they
// are asked for, and whether a lease is opened at once or key by key.
const (
	SchemeLease    Scheme = "lease"    // debited at the grant, opened at once
	SchemeKeys     Scheme = "keys"     // debited at the grant, opened in steps
	SchemeBurn     Scheme = "burn"     // burnt before, opened at once
	SchemeCombined Scheme = "combined" // burnt before, opened in steps
)

// Burns says whether units must be burnt before they are asked for.
func (s Scheme) Burns() bool { return s == SchemeBurn || s == SchemeCombined }

// Steps says whether leases are opened key by key.
func (s Scheme) Steps() bool { return s == SchemeKeys || s == SchemeCombined }

// Policy is one rule set, in canonical CBOR. Every pointer may be absent; what
// is absent denies.
type Policy struct {
	Name            string                  `cbor:"1,keyasint"`            // for people
	Version         uint64                  `cbor:"2,keyasint"`            // strictly increasing; 0 is no version
	Permit          string                  `cbor:"3,keyasint,omitempty"`  // permitted region, an expression over the atlas
	Speed           string                  `cbor:"4,keyasint,omitempty"`  // vacuum or fibre
	F               *uint64                 `cbor:"5,keyasint,omitempty"`  // faulty domains tolerated
	MinDomains      *uint64                 `cbor:"6,keyasint,omitempty"`  // distinct domains that must have answered
	MinStatements   *uint64                 `cbor:"7,keyasint,omitempty"`  // statements that must have answered
	MaxAgeMS        *uint64                 `cbor:"8,keyasint,omitempty"`  // oldest challenge that still counts
	VMaxMMPS        *uint64                 `cbor:"9,keyasint,omitempty"`  // fastest that a core may travel, millimetres per second
	Timing          Timing                  `cbor:"10,keyasint,omitempty"` // both or beacon
	Attest          []directory.Expectation `cbor:"11,keyasint,omitempty"` // attestation profiles accepted, ascending by platform
	MaxUnits        *uint64                 `cbor:"12,keyasint,omitempty"` // most units in one lease
	TOffMS          *uint64                 `cbor:"13,keyasint,omitempty"` // a core stops within this of its last lease
	LeaseTTLMS      *uint64                 `cbor:"14,keyasint,omitempty"` // longest life of a lease
	NotBeforeUnixNS *int64                  `cbor:"15,keyasint,omitempty"` // time window: from
	NotAfterUnixNS  *int64                  `cbor:"16,keyasint,omitempty"` // time window: to (excluded)
	PerMille        *uint64                 `cbor:"17,keyasint,omitempty"` // speed granted in thousandths; absent: full
	Audience        string                  `cbor:"18,keyasint,omitempty"` // the constellation whose attestation results count
	StepUnits       *uint64                 `cbor:"19,keyasint,omitempty"` // units that one key opens, at least; absent: a lease is opened at once
	Scheme          Scheme                  `cbor:"20,keyasint,omitempty"` // absent: lease, or keys when there are step units
	Hours           []Hours                 `cbor:"21,keyasint,omitempty"` // hours of the week; absent: all
	VetoPerMille    *uint64                 `cbor:"22,keyasint,omitempty"` // deny when the estimate puts so many thousandths outside; absent: no veto
	Exemptions      []Exemption             `cbor:"23,keyasint,omitempty"` // who may do more, and until when
	Budgets         []Budget                `cbor:"24,keyasint,omitempty"` // of tenant, policy and fleet, ascending; absent: only the chips' wallets bound
}

// Steps is in how many steps a lease of so many units is opened.
func (p Policy) Steps(units lock.Units) uint32 {
	if p.StepUnits == nil || *p.StepUnits == 0 {
		return 1
	}
	n := uint64(units) / *p.StepUnits
	return uint32(min(max(n, 1), lock.MaxSteps))
}

// MaxSize is the most bytes that an encoded policy may have.
const MaxSize = 64 << 10

// Refusals that concern the policy as such.
var (
	ErrEncoding = errors.New("policy: not a policy")
	ErrInvalid  = errors.New("policy: invalid")
	ErrVersion  = errors.New("policy: the version does not go up")
)

// Encode is the canonical encoding, the one that is hashed and signed.
func (p Policy) Encode() ([]byte, error) {
	b, err := canon.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote. It does not validate: a policy that lacks
// fields is well formed, and denies.
func Decode(b []byte) (Policy, error) {
	var p Policy
	if err := canon.Unmarshal(b, &p, MaxSize); err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return p, nil
}

// Hash names a policy in challenges, leases and the ledger.
func (p Policy) Hash() ([32]byte, error) {
	b, err := p.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return identity.Hash("policy", b), nil
}

// Sane limits: what lies outside is a mistake, and would be a dangerous one.
const (
	maxF         = region.MaxFaulty
	maxAgeMS     = 24 * 3600 * 1000
	maxVMaxMMPS  = 12_000_000 // above escape velocity there is nothing to locate
	maxLeaseMS   = 24 * 3600 * 1000
	maxTOffMS    = 24 * 3600 * 1000
	maxMinCount  = 1 << 16
	fullPerMille = 1000
)

// Validate lists everything that is wrong with a policy, each as one line that
// says what would be right; empty for a policy that can release. An absent
// field is listed, since such a policy denies always.
func (p Policy) Validate() []error {
	var out []error
	bad := func(format string, args ...any) {
		out = append(out, fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...)))
	}
	if p.Name == "" {
		bad("name is empty: give it one")
	}
	if p.Version == 0 {
		bad("version is 0: the first is 1")
	}
	if p.Permit == "" {
		bad("permit is empty: name a region, such as DE or EU27")
	}
	if _, err := earth.ParseSpeedClass(p.Speed); err != nil {
		bad("speed: %v", err)
	}
	if p.Timing != TimingBoth && p.Timing != TimingBeacon {
		bad("timing %q: use both or beacon", p.Timing)
	}
	if len(p.Attest) == 0 {
		bad("attest is empty: name the attestation profiles accepted, such as sim, tpm, sev-snp, tdx")
	}
	for i, a := range p.Attest {
		if a.Platform == "" || len(a.Measurements) == 0 {
			bad("attest entry %d: name the platform and at least one measurement", i+1)
		}
		if i > 0 && p.Attest[i-1].Platform >= a.Platform {
			bad("attest entry %d: platforms must ascend, each named once", i+1)
		}
		for j := 1; j < len(a.Machines); j++ {
			if bytes.Compare(a.Machines[j-1][:], a.Machines[j][:]) >= 0 {
				bad("attest entry %d: machines must ascend, each named once", i+1)
				break
			}
		}
	}
	if p.Audience == "" {
		bad("audience is empty: name the constellation whose attestation results count")
	}
	p.numbers(bad)
	p.scheme(bad)
	if p.VetoPerMille != nil && (*p.VetoPerMille == 0 || *p.VetoPerMille > fullPerMille) {
		bad("veto_outside is %d thousandths: set it to 1..%d", *p.VetoPerMille, fullPerMille)
	}
	if len(p.Hours) > maxHours || len(p.Exemptions) > maxExemptions {
		bad("hours and exemptions: at most %d and %d entries", maxHours, maxExemptions)
	}
	for i, h := range p.Hours {
		if !h.valid() {
			bad("hours entry %d: name days, and a time of the day that ends after it begins", i+1)
		}
	}
	for i, x := range p.Exemptions {
		if problem := x.problem(); problem != "" {
			bad("exemptions entry %d: %s", i+1, problem)
		}
	}
	if problem := p.budgetProblem(); problem != "" {
		bad("%s", problem)
	}
	switch {
	case p.NotBeforeUnixNS == nil || p.NotAfterUnixNS == nil:
		bad("the time window is open: set not_before and not_after")
	case *p.NotAfterUnixNS <= *p.NotBeforeUnixNS:
		bad("the time window is empty: not_after must be later than not_before")
	}
	return out
}

// numbers says what is wrong with the fields that count something.
func (p Policy) numbers(bad func(format string, args ...any)) {
	for _, c := range []struct {
		name     string
		v        *uint64
		min, max uint64
	}{
		{"f", p.F, 0, maxF},
		{"min_domains", p.MinDomains, 1, maxMinCount},
		{"min_statements", p.MinStatements, 1, maxMinCount},
		{"max_age_ms", p.MaxAgeMS, 1, maxAgeMS},
		{"v_max_mm_per_s", p.VMaxMMPS, 1, maxVMaxMMPS},
		{"max_units", p.MaxUnits, 1, 1<<63 - 1},
		{"t_off_ms", p.TOffMS, 1, maxTOffMS},
		{"lease_ttl_ms", p.LeaseTTLMS, 1, maxLeaseMS},
	} {
		switch {
		case c.v == nil:
			bad("%s is absent: set it to %d..%d", c.name, c.min, c.max)
		case *c.v < c.min || *c.v > c.max:
			bad("%s is %d: set it to %d..%d", c.name, *c.v, c.min, c.max)
		}
	}
	if p.F != nil && p.MinDomains != nil && *p.F <= maxF && *p.MinDomains < 2**p.F+1 {
		bad("min_domains is %d with f %d: at least 2f+1 domains must answer, which is %d", *p.MinDomains, *p.F, 2**p.F+1)
	}
	if p.PerMille != nil && (*p.PerMille == 0 || *p.PerMille > fullPerMille) {
		bad("per_mille is %d: set it to 1..%d", *p.PerMille, fullPerMille)
	}
}

// scheme says what is wrong with how leases are opened.
func (p Policy) scheme(bad func(format string, args ...any)) {
	switch p.Scheme {
	case SchemeLease, SchemeKeys, SchemeBurn, SchemeCombined:
		if p.Scheme.Steps() && p.StepUnits == nil {
			bad("step_units is absent: scheme %s opens leases in steps", p.Scheme)
		}
		if !p.Scheme.Steps() && p.StepUnits != nil {
			bad("step_units is set: scheme %s opens leases at once; use keys or combined", p.Scheme)
		}
	case "":
	default:
		bad("scheme %q: use lease, keys, burn or combined", p.Scheme)
	}
	if p.StepUnits != nil && (*p.StepUnits == 0 || *p.StepUnits > 1<<62) {
		bad("step_units is %d: set it to at least 1", *p.StepUnits)
	}
}

// Class is the class of lease that the policy grants, with its fraction.
func (p Policy) Class() (lock.Class, uint16) {
	if p.PerMille == nil || *p.PerMille >= fullPerMille {
		return lock.Full, fullPerMille
	}
	return lock.Degraded, uint16(*p.PerMille)
}

// Succeeds refuses a policy that does not come after the one in force.
func (p Policy) Succeeds(inForce Policy) error {
	if p.Version <= inForce.Version {
		return fmt.Errorf("%w: %d after %d", ErrVersion, p.Version, inForce.Version)
	}
	return nil
}
