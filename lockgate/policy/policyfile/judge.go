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

// Check is Parse and more: the region must mean something to the atlas, too. The
// returned permit is the region in its canonical form.
func Check(name string, text []byte) (f File, region *atlas.Region, err error) {
	if f, err = Parse(name, text); err != nil {
		return File{}, nil, err
	}
	region, err = atlas.Parse(f.Policy.Permit, atlas.Options{})
	if err == nil {
		return f, region, nil
	}
	p := &Problem{File: name, Text: "permit: " + err.Error()}
	for i, line := range strings.Split(string(text), "\n") {
		if at := strings.Index(line, "permit:"); at == 0 {
			p.Line, p.Column = i+1, at+1
			var s *atlas.SyntaxError
			if errors.As(err, &s) {
				p.Text += "\n" + s.Caret()
			}
		}
	}
	return File{}, nil, errors.Join(ErrFile, p)
}

// Decision is what a policy would make of the evidence of an earlier decision.
type Decision struct {
	Granted   bool
	RefusedBy string // short name of the check; empty when granted
	Reason    string
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
		Touching: atlas.CountriesTouching, Doubt: b.Decision.Doubt, Age: b.Decision.Age(), Available: b.Available(), Revoked: r.Revoked})
	return Decision{Granted: f.RefusedBy == "", RefusedBy: f.RefusedBy, Reason: f.Reason, Finding: f}, nil
}

// Text tells the decision rule by rule, then the verdict beacon by beacon.
func (d Decision) Text() string {
	var b strings.Builder
	if d.Granted {
		fmt.Fprintf(&b, "granted: %d units\n", d.Finding.Units)
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

// Test makes the decision of every example and compares. read reads a proof by
// the name that the file gives it.
func (f File) Test(read func(name string) ([]byte, error), o evidence.Options) error {
	var errs []error
	for _, e := range f.Examples {
		file, err := read(e.Proof)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %q (line %d): %w", ErrExample, e.Name, e.Line, err))
			continue
		}
		d, err := Explain(f.Policy, file, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %q (line %d): %w", ErrExample, e.Name, e.Line, err))
			continue
		}
		got := d.RefusedBy
		if d.Granted {
			got = "granted"
		}
		if got != e.Expect {
			errs = append(errs, fmt.Errorf("%w: %q (line %d): expected %s, is %s (%s)", ErrExample, e.Name, e.Line, e.Expect, got, d.Reason))
		}
	}
	return errors.Join(errs...)
}
