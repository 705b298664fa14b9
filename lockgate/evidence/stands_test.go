package evidence_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// TestExemptionsHoursAndVeto: a policy stands differently for different cores
// and times; the gate and whoever makes the decision again agree on how.
func TestExemptionsHoursAndVeto(t *testing.T) {
	soon := time.Now().Add(30 * time.Minute).UnixNano()
	hour := new(uint64(time.Hour / time.Millisecond))
	exempt := func(x policy.Exemption) func(*policy.Policy) {
		return func(p *policy.Policy) {
			p.Permit, p.MaxAgeMS, p.LeaseTTLMS, p.VMaxMMPS = "FR", hour, hour, new(uint64(1))
			x.Reason, x.Kind = "a test", policy.OfTenant
			p.Exemptions = []policy.Exemption{x}
		}
	}
	otherDay := policy.Hours{Days: 1 << ((int(time.Now().UTC().Weekday()) + 9) % 7), From: 0, To: 1440}
	doubt := func(n uint64) func(*grant.Config) {
		return func(c *grant.Config) {
			c.Doubt = func(facts []statement.Fact, permit string) *uint64 {
				if len(facts) == 0 || permit != "DE" {
					return nil
				}
				return &n
			}
		}
	}
	veto := func(p *policy.Policy) { p.VetoPerMille = new(uint64(900)) }
	for _, tt := range []struct {
		name    string
		policy  func(*policy.Policy)
		gate    func(*grant.Config)
		refused string
	}{
		{"exempt", exempt(policy.Exemption{Name: "t", Permit: "DE", NotAfterUnixNS: soon}), nil, ""},
		{"another tenant is", exempt(policy.Exemption{Name: "u", Permit: "DE", NotAfterUnixNS: soon}), nil, grant.RefusedVerdict},
		{"not any more", exempt(policy.Exemption{Name: "t", Permit: "DE", NotAfterUnixNS: 1}), nil, grant.RefusedVerdict},
		{"out of hours", func(p *policy.Policy) { p.Hours = []policy.Hours{otherDay} }, nil, policy.RuleHours},
		{"the estimate agrees", veto, doubt(899), ""},
		{"the estimate vetoes", veto, doubt(900), policy.RuleVeto},
		{"a veto without an estimate", veto, nil, policy.RuleVeto},
		{"an estimate without a veto", nil, doubt(1000), ""},
	} {
		options := []granttest.Option{granttest.WithGate(tt.gate)}
		if tt.gate == nil {
			options = nil
		}
		if tt.policy != nil {
			options = append(options, granttest.WithPolicy(tt.policy))
		}
		s := granttest.New(t, options...)
		file, d := decided(t, s, 100)
		if d.RefusedBy != tt.refused || d.Granted != (tt.refused == "") {
			t.Errorf("%s: refused by %q: %s", tt.name, d.RefusedBy, d.Reason)
			continue
		}
		r, err := evidence.Verify(file, evidence.Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if tt.name != "exempt" {
			continue
		}
		if early := soon - r.Lease.Terms.NotAfterUnixNS; early < 0 || early > int64(time.Millisecond) {
			t.Errorf("the lease ends at %d, the exemption at %d", r.Lease.Terms.NotAfterUnixNS, soon)
		}
	}
}

// TestAGateCannotInventAnEstimate: to say that there was none, or another one,
// changes what the evidence says.
func TestAGateCannotInventAnEstimate(t *testing.T) {
	s := granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) { p.VetoPerMille = new(uint64(900)) }),
		granttest.WithGate(func(c *grant.Config) {
			c.Doubt = func([]statement.Fact, string) *uint64 { return new(uint64(10)) }
		}))
	file, d := decided(t, s, 100)
	if !d.Granted {
		t.Fatal(d.RefusedBy)
	}
	for _, outside := range []*uint64{nil, new(uint64(900))} {
		forged := reseal(t, s.GateKey, file, func(b *evidence.Bundle) { b.Decision.Outside = outside })
		if _, err := evidence.Verify(forged, evidence.Options{}); !errors.Is(err, evidence.ErrDecision) {
			t.Errorf("%v: %v", outside, err)
		}
	}
}
