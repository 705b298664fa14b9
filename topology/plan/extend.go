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
	Site   Site
	Gain   float64 // weight of samples that became provable with it
	Proven float64 // weight provable with it and all picks before
}

// Extension is the answer of Extend.
type Extension struct {
	Picks  []Pick
	Before *Coverage // without the picks
	After  *Coverage // with all of them
}

// Extend chooses up to k of the candidates, one after the other, each time the one that makes most of the samples' weight provable;
// of equals the one that shrinks the unproven regions most (the sum of weight times the logarithm of area), because with f > 0 one
// beacon alone seldom proves anything and the first of several must still be chosen well; of equals the first. It ends early when
// no candidate changes anything. Greedy: the best set of k may be better.
func Extend(ctx context.Context, f *Fleet, candidates []Site, k int, samples []Sample, progress Progress) (*Extension, error) {
	if k < 1 || k > len(candidates) {
		return nil, fmt.Errorf("%w: %d is not within 1..%d candidates", ErrPicks, k, len(candidates))
	}
	if err := validateSites(append(slices.Clone(f.Sites), candidates...)); err != nil {
		return nil, err
	}
	m := meter{total: 1 + k*len(candidates), progress: progress}
	before, err := Cover(ctx, f, samples, nil)
	if err != nil {
		return nil, err
	}
	m.step()
	e := &extender{f: *f, rest: slices.Clone(candidates), now: before, meter: m}
	e.f.Sites = slices.Clone(f.Sites)
	result := &Extension{Before: before}
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
	f     Fleet
	rest  []Site
	now   *Coverage
	meter meter
}

// gain is how much a candidate helps: weight proven, then logarithm of area saved.
type gain struct{ proven, shrink float64 }

func (g gain) more(h gain) bool {
	if g.proven != h.proven {
		return g.proven > h.proven
	}
	return g.shrink > h.shrink
}

// grain is the least saving that counts: below it is the noise of the cells' grain.
const grain = 1e-3

func (e *extender) pick(ctx context.Context) (Pick, bool, error) {
	gains := make([]gain, len(e.rest))
	changes := make([][]Assessment, len(e.rest))
	err := parallel(ctx, len(e.rest), e.meter.step, func(i int) error {
		var err error
		gains[i], changes[i], err = e.try(ctx, e.rest[i])
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
	site := e.rest[best]
	e.now = &Coverage{Samples: changes[best], Total: e.now.Total, Proven: e.now.Proven + gains[best].proven}
	e.f.Sites = append(e.f.Sites, site)
	e.rest = slices.Delete(slices.Clone(e.rest), best, best+1)
	return Pick{Site: site, Gain: gains[best].proven, Proven: e.now.Proven}, true, nil
}

// try covers the samples with one more site. A sample is judged again only when the new bound could cut its region: a bound whose
// radius is at least the distance to the sample plus the region's reach from there contains the region.
func (e *extender) try(ctx context.Context, site Site) (gain, []Assessment, error) {
	var g gain
	after := slices.Clone(e.now.Samples)
	sites := append(slices.Clone(e.f.Sites), site)
	for i, s := range after {
		if s.Inside {
			continue
		}
		if err := ctx.Err(); err != nil {
			return gain{}, nil, err
		}
		radius, err := e.f.Locator.Radius(e.f.Delay(s.At, site.At))
		if err != nil {
			return gain{}, nil, err
		}
		if radius >= earth.Chord(s.At.ECEF(0), site.At.ECEF(0))+s.Reach+earth.MaxHeight {
			continue
		}
		out, err := e.f.Locator.Locate(s.At, e.f.ask(s.At, sites))
		if err != nil {
			return gain{}, nil, err
		}
		if out.Inside {
			g.proven += s.Weight
		} else {
			g.shrink += s.Weight * (math.Log(1+s.AreaKM2) - math.Log(1+out.AreaKM2))
		}
		after[i].Outcome = out
	}
	return g, after, nil
}
