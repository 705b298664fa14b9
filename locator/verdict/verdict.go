package verdict

import (
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/locator/region"
)

// Kind is one of the four verdicts. The zero Kind denies.
type Kind uint8

// The kinds. Anything but Inside denies.
const (
	Undetermined Kind = iota
	Outside
	Inconsistent
	Inside
)

// String returns the design's word.
func (k Kind) String() string {
	return [...]string{"Undetermined", "Outside", "Inconsistent", "Inside"}[k&3]
}

// Check names, for machines, the check that decided the verdict.
type Check string

// The checks, in the order in which they are made.
const (
	CheckUnusable    Check = ""              // no judgement was made
	CheckEmpty       Check = "empty-region"  // Inconsistent
	CheckNoStatement Check = "no-statement"  // Undetermined
	CheckDomains     Check = "min-domains"   // Undetermined
	CheckStatements  Check = "min-statement" // Undetermined
	CheckInside      Check = "inside"        // Inside
	CheckOutside     Check = "outside"       // Outside
	CheckBorder      Check = "border"        // Undetermined: the region is neither within nor apart
)

// Verdict is the result of Judge. Its zero value is Undetermined and denies; no other package can make an Inside.
type Verdict struct {
	kind       Kind
	check      Check
	reason     string
	problem    *problem // nil when no judgement was made
	region     *region.Region
	statements int
	domains    int
	touches    []string
	touched    bool
}

// Kind returns the verdict.
func (v Verdict) Kind() Kind { return v.kind }

// Inside says whether the verdict is Inside; everything else denies.
func (v Verdict) Inside() bool { return v.kind == Inside }

// Check returns the check that decided, CheckUnusable when no judgement was made.
func (v Verdict) Check() Check { return v.check }

// Reason returns one line for people.
func (v Verdict) Reason() string {
	if v.reason == "" {
		return "no judgement was made"
	}
	return v.reason
}

// Params returns the assumptions and demands, defaults filled in; false when no judgement was made.
func (v Verdict) Params() (Params, bool) {
	if v.problem == nil {
		return Params{}, false
	}
	return v.problem.params, true
}

// Region returns the cells that hold the core if at most f domains are faulty; false when no judgement was made.
func (v Verdict) Region() (*region.Region, bool) { return v.region, v.region != nil }

// RegionKM2 returns an upper estimate of the region's area in km²; false when no judgement was made.
func (v Verdict) RegionKM2() (float64, bool) {
	if v.region == nil {
		return 0, false
	}
	return v.region.AreaKM2(), true
}

// Touches returns the sorted jurisdictions that the region may touch; false when Judge was not told how to find them.
func (v Verdict) Touches() ([]string, bool) { return slices.Clone(v.touches), v.touched }

// Statements and Domains return how many usable statements, and fault domains among them, were judged.
func (v Verdict) Statements() int { return v.statements }

// Domains returns the number of distinct fault domains among the usable statements, never more than Statements.
func (v Verdict) Domains() int { return v.domains }

// StaysInside returns for how long an Inside verdict remains Inside while the core may move at v_max and nothing new is measured:
// a lease must not outlive it. At most limit; 0 for other verdicts. To the millisecond, rounded down; found by bisection, which
// the monotony of the judgement justifies.
func (v Verdict) StaysInside(limit time.Duration) time.Duration {
	if v.kind != Inside || limit <= 0 {
		return 0
	}
	good, bad := time.Duration(0), limit.Truncate(time.Millisecond)+time.Millisecond
	for bad-good > time.Millisecond {
		mid := (good + (bad-good)/2).Truncate(time.Millisecond)
		if mid == good {
			mid += time.Millisecond
		}
		if v.problem.kindWhen(func(o *Observation) { o.Age += mid }) == Inside {
			good = mid
		} else {
			bad = mid
		}
	}
	return min(good, limit)
}

// coarseDetail of a search that need not draw the region.
const coarseDetail = 32

// HoldsFor is the short way to an answer of StaysInside: true says that an Inside verdict certainly remains Inside for so long;
// false, that it may not, or that it takes StaysInside to see. It searches with large cells, which over-approximate as soundly as
// small ones.
func (v Verdict) HoldsFor(d time.Duration) bool {
	if v.kind != Inside || d < 0 {
		return false
	}
	obs := slices.Clone(v.problem.obs)
	for i := range obs {
		obs[i].Age += d
	}
	p, err := newProblem(obs, v.problem.params, v.problem.permit)
	if err != nil {
		return false
	}
	bounds := p.bounds(-1)
	r, err := region.Search(bounds, p.params.F, region.Options{Detail: coarseDetail})
	if err != nil {
		return false
	}
	relation, _ := r.Compare(p.permit)
	kind, _ := p.decide(relation, len(bounds), domains(bounds))
	return kind == Inside
}

// kindWhen judges the same problem with every observation changed; an unusable change denies.
func (p *problem) kindWhen(change func(*Observation)) Kind {
	obs := slices.Clone(p.obs)
	for i := range obs {
		change(&obs[i])
	}
	return p.kindOf(obs)
}

func (p *problem) kindOf(obs []Observation) Kind {
	q, err := newProblem(obs, p.params, p.permit)
	if err != nil {
		return Undetermined
	}
	v, err := q.judge()
	if err != nil {
		return Undetermined
	}
	return v.kind
}
