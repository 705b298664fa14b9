package eval

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// claimUnc is the uncertainty of a beacon's claimed place in the sets: they name cities, and data centres stand in their outskirts.
// The audit convicts beyond the same distance.
const claimUnc earth.Metres = 25_000

// union is the union in which targets are proven beside their country.
const union = "EU27"

// Proof scores region and verdict at one speed class, with f = 0, every node a domain of its own.
type Proof struct {
	ProvenCountry   *float64 `json:"proven_country"` // share of all targets
	ProvenEU27      *float64 `json:"proven_eu27"`    // share of those truly in the union; nil when there are none
	WrongInside     int      `json:"wrong_inside"`
	WrongOutside    int      `json:"wrong_outside"`
	Inconsistent    int      `json:"inconsistent"`
	RegionMedianKM2 *float64 `json:"region_median_km2"`

	Wrong []string `json:"wrong"` // the ids behind the two counts
}

// trial is the verdict on one target.
type trial struct {
	country, inUnion             tri
	wrongInside, wrongOut, empty bool
	km2                          float64
	err                          error
}

// court holds the permitted regions, parsed once. The sea before their own coast is neutral: the hosts of a set stand ashore, and a
// country by the sea could else never be proven.
type court struct {
	mu      sync.Mutex
	regions map[string]*atlas.Region
	members []string // of the union
}

func newCourt() *court {
	c := &court{regions: map[string]*atlas.Region{}}
	for _, u := range atlas.Unions() {
		if u.Name == union {
			c.members = u.Members
		}
	}
	return c
}

func (c *court) region(expression string) (*atlas.Region, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.regions[expression]; ok {
		return r, nil
	}
	r, err := atlas.Parse("neutral("+expression+")", atlas.Options{})
	if err != nil {
		return nil, fmt.Errorf("permit %s: %w", expression, err)
	}
	c.regions[expression] = r
	return r, nil
}

// runProof judges every target at both speed classes.
func runProof(ctx context.Context, t *task, o Options, p *progress) (map[string]*Proof, error) {
	out := map[string]*Proof{}
	c := newCourt()
	for _, class := range []earth.SpeedClass{earth.Vacuum, earth.Fibre} {
		trials := make([]trial, len(t.targets))
		err := each(ctx, len(t.targets), o.Workers, func(i int) {
			trials[i] = t.try(c, t.targets[i], class)
			p.step()
		})
		if err != nil {
			return nil, err
		}
		proof, err := t.sum(trials)
		if err != nil {
			return nil, err
		}
		out[class.String()] = proof
	}
	return out, nil
}

// observations are the target's measurements as facts: a clock without error, a claim as uncertain as claims are, made just now.
// Pairs that the audit refuses, because unconvicted nodes contradict each other there, are no facts.
func (t *task) observations(target int, class earth.SpeedClass) []verdict.Observation {
	var out []verdict.Observation
	for _, s := range t.sights(target) {
		if t.audit.Refuses(t.node[target], t.node[s.beacon], class) {
			continue
		}
		n := t.set.Nodes[t.node[s.beacon]]
		r, _ := t.set.RTT(t.node[target], t.node[s.beacon])
		out = append(out, verdict.Observation{Beacon: n.ID, Place: n.Name, Domains: []string{n.ID}, Position: n.At.ECEF(0), PosUnc: claimUnc,
			RTT: r, Granularity: 1, Age: 1})
	}
	return out
}

// try judges one target against its true country, against the union, and against the only country that its region touches when
// that is another one: the only country in which it could be proven wrongly.
func (t *task) try(c *court, target int, class earth.SpeedClass) (out trial) {
	seen := t.observations(target, class)
	judge := func(expression string) verdict.Verdict {
		permit, err := c.region(expression)
		if err != nil {
			out.err = err
			return verdict.Verdict{}
		}
		v, err := verdict.Judge(seen, verdict.Params{Speed: class}, permit, atlas.CountriesTouching)
		if err != nil {
			out.err = err
		}
		return v
	}
	truth := t.country[target]
	isMember := slices.Contains(c.members, truth)
	v := judge(union)
	switch {
	case v.Kind() == verdict.Inconsistent:
		out.empty = true
	case v.Inside():
		out.wrongInside = !isMember
	case v.Kind() == verdict.Outside:
		out.wrongOut = isMember
	}
	if isMember {
		out.inUnion = triOf(v.Inside())
	}
	out.km2, _ = v.RegionKM2()
	out.country = no
	if _, err := c.region(truth); err == nil { // a code that the atlas does not know cannot be proven
		v = judge(truth)
		out.country = triOf(v.Inside())
		out.wrongOut = out.wrongOut || v.Kind() == verdict.Outside
	}
	if touches, ok := v.Touches(); ok && len(touches) == 1 && touches[0] != truth {
		out.wrongInside = out.wrongInside || judge(touches[0]).Inside()
	}
	return out
}

func (t *task) sum(trials []trial) (*Proof, error) {
	p := &Proof{Wrong: []string{}}
	var areas []float64
	countries, unions := make([]answer, len(trials)), make([]answer, len(trials))
	for i, one := range trials {
		id := t.set.Nodes[t.node[t.targets[i]]].ID
		if one.err != nil {
			return nil, fmt.Errorf("proof of %s: %w", id, one.err)
		}
		countries[i].region, unions[i].region = one.country, one.inUnion
		if one.empty {
			p.Inconsistent++
		} else {
			areas = append(areas, one.km2)
		}
		if one.wrongInside {
			p.WrongInside++
		}
		if one.wrongOut {
			p.WrongOutside++
		}
		if one.wrongInside || one.wrongOut {
			p.Wrong = append(p.Wrong, id)
		}
	}
	byRegion := func(a answer) tri { return a.region }
	p.ProvenCountry, _ = share(countries, byRegion)
	p.ProvenEU27, _ = share(unions, byRegion)
	slices.Sort(areas)
	p.RegionMedianKM2 = quantile(areas, 0.5)
	return p, nil
}
