package policyfile_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
)

// BenchmarkCheck reads a file with everything that a policy may have.
func BenchmarkCheck(b *testing.B) {
	text := []byte(extended(b))
	for b.Loop() {
		if _, _, err := policyfile.Check("x.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluate asks every rule once: what a gate does for each request, besides the verdict.
func BenchmarkEvaluate(b *testing.B) {
	f, err := policyfile.Parse("x.yaml", []byte(extended(b)))
	if err != nil {
		b.Fatal(err)
	}
	g := f.Examples[1].Given
	facts := g.Facts
	facts.Verdict = "Inside"
	for b.Loop() {
		p := f.Policy.For(g.Subject, *facts.NowUnixNS)
		facts.WantUnits = p.MaxUnits
		if o := policy.Evaluate(p, facts); o.Answer != policy.True {
			b.Fatal(o)
		}
	}
}
