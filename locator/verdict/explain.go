package verdict

import (
	"slices"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Explanation says why a verdict is what it is. Distances are chords in metres.
type Explanation struct {
	Beacons []Beacon // sorted by id

	// Forbidden is, for a verdict other than Inside, the place nearest to the tightest trusted beacon that the bounds allow and that is not
	// shown to be permitted; for Inside, the nearest such place that the bounds rule out. nil when there is none.
	Forbidden *Forbidden

	// Settle is the smallest reduction of one round trip that would have made an Undetermined verdict Inside. nil when none would.
	Settle *Settlement
}

// Beacon explains one observation.
type Beacon struct {
	ID, Place string
	Domains   []string
	RTT       earth.RTT
	Radius    earth.Metres // what the round trip allows now, age and uncertainty included

	// Slack is how far the region stays inside this bound. Positive: every place of the region is at least so much nearer than the
	// radius. Zero: the bound runs through the region's outermost cells, it shapes the region's edge; or the region is empty.
	// Negative: places so far beyond the bound are in the region, because this beacon could be one of the f that lie.
	Slack earth.Metres

	// Decided: without this observation the region would lie to the permit in another way, or would keep over one per cent more cells
	// on the finest level that the searches with and without it both reached. The demands on domains and statements do not count here.
	Decided bool

	Ignored bool // older than MaxAge, did not bound the region
}

// Forbidden is a place that is not shown to be permitted.
type Forbidden struct {
	At            earth.LatLon
	Beacon, Place string       // the beacon with the smallest radius that the region respects
	Distance      earth.Metres // from that beacon's stated position
	InRegion      bool         // the bounds allow it
	Touches       []string     // jurisdictions that may be there
}

// Settlement says which round trip was too long, and by how much.
type Settlement struct {
	Beacon, Place string
	LessNS        earth.RTT // nanoseconds of round trip too long
}

// Explain explains the verdict; false when no judgement was made. It is computed on the first call and kept; safe for concurrent
// use; the caller does not change what it points to.
func (v Verdict) Explain() (Explanation, bool) {
	p := v.problem
	if p == nil {
		return Explanation{}, false
	}
	p.explainOnce.Do(func() {
		lines := v.beacons()
		p.explanation = Explanation{Beacons: lines, Forbidden: v.forbidden(lines), Settle: v.settle()}
	})
	return p.explanation, true
}

// beacons computes slack and decision of each observation.
func (v Verdict) beacons() []Beacon {
	p := v.problem
	lines := make([]Beacon, len(p.obs))
	plain, err := region.Search(p.bounds(-1), p.params.F, region.Options{})
	for i, o := range p.obs {
		lines[i] = Beacon{ID: o.Beacon, Place: o.Place, Domains: slices.Clone(o.Domains), RTT: o.RTT, Radius: p.radii[i], Ignored: p.old[i]}
		lines[i].Slack = slack(p.radii[i], v.region, o.Position)
		if err == nil && !p.old[i] {
			lines[i].Decided = v.decided(plain, i)
		}
	}
	return lines
}

// slack is defined at Beacon.Slack.
func slack(radius earth.Metres, r *region.Region, at earth.ECEF) earth.Metres {
	lo, hi := r.Reach(at)
	switch {
	case r.Empty():
		return 0
	case hi <= radius:
		return radius - hi
	case lo > radius:
		return radius - lo
	}
	return 0
}

// decided searches again without observation i.
func (v Verdict) decided(plain *region.Region, i int) bool {
	p := v.problem
	without, err := region.Search(p.bounds(i), p.params.F, region.Options{})
	if err != nil {
		return false
	}
	level := min(plain.Level(), without.Level())
	with, _ := plain.CellsAt(level)
	more, _ := without.CellsAt(level)
	if 100*more > 101*with {
		return true
	}
	if slices.Equal(plain.Cells(), without.Cells()) {
		return false // what is kept is the same, and so is its comparison but for parts finer than the search
	}
	before, _ := plain.Compare(p.permit)
	after, _ := without.Compare(p.permit)
	return before != after
}

// tightest returns the index of the usable observation with the smallest radius that the region respects, so that no lonely liar is
// quoted; when it respects none, with the smallest radius of all. False when there is none.
func (p *problem) tightest(lines []Beacon) (int, bool) {
	best := -1
	for i, l := range lines {
		if l.Ignored {
			continue
		}
		if best < 0 || (l.Slack >= 0) != (lines[best].Slack >= 0) && l.Slack >= 0 ||
			(l.Slack >= 0) == (lines[best].Slack >= 0) && l.Radius < lines[best].Radius {
			best = i
		}
	}
	return best, best >= 0
}

func (v Verdict) forbidden(lines []Beacon) *Forbidden {
	p := v.problem
	i, ok := p.tightest(lines)
	if !ok {
		return nil
	}
	within := v.region
	if v.kind == Inside {
		within = region.Everywhere(region.MaxLevel)
	}
	o := p.obs[i]
	place, ok := within.NearestOutside(p.permit, o.Position)
	if !ok {
		return nil
	}
	f := &Forbidden{At: place.At, Beacon: o.Beacon, Place: o.Place, Distance: place.Distance, InRegion: v.kind != Inside}
	if p.touching != nil {
		f.Touches = p.touching(s2.CellFromPoint(place.At.Point()).ID().Parent(region.MaxLevel))
	}
	return f
}

// settle looks for the smallest reduction of one round trip that makes an Undetermined verdict Inside. As a round trip shrinks
// the kind leaves Undetermined once and for good (monotony), to Inside, Outside or Inconsistent; so for each observation the
// largest round trip that is not Undetermined is found by bisection and counts when it is Inside. An observation that cannot beat
// the best reduction so far costs one judgement.
func (v Verdict) settle() *Settlement {
	if v.check != CheckBorder {
		return nil
	}
	p := v.problem
	var best *Settlement
	for i, o := range p.obs {
		if p.old[i] {
			continue
		}
		low := earth.RTT(1) // the shortest round trip worth trying
		if best != nil {
			low = max(low, o.RTT-best.LessNS+1)
		}
		if low >= o.RTT || p.kindAt(i, low) == Undetermined {
			continue
		}
		high := o.RTT // Undetermined
		for high-low > 1 {
			if mid := low + (high-low)/2; p.kindAt(i, mid) == Undetermined {
				high = mid
			} else {
				low = mid
			}
		}
		if p.kindAt(i, low) == Inside {
			best = &Settlement{Beacon: o.Beacon, Place: o.Place, LessNS: o.RTT - low}
		}
	}
	return best
}

func (p *problem) kindAt(i int, rtt earth.RTT) Kind {
	obs := slices.Clone(p.obs)
	obs[i].RTT = rtt
	return p.kindOf(obs)
}
