package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Permit is the permitted region. If it also has a String method, the reasons name it.
type Permit = region.Area

// Touching names the jurisdictions that cells may touch, sorted: atlas.CountriesTouching.
type Touching func(cells ...s2.CellID) []string

// Judge compares the places that the observations allow with the permit.
//
// It refuses, with a sentinel and a verdict that denies: unusable parameters, no permit, more than region.MaxBounds observations,
// two observations of one beacon, impossible values. touching may be nil; then the verdict does not say what the region touches.
// The verdict keeps permit and touching, to explain itself; both must be pure and safe for concurrent use.
func Judge(observations []Observation, params Params, permit Permit, touching Touching) (Verdict, error) {
	p, err := newProblem(observations, params, permit)
	if err != nil {
		return Verdict{reason: "unusable: " + err.Error()}, err
	}
	p.touching = touching
	v, err := p.judge()
	if err != nil {
		return Verdict{reason: "unusable: " + err.Error()}, err
	}
	if touching != nil {
		v.touches = touching(v.region.Cells()...)
		v.touched = true
	}
	return v, nil
}

// problem is what was judged: validated, canonical, immutable.
type problem struct {
	params   Params
	permit   Permit
	touching Touching      // may be nil
	obs      []Observation // sorted by beacon
	radii    []earth.Metres
	old      []bool // older than MaxAge: counts as dropped

	explainOnce sync.Once
	explanation Explanation
}

func newProblem(observations []Observation, params Params, permit Permit) (*problem, error) {
	params, err := params.Resolve()
	if err != nil {
		return nil, err
	}
	if permit == nil {
		return nil, ErrPermit
	}
	if len(observations) > region.MaxBounds {
		return nil, fmt.Errorf("%w: %d statements, at most %d", region.ErrTooMany, len(observations), region.MaxBounds)
	}
	p := &problem{params: params, permit: permit}
	p.obs = slices.SortedFunc(slices.Values(observations), func(a, b Observation) int { return cmp.Compare(a.Beacon, b.Beacon) })
	for i, o := range p.obs {
		r, err := params.radius(o)
		if err != nil {
			return nil, err
		}
		if i > 0 && p.obs[i-1].Beacon == o.Beacon {
			return nil, fmt.Errorf("%w: %s", region.ErrDuplicate, o.Beacon)
		}
		p.radii = append(p.radii, r)
		p.old = append(p.old, o.Age > params.MaxAge)
	}
	return p, nil
}

// bounds returns the bounds of the usable observations, leaving out the one with index without (or none, when negative).
func (p *problem) bounds(without int) []region.Bound {
	out := make([]region.Bound, 0, len(p.obs))
	for i, o := range p.obs {
		if !p.old[i] && i != without {
			out = append(out, region.Bound{Beacon: o.Beacon, Domains: o.Domains, Centre: o.Position, Radius: p.radii[i]})
		}
	}
	return out
}

// judge makes the verdict. Every observation, usable or not, has been validated as a measurement; region validates the bounds.
func (p *problem) judge() (Verdict, error) {
	bounds := p.bounds(-1)
	r, err := region.Search(bounds, p.params.F, region.Options{})
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{problem: p, region: r, statements: len(bounds), domains: domains(bounds)}
	relation, refined := r.Compare(p.permit)
	v.region = refined
	v.kind, v.check = p.decide(relation, v.statements, v.domains)
	v.reason = p.reason(v)
	return v, nil
}

// decide is the table of the package comment. Demands come first, so that nothing is Inside without them; an empty region is
// reported whatever else is missing, as it is evidence of lies.
func (p *problem) decide(relation region.Relation, statements, domains int) (Kind, Check) {
	switch {
	case relation == region.Empty:
		return Inconsistent, CheckEmpty
	case statements == 0:
		return Undetermined, CheckNoStatement
	case domains < p.params.MinDomains:
		return Undetermined, CheckDomains
	case statements < p.params.MinStatements:
		return Undetermined, CheckStatements
	case relation == region.Within:
		return Inside, CheckInside
	case relation == region.Apart:
		return Outside, CheckOutside
	}
	return Undetermined, CheckBorder
}

// domains counts distinct domains, but never more than bounds: a beacon cannot bring a crowd. Beacons that share domains are not
// counted more cleverly here because region already blames them exactly.
func domains(bounds []region.Bound) int {
	seen := map[string]bool{}
	for _, b := range bounds {
		for _, d := range b.Domains {
			seen[d] = true
		}
	}
	return min(len(seen), len(bounds))
}

func (p *problem) reason(v Verdict) string {
	permit := "the permitted region"
	if s, ok := p.permit.(fmt.Stringer); ok {
		permit = s.String()
	}
	tooOld := ""
	if n := len(p.obs) - v.statements; n > 0 {
		tooOld = fmt.Sprintf(" (%d more are older than %v)", n, p.params.MaxAge.Round(time.Second))
	}
	switch v.check {
	case CheckInside:
		return fmt.Sprintf("every place that the bounds allow is inside %s", permit)
	case CheckOutside:
		return fmt.Sprintf("no place that the bounds allow is inside %s", permit)
	case CheckEmpty:
		return fmt.Sprintf("no place on Earth satisfies the bounds: more than %d fault domains are faulty", p.params.F)
	case CheckNoStatement:
		return "no usable statement" + tooOld
	case CheckDomains:
		return fmt.Sprintf("%d fault domains answered%s, %d are needed for f = %d", v.domains, tooOld, p.params.MinDomains, p.params.F)
	case CheckStatements:
		return fmt.Sprintf("%d statements%s, %d are needed", v.statements, tooOld, p.params.MinStatements)
	}
	return fmt.Sprintf("the bounds allow places that are not shown to be inside %s", permit)
}
