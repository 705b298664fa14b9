package grant

import (
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Refusals of a judgement's input.
var (
	ErrPolicy = errors.New("grant: the policy cannot be judged by")
	ErrAge    = errors.New("grant: the proof has no age")
)

// Permit compiles a region expression, such as "DE" or "EU27+CH", to what a
// verdict compares with. hash names the meaning of the expression: it covers
// the atlas's data as well. An error points at the place in the expression.
func Permit(expression string) (p verdict.Permit, hash [32]byte, err error) {
	r, err := atlas.Parse(expression, atlas.Options{})
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("permitted region: %w", err)
	}
	return r, r.Hash(), nil
}

// params are a policy's assumptions and demands in the locator's words.
func params(p policy.Policy) (verdict.Params, error) {
	if problems := p.Validate(); len(problems) > 0 {
		return verdict.Params{}, fmt.Errorf("%w: %w", ErrPolicy, problems[0])
	}
	speed, err := earth.ParseSpeedClass(p.Speed)
	if err != nil {
		return verdict.Params{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return verdict.Params{Speed: speed, F: int(*p.F), MinDomains: int(*p.MinDomains), MinStatements: int(*p.MinStatements),
		VMax: earth.Speed(float64(*p.VMaxMMPS) / 1000), MaxAge: time.Duration(*p.MaxAgeMS) * time.Millisecond}, nil
}

// Judge is the locator's verdict on verified facts under a policy: the same
// function for a gate and for whoever re-verifies it years later. age is the
// time since the challenge was issued, on the gate's clock; every measurement
// answers the challenge, so none is older.
func Judge(facts []statement.Fact, p policy.Policy, age time.Duration, area verdict.Permit, touching verdict.Touching) (verdict.Verdict, error) {
	if age <= 0 {
		return verdict.Verdict{}, ErrAge
	}
	ps, err := params(p)
	if err != nil {
		return verdict.Verdict{}, err
	}
	timing, err := statement.ParseTiming(string(p.Timing))
	if err != nil {
		return verdict.Verdict{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	obs := make([]verdict.Observation, len(facts))
	for i, f := range facts {
		obs[i] = verdict.Observation{Beacon: f.Beacon.String(), Place: f.Place, Domains: f.Domains, Position: f.Position,
			PosUnc: f.PosUnc, RTT: f.Bound(timing), Granularity: earth.RTT(f.GranularityNS), ErrPPB: f.ErrPPB, Age: age}
	}
	return verdict.Judge(obs, ps, area, touching)
}
