package story

import (
	"strconv"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// rules are what a story may say of the gate's policy.
type rules struct {
	f, domains, statements, near, drawn uint64
	speed                               string
	timing                              policy.Timing
	age                                 time.Duration
}

var policyKeys = []string{"f", "speed", "timing", "age", "domains", "statements", "near", "drawn"}

// defaults are no faulty domain, vacuum, both clocks, a minute, and a committee of up to twenty.
func defaults() rules {
	return rules{speed: "vacuum", timing: policy.TimingBoth, age: time.Minute, near: 16, drawn: 4}
}

func (p *parser) policy(args []string) error {
	if len(args) == 0 || len(args)%2 != 0 {
		return p.usage("policy")
	}
	if err := p.setting("policy"); err != nil {
		return err
	}
	r := &p.story.policy
	for i := 0; i < len(args); i += 2 {
		if err := p.rule(r, args[i], args[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) rule(r *rules, key, value string) error {
	numbers := map[string]*uint64{"f": &r.f, "domains": &r.domains, "statements": &r.statements, "near": &r.near, "drawn": &r.drawn}
	switch {
	case numbers[key] != nil:
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil || n > 100 {
			return p.errorf("policy %s %q: write a number up to 100", key, value)
		}
		*numbers[key] = n
	case key == "speed":
		class, err := earth.ParseSpeedClass(value)
		if err != nil {
			return p.errorf("policy speed: %w", err)
		}
		r.speed = class.String()
	case key == "timing":
		if r.timing = policy.Timing(value); r.timing != policy.TimingBoth && r.timing != policy.TimingBeacon {
			return p.errorf("policy timing %q: write both or beacon", value)
		}
	case key == "age":
		d, err := time.ParseDuration(value)
		if err != nil || d < time.Second || d > time.Hour {
			return p.errorf("policy age %q: write a duration from 1s to 1h", value)
		}
		r.age = d
	default:
		return p.usage("policy")
	}
	return nil
}

// policy is the gate's.
func (s *Story) gatePolicy(attested []directory.Expectation) policy.Policy {
	now, n := time.Now(), func(v uint64) *uint64 { return &v }
	r := s.policy
	return policy.Policy{Name: "story", Version: 1, Permit: s.permit, Speed: r.speed, F: &r.f,
		MinDomains: n(max(r.domains, 2*r.f+1)), MinStatements: n(max(r.statements, 2*r.f+1)), MaxAgeMS: n(uint64(r.age.Milliseconds())),
		VMaxMMPS: n(350_000), Timing: r.timing, Attest: attested, Audience: stage.Audience, MaxUnits: n(1000), TOffMS: n(15_000),
		LeaseTTLMS: n(30_000), NotBeforeUnixNS: new(now.Add(-time.Minute).UnixNano()), NotAfterUnixNS: new(now.Add(20 * time.Hour).UnixNano())}
}
