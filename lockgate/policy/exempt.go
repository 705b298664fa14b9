package policy

import (
	"encoding/hex"
	"fmt"
	"slices"
)

// Exemption is what a policy lets some core do beyond its rules, up to a day. It
// never stands against a revocation, and it lifts only what it names: nothing
// exempts from verdict, faults, attestation, age or the usage report.
type Exemption struct {
	Kind           Whose  `cbor:"1,keyasint"`           // what Name names
	Name           string `cbor:"2,keyasint"`           // an id in hexadecimal digits, or a tenant
	Permit         string `cbor:"3,keyasint,omitempty"` // a region that is permitted as well
	Lifts          []Lift `cbor:"4,keyasint,omitempty"` // rules that do not apply, ascending
	NotAfterUnixNS int64  `cbor:"5,keyasint"`           // when it ends, excluded
	Reason         string `cbor:"6,keyasint"`           // for people; must be given
}

// Whose says what an exemption's name is.
type Whose string

// The kinds of names.
const (
	OfCore   Whose = "core"
	OfChip   Whose = "chip"
	OfTenant Whose = "tenant"
)

// Lift is a rule that an exemption can lift.
type Lift string

// The rules that can be lifted.
const (
	LiftHours Lift = "hours" // the hours of the week
	LiftVeto  Lift = "veto"  // the estimate's veto
)

// maxExemptions bounds how many a policy may have.
const maxExemptions = 1024

// Subject is whom a request concerns, as the gate's books have it.
type Subject struct {
	Core, Chip [32]byte
	Tenant     string
}

// names says whether an exemption is about a subject. An empty name names nobody.
func (x Exemption) names(s Subject) bool {
	switch x.Kind {
	case OfCore:
		return x.Name == hex.EncodeToString(s.Core[:])
	case OfChip:
		return x.Name == hex.EncodeToString(s.Chip[:])
	case OfTenant:
		return x.Name != "" && x.Name == s.Tenant
	}
	return false
}

func (x Exemption) problem() string {
	switch b, err := hex.DecodeString(x.Name); {
	case x.Kind != OfCore && x.Kind != OfChip && x.Kind != OfTenant:
		return fmt.Sprintf("of %q: name a core, a chip or a tenant", x.Kind)
	case x.Kind == OfTenant && x.Name == "":
		return "of a tenant without a name"
	case x.Kind != OfTenant && (err != nil || len(b) != 32 || x.Name != hex.EncodeToString(b)):
		return fmt.Sprintf("of %s %q: write its 64 hexadecimal digits in lower case", x.Kind, x.Name)
	case x.Permit == "" && len(x.Lifts) == 0:
		return "exempts from nothing: give a region in permit, or rules in lifts"
	case x.NotAfterUnixNS <= 0:
		return "has no end: set until"
	case x.Reason == "":
		return "has no reason: write why, for those who read it later"
	}
	for i, l := range x.Lifts {
		if l != LiftHours && l != LiftVeto {
			return fmt.Sprintf("lifts %q: only hours and veto can be lifted", l)
		}
		if i > 0 && x.Lifts[i-1] >= l {
			return "lifts must ascend, each named once"
		}
	}
	return ""
}

// For is the policy as it stands for one subject at an instant: exemptions that
// name it and have not ended are worked in, and NotAfterUnixNS is when it stops
// standing so, because an exemption or the hours of today end. It has no
// exemptions any more. The policy itself keeps its hash: this one is for
// judging only.
func (p Policy) For(s Subject, nowUnixNS int64) Policy {
	out, until := p, int64(0)
	out.Exemptions = nil
	sooner := func(end int64) {
		if until == 0 || end < until {
			until = end
		}
	}
	for _, x := range p.Exemptions {
		if !x.names(s) || nowUnixNS >= x.NotAfterUnixNS || x.problem() != "" {
			continue
		}
		sooner(x.NotAfterUnixNS)
		if x.Permit != "" {
			out.Permit = fmt.Sprintf("(%s)+(%s)", out.Permit, x.Permit)
		}
		if slices.Contains(x.Lifts, LiftHours) {
			out.Hours = nil
		}
		if slices.Contains(x.Lifts, LiftVeto) {
			out.VetoPerMille = nil
		}
	}
	if end, ok := within(out.Hours, nowUnixNS); ok {
		sooner(end)
	}
	if until != 0 && p.NotAfterUnixNS != nil && until < *p.NotAfterUnixNS {
		out.NotAfterUnixNS = &until
	}
	return out
}
