package plan

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Pick is one site that Extend chose.
type Pick struct {
	Site   Site    `json:"site"`
	Gain   float64 `json:"gain"`   // weight of samples that became provable with it
	Proven float64 `json:"proven"` // weight provable with it and all picks before
}

// Extension is the answer of Extend.
type Extension struct {
	Picks  []Pick
	Before *Coverage // without the picks
	After  *Coverage // with all of them
}

// Extend chooses up to k of the candidates, one after the other, each time the one that makes most of the samples' weight provable.
// Of equals it takes the one that brings the samples not yet proven nearest to a proof (see potential), because with f > 0 one beacon
// alone proves nothing and the first of several must still be chosen well; of equals the first. It ends early when no candidate
// helps. Greedy: the best set of k may be better.
func Extend(ctx context.Context, f *Fleet, candidates []Site, k int, samples []Sample, progress Progress) (*Extension, error) {
	if k < 1 || k > len(candidates) {
		return nil, fmt.Errorf("%w: %d is not within 1..%d candidates", ErrPicks, k, len(candidates))
	}
	if err := validateSites(append(slices.Clone(f.Sites), candidates...)); err != nil {
		return nil, err
	}
	steps := 2*len(samples) + k*(len(candidates)+len(samples))
	e := &extender{f: *f, rest: slices.Clone(candidates), meter: meter{total: steps, progress: progress}}
	e.f.Sites = slices.Clone(f.Sites)
	if err := e.prepare(ctx, samples); err != nil {
		return nil, err
	}
	result := &Extension{Before: e.now}
	for range k {
		pick, ok, err := e.pick(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		result.Picks = append(result.Picks, pick)
	}
	e.meter.done = e.meter.total - 1
	e.meter.step()
	result.After = e.now
	return result, nil
}

// extender is the state between picks.
type extender struct {
	f      Fleet
	rest   []Site
	now    *Coverage
	margin []earth.Metres   // of each sample, from Locator.Margin
	slacks [][]earth.Metres // of each sample, the 2f+1 smallest of the sites, ascending
	meter  meter
}

// prepare covers the samples with the sites there are.
func (e *extender) prepare(ctx context.Context, samples []Sample) error {
	var err error
	if e.now, err = e.cover(ctx, samples); err != nil {
		return err
	}
	e.margin = make([]earth.Metres, len(samples))
	e.slacks = make([][]earth.Metres, len(samples))
	return parallel(ctx, len(samples), e.meter.step, func(i int) error {
		for _, site := range e.f.Sites {
			slack, err := e.slack(samples[i].At, site)
			if err != nil {
				return err
			}
			e.slacks[i] = e.insert(e.slacks[i], slack)
		}
		var err error
		e.margin[i], err = e.f.Locator.Margin(samples[i].At)
		return err
	})
}

func (e *extender) cover(ctx context.Context, samples []Sample) (*Coverage, error) {
	return Cover(ctx, &e.f, samples, func(int, int) { e.meter.step() })
}

// slack is how much farther than the sample a core could be from the site after the round trip: what delay and access waste.
func (e *extender) slack(at earth.LatLon, site Site) (earth.Metres, error) {
	radius, err := e.f.Locator.Radius(e.f.Delay(at, site.At))
	return radius - earth.Chord(at.ECEF(0), site.At.ECEF(0)), err
}

// insert returns the smallest slacks with one more; the argument is not changed.
func (e *extender) insert(slacks []earth.Metres, slack earth.Metres) []earth.Metres {
	i, _ := slices.BinarySearch(slacks, slack)
	out := slices.Insert(slices.Clone(slacks), i, slack)
	return out[:min(len(out), 2*e.f.F+1)]
}

// hopeless says that no proof can come of these slacks. All places within the (f+1)-th smallest slack of the sample are excluded by
// at most f bounds, so they are in the region; if that ball holds a place that is not permitted, the region is not inside.
func (e *extender) hopeless(slacks []earth.Metres, margin earth.Metres) bool {
	return len(slacks) <= e.f.F || slacks[e.f.F] >= margin
}

// potential says how far slacks are from a proof: the mean logarithm of the 2f+1 smallest, those that are missing counted as half
// the Earth. Only differences matter.
func (e *extender) potential(slacks []earth.Metres) float64 {
	sum := 0.0
	for j := range 2*e.f.F + 1 {
		slack := 2 * earth.SemiMajor
		if j < len(slacks) {
			slack = min(slack, max(0, slacks[j]))
		}
		sum += math.Log(1 + slack.Kilometres())
	}
	return sum / float64(2*e.f.F+1)
}

// gain is how much a candidate helps: weight proven, then weight times potential.
type gain struct{ proven, nearer float64 }

func (g gain) more(h gain) bool {
	if g.proven != h.proven {
		return g.proven > h.proven
	}
	return g.nearer > h.nearer
}

// grain is the least mean gain of potential that counts.
const grain = 1e-3

func (e *extender) pick(ctx context.Context) (Pick, bool, error) {
	gains := make([]gain, len(e.rest))
	err := parallel(ctx, len(e.rest), e.meter.step, func(i int) error {
		var err error
		gains[i], err = e.try(ctx, e.rest[i])
		return err
	})
	if err != nil {
		return Pick{}, false, err
	}
	best := -1
	for i, g := range gains {
		if g.more(gain{0, grain * e.now.Total}) && (best < 0 || g.more(gains[best])) {
			best = i
		}
	}
	if best < 0 {
		return Pick{}, false, nil
	}
	site, before := e.rest[best], e.now.Proven
	if err := e.take(ctx, site); err != nil {
		return Pick{}, false, err
	}
	e.rest = slices.Delete(e.rest, best, best+1)
	return Pick{Site: site, Gain: e.now.Proven - before, Proven: e.now.Proven}, true, nil
}

// take adds a site and covers the samples anew.
func (e *extender) take(ctx context.Context, site Site) error {
	e.f.Sites = append(e.f.Sites, site)
	samples := make([]Sample, len(e.now.Samples))
	for i, a := range e.now.Samples {
		samples[i] = a.Sample
		slack, err := e.slack(a.At, site)
		if err != nil {
			return err
		}
		e.slacks[i] = e.insert(e.slacks[i], slack)
	}
	var err error
	e.now, err = e.cover(ctx, samples)
	return err
}

// try computes what one more site would give. A sample is judged only when it is not hopeless and when the new bound could cut its
// region: a bound whose radius is at least the distance to the sample plus the region's reach from there contains the region.
func (e *extender) try(ctx context.Context, site Site) (gain, error) {
	var g gain
	sites := append(slices.Clone(e.f.Sites), site)
	for i, s := range e.now.Samples {
		if s.Inside {
			continue
		}
		if err := ctx.Err(); err != nil {
			return gain{}, err
		}
		slack, err := e.slack(s.At, site)
		if err != nil {
			return gain{}, err
		}
		slacks := e.insert(e.slacks[i], slack)
		g.nearer += s.Weight * (e.potential(e.slacks[i]) - e.potential(slacks))
		if e.hopeless(slacks, e.margin[i]) || slack >= s.Reach+earth.MaxHeight {
			continue
		}
		out, err := e.f.Locator.Locate(s.At, e.f.ask(s.At, sites))
		if err != nil {
			return gain{}, err
		}
		if out.Inside {
			g.proven += s.Weight
		}
	}
	return g, nil
}
