package policyfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Check is Parse and more: every region must mean something to the atlas, too. The
// returned one is what the policy permits to everybody.
func Check(name string, text []byte) (f File, region *atlas.Region, err error) {
	f, problems := parse(name, text)
	for _, at := range f.permits {
		r, err := atlas.Parse(at.expr, atlas.Options{})
		if err != nil {
			problems = append(problems, at.problem(name, err))
		}
		if at.expr == f.Policy.Permit {
			region = r
		}
	}
	if len(problems) > 0 {
		return File{}, nil, errors.Join(append([]error{ErrFile}, problems...)...)
	}
	return f, region, nil
}

// problem points at the character of the expression that is wrong.
func (at permitAt) problem(file string, err error) *Problem {
	p := &Problem{File: file, Line: at.line, Column: at.column, Text: "permit: " + err.Error()}
	var s *atlas.SyntaxError
	if errors.As(err, &s) && at.inline {
		p.Column += s.Column - 1
		p.Text = "permit: " + s.What
	}
	return p
}

// Decision is what a policy would make of the evidence of an earlier decision.
type Decision struct {
	Granted   bool
	RefusedBy string // short name of the check; empty when granted
	Reason    string
	Units     uint64 // that would be released
	Finding   grant.Finding
}

// Explain makes the decision of a file of evidence again, under another policy:
// what would the gate have said, had this one been in force? The evidence itself
// is verified first, under its own policy.
func Explain(p policy.Policy, file []byte, o evidence.Options) (Decision, error) {
	r, err := evidence.Verify(file, o)
	if err != nil {
		return Decision{}, err
	}
	b := r.Bundle
	p = p.For(grant.Subject(b.Known()), b.Decision.DecidedUnixNS)
	area, _, err := grant.Permit(r.Revoked.Permit(p.Permit))
	if err != nil {
		return Decision{}, err
	}
	x, err := statement.Expecting(b.Request.Proof, r.Directory, b.Decision.DecidedUnixNS)
	if err != nil {
		return Decision{}, err
	}
	f := grant.Decide(grant.Case{Request: b.Asked(), Account: b.Known(), Expect: x, Policy: p, Permit: area,
		Touching: atlas.CountriesTouching, Doubt: b.Decision.Doubt, Age: b.Decision.Age(), Available: b.Available(), Drawn: b.Drawn(), Revoked: r.Revoked})
	d := Decision{Granted: f.RefusedBy == "", RefusedBy: f.RefusedBy, Reason: f.Reason, Finding: f}
	if d.Granted {
		d.Units = uint64(f.Units)
	}
	return d, nil
}

// Text tells the decision rule by rule, then the verdict beacon by beacon.
func (d Decision) Text() string {
	var b strings.Builder
	if d.Granted {
		fmt.Fprintf(&b, "granted: %d units\n", d.Units)
	} else {
		fmt.Fprintf(&b, "refused by %s: %s\n", d.RefusedBy, d.Reason)
	}
	for _, c := range d.Finding.Outcome.Checks {
		fmt.Fprintf(&b, "  %-8s %-18s %s\n", c.Answer, c.Rule, c.Why)
	}
	if d.Finding.Judged {
		fmt.Fprintf(&b, "\n%s", d.Finding.Verdict.Text())
	}
	return b.String()
}

// ErrExample is an example whose decision is not the expected one.
var ErrExample = errors.New("policy example fails")

// ErrProof is an example whose proof cannot be read or does not verify.
var ErrProof = errors.New("policy example has no good proof")

// Outcome is an example with what the policy makes of it.
type Outcome struct {
	Example  Example
	Decision Decision
	Err      error // of ErrExample or ErrProof; nil: as expected
}

// Run makes the decision of every example and compares. read reads a proof by the
// name that the file gives it.
func (f File) Run(read func(name string) ([]byte, error), o evidence.Options) []Outcome {
	out := make([]Outcome, len(f.Examples))
	for i, e := range f.Examples {
		d, err := f.decide(e, read, o)
		got := d.RefusedBy
		if d.Granted {
			got = Granted
		}
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %q (line %d): %w", ErrProof, e.Name, e.Line, err)
		case got != e.Expect:
			err = fmt.Errorf("%w: %q (line %d): expected %s, is %s (%s)", ErrExample, e.Name, e.Line, e.Expect, got, d.Reason)
		}
		out[i] = Outcome{Example: e, Decision: d, Err: err}
	}
	return out
}

func (f File) decide(e Example, read func(string) ([]byte, error), o evidence.Options) (Decision, error) {
	if e.Given != nil {
		return e.Given.Decide(f.Policy)
	}
	file, err := read(e.Proof)
	if err != nil {
		return Decision{}, err
	}
	return Explain(f.Policy, file, o)
}

// Test is Run for those who only want to know whether all is as expected.
func (f File) Test(read func(name string) ([]byte, error), o evidence.Options) error {
	var errs []error
	for _, x := range f.Run(read, o) {
		errs = append(errs, x.Err)
	}
	return errors.Join(errs...)
}
