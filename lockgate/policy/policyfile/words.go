package policyfile

import (
	"fmt"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Words tells a policy in sentences, one a line: what it permits, to whom, and
// what a core has to show. km2 is the area of its region.
func Words(p policy.Policy, km2 float64) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%q, version %d, permits %s (%.0f km²).", p.Name, p.Version, p.Permit, km2)
	line("In force from %s until %s%s.", at(p.NotBeforeUnixNS), at(p.NotAfterUnixNS), weekWords(p.Hours))
	line("A core counts as inside if at most %s of the beacon domains lie and no signal is faster than in %s; %s.", show(p.F, plain), p.Speed, timingWords(p.Timing))
	line("At least %s beacons of %s domains must have answered a challenge that is at most %s old; meanwhile the core may have moved at %s.",
		show(p.MinStatements, plain), show(p.MinDomains, plain), show(p.MaxAgeMS, ms), show(p.VMaxMMPS, mmps))
	line("It must be attested, in constellation %s, as: %s.", p.Audience, profiles(p.Attest))
	if p.VetoPerMille != nil {
		line("The estimate may deny: when it puts %s or more where nothing is permitted, or when there is none. It never permits.", veto(p.VetoPerMille))
	}
	line("A lease is of %s units (ms of CPU time) at most, lives %s at most, and the core stops within %s of it.", show(p.MaxUnits, plain), show(p.LeaseTTLMS, ms), show(p.TOffMS, ms))
	line("%s", schemeWords(p))
	for _, s := range budgetWords(p) {
		line("%s", s)
	}
	for _, x := range p.Exemptions {
		line("Exempt: %s, until %s: %s.", exemption(x), at(&x.NotAfterUnixNS), x.Reason)
	}
	line("Everything else is denied, and so is whatever is not known.")
	return b.String()
}

func weekWords(list []policy.Hours) string {
	if len(list) == 0 {
		return ""
	}
	return ", on " + week(list) + " (UTC)"
}

func timingWords(t policy.Timing) string {
	if t == policy.TimingBeacon {
		return "bounds rest on the beacons' clocks alone"
	}
	return "of the beacon's and the core's clock the longer time counts"
}

func schemeWords(p policy.Policy) string {
	s := "Units are debited at the grant"
	if p.Scheme.Burns() {
		s = "Units are burnt in the ledger before they are asked for"
	}
	if p.Scheme.Steps() {
		s += fmt.Sprintf(", and a lease is opened key by key, %s units at a time", show(p.StepUnits, plain))
	} else {
		s += ", and a lease is opened at once"
	}
	if n := p.PerMille; n != nil {
		s += fmt.Sprintf("; the core runs at %s of its speed", veto(n))
	}
	return s + "."
}

// AreaKM2 is the area that a policy permits to everybody.
func AreaKM2(p policy.Policy) (float64, error) {
	r, err := atlas.Parse(p.Permit, atlas.Options{})
	if err != nil {
		return 0, fmt.Errorf("permit: %w", err)
	}
	return r.AreaKM2(), nil
}
