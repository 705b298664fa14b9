package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Answer is one of three. The zero value is Unknown.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	False
	True
)

// String names the answer.
func (a Answer) String() string {
	switch a {
	case True:
		return "true"
	case False:
		return "false"
	}
	return "unknown"
}

// And is Kleene's: one FALSE decides, then one UNKNOWN.
func (a Answer) And(b Answer) Answer {
	switch {
	case a == False || b == False:
		return False
	case a == Unknown || b == Unknown:
		return Unknown
	}
	return True
}

func when(ok bool) Answer {
	if ok {
		return True
	}
	return False
}

// Facts are what a gate knows of one request. A nil pointer and an empty text
// mean that it is not known.
type Facts struct {
	NowUnixNS  *int64  // the gate's clock
	Verdict    string  // of the locator: Inside, Outside, Undetermined, Inconsistent
	Statements *uint64 // verified statements
	Domains    *uint64 // distinct domains among them
	AgeMS      *uint64 // since the gate issued the challenge, on the gate's own clock
	Platform   string  // attestation profile of the core, as appraised
	WantUnits  *uint64 // what the core asked for, after clipping
	ReportOK   *bool   // the usage report for the last lease came, and adds up

	// OutsidePerMille is how likely the estimate finds it that the core stands
	// where nothing is permitted, in thousandths. Only a veto asks for it.
	OutsidePerMille *uint64
}

// Check is the answer of one rule, with the reason for people.
type Check struct {
	Rule   string
	Answer Answer
	Why    string
}

// Outcome is the answer of a policy: the conjunction of all its rules.
type Outcome struct {
	Answer Answer
	Checks []Check
}

// Refusal is the first rule that did not say TRUE, and why; false when all did.
func (o Outcome) Refusal() (Check, bool) {
	for _, c := range o.Checks {
		if c.Answer == False {
			return c, true
		}
	}
	for _, c := range o.Checks {
		if c.Answer != True {
			return c, true
		}
	}
	return Check{}, o.Answer != True
}

// The names of the rules, in the order they are told.
const (
	RuleValid      = "policy-valid"
	RuleWindow     = "policy-window"
	RuleHours      = "policy-hours"
	RulePlatform   = "policy-platform"
	RuleAge        = "policy-age"
	RuleStatements = "policy-statements"
	RuleDomains    = "policy-domains"
	RuleVerdict    = "verdict"
	RuleVeto       = "estimate-veto"
	RuleUnits      = "policy-units"
	RuleReport     = "usage-report"
)

// rules is the whole policy language of this version, one line a rule.
var rules = []struct {
	name string
	eval func(Policy, Facts) (Answer, string)
}{
	{RuleValid, valid},
	{RuleWindow, window},
	{RuleHours, hours},
	{RulePlatform, platform},
	{RuleAge, func(p Policy, f Facts) (Answer, string) { return atMost("age in ms", f.AgeMS, p.MaxAgeMS) }},
	{RuleStatements, func(p Policy, f Facts) (Answer, string) { return atLeast("statements", f.Statements, p.MinStatements) }},
	{RuleDomains, func(p Policy, f Facts) (Answer, string) { return atLeast("domains", f.Domains, p.MinDomains) }},
	{RuleVerdict, verdict},
	{RuleVeto, veto},
	{RuleUnits, units},
	{RuleReport, report},
}

// Evaluate asks every rule. Only an Outcome whose Answer is True releases.
func Evaluate(p Policy, f Facts) Outcome {
	out := Outcome{Answer: True}
	for _, r := range rules {
		a, why := r.eval(p, f)
		out.Answer = out.Answer.And(a)
		out.Checks = append(out.Checks, Check{Rule: r.name, Answer: a, Why: why})
	}
	return out
}

func valid(p Policy, _ Facts) (Answer, string) {
	if problems := p.Validate(); len(problems) > 0 {
		return Unknown, problems[0].Error()
	}
	return True, fmt.Sprintf("policy %q version %d is complete", p.Name, p.Version)
}

func window(p Policy, f Facts) (Answer, string) {
	if f.NowUnixNS == nil || p.NotBeforeUnixNS == nil || p.NotAfterUnixNS == nil {
		return Unknown, "the time or the policy's window is not known"
	}
	if *f.NowUnixNS < *p.NotBeforeUnixNS {
		return False, "the policy is not in force yet"
	}
	return when(*f.NowUnixNS < *p.NotAfterUnixNS), "the policy's window"
}

func hours(p Policy, f Facts) (Answer, string) {
	if len(p.Hours) == 0 {
		return True, "at any hour"
	}
	words := make([]string, len(p.Hours))
	for i, h := range p.Hours {
		words[i] = h.String()
	}
	if f.NowUnixNS == nil {
		return Unknown, "the time is not known; the hours are " + strings.Join(words, "; ")
	}
	_, in := within(p.Hours, *f.NowUnixNS)
	return when(in), "hours (UTC): " + strings.Join(words, "; ")
}

// veto: the estimate may only deny. Where no veto is asked for it is not looked
// at; where one is, an estimate that is missing denies as well, or an attacker
// would see to it that it is missing.
func veto(p Policy, f Facts) (Answer, string) {
	if p.VetoPerMille == nil {
		return True, "no veto on the estimate"
	}
	if f.OutsidePerMille == nil {
		return Unknown, "the policy lets the estimate veto, and there is no estimate"
	}
	return when(*f.OutsidePerMille < *p.VetoPerMille), fmt.Sprintf("the estimate puts %s where nothing is permitted; vetoed at %s", percent(*f.OutsidePerMille), percent(*p.VetoPerMille))
}

func percent(perMille uint64) string { return fmt.Sprintf("%g %%", float64(perMille)/10) }

func platform(p Policy, f Facts) (Answer, string) {
	if f.Platform == "" || len(p.Attest) == 0 {
		return Unknown, "the core's attestation profile, or the list accepted, is not known"
	}
	names := make([]string, len(p.Attest))
	for i, a := range p.Attest {
		names[i] = a.Platform
	}
	return when(slices.Contains(names, f.Platform)), fmt.Sprintf("attestation profile %s; accepted: %s", f.Platform, strings.Join(names, ", "))
}

func verdict(_ Policy, f Facts) (Answer, string) {
	switch f.Verdict {
	case "":
		return Unknown, "there is no verdict"
	case "Inside":
		return True, "the core is inside the permitted region"
	case "Undetermined":
		return Unknown, "the evidence does not settle whether the core is inside"
	}
	return False, "the verdict is " + f.Verdict
}

func units(p Policy, f Facts) (Answer, string) {
	if f.WantUnits == nil || p.MaxUnits == nil {
		return Unknown, "the units asked for, or the most in one lease, are not known"
	}
	return when(*f.WantUnits > 0 && *f.WantUnits <= *p.MaxUnits), fmt.Sprintf("%d units, 1..%d in one lease", *f.WantUnits, *p.MaxUnits)
}

func report(_ Policy, f Facts) (Answer, string) {
	if f.ReportOK == nil {
		return Unknown, "no usage report for the last lease"
	}
	return when(*f.ReportOK), "usage report for the last lease"
}

func atMost(what string, have, limit *uint64) (Answer, string) {
	if have == nil || limit == nil {
		return Unknown, what + ": not known"
	}
	return when(*have <= *limit), fmt.Sprintf("%s %d, at most %d", what, *have, *limit)
}

func atLeast(what string, have, limit *uint64) (Answer, string) {
	if have == nil || limit == nil {
		return Unknown, what + ": not known"
	}
	return when(*have >= *limit), fmt.Sprintf("%s %d, at least %d", what, *have, *limit)
}
