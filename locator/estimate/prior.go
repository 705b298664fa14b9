package estimate

import (
	"errors"
	"fmt"
	"math"
)

// ErrPrior reports an unknown prior.
var ErrPrior = errors.New("unknown prior")

// Prior says what is held likely before anything is measured. An estimate names its prior, and Sensitivity shows what it does.
type Prior uint8

// The priors.
const (
	// Fitted weighs populated places, beacon sites and land by what the beacons' own places taught. The default.
	Fitted Prior = iota
	// Populated is proportional to the population of places of 15,000 people and more.
	Populated
	// Metros is the same for the site of each beacon, and nothing elsewhere: a core in one of the constellation's own metros.
	Metros
	// Land is even over the land.
	Land
	// Uniform is even over the Earth.
	Uniform
)

var priorNames = []string{"fitted", "populated", "metros", "land", "uniform"}

// Valid says whether p is one of the priors.
func (p Prior) Valid() bool { return int(p) < len(priorNames) }

// String returns the word that ParsePrior reads.
func (p Prior) String() string {
	if !p.Valid() {
		return fmt.Sprintf("Prior(%d)", uint8(p))
	}
	return priorNames[p]
}

// ParsePrior reads a prior's name.
func ParsePrior(s string) (Prior, error) {
	for i, name := range priorNames {
		if s == name {
			return Prior(i), nil
		}
	}
	return 0, fmt.Errorf("%w: %q, use one of %v", ErrPrior, s, priorNames)
}

// apply returns the posterior mass of the candidates under the prior. When the prior rules out every candidate the fitted one
// stands in: an estimate of nothing helps nobody, and no verdict depends on it.
func (p Prior) apply(t *Trained, list []candidate) []float64 {
	if p == Fitted {
		return posterior(list, &t.weights, t.broad)
	}
	sharp, wide := make([]float64, len(list)), make([]float64, len(list))
	possible := false
	for i := range list {
		c := &list[i]
		before := p.log(c)
		possible = possible || !math.IsInf(before, -1)
		like := 0.0
		for f := range likelihoods {
			like += t.weights[f] * c.f[f]
		}
		sharp[i], wide[i] = before+like, before+broadShare*like
	}
	if !possible {
		return posterior(list, &t.weights, t.broad)
	}
	normalise(sharp)
	normalise(wide)
	for i := range sharp {
		sharp[i] = (1-t.broad)*sharp[i] + t.broad*wide[i]
	}
	return sharp
}

// log is the log prior of a candidate but for a constant.
func (p Prior) log(c *candidate) float64 {
	switch {
	case p == Populated && c.kind == populated:
		return c.f[population]
	case p == Metros && c.kind == beaconSite:
		return 0
	case (p == Land || p == Uniform) && c.kind >= coarseCell:
		return c.fixed
	}
	return math.Inf(-1)
}

// Belief is what one prior makes of the measurements.
type Belief struct {
	Prior Prior   `json:"-"`
	Name  string  `json:"prior"`
	Most  string  `json:"country"` // the likeliest
	P     float64 `json:"p"`
}

// Sensitivity returns the likeliest country under each prior for which the estimate has candidates: where they differ, the prior
// speaks and not the measurements.
func (e *Estimate) Sensitivity() []Belief {
	var out []Belief
	for i, name := range priorNames {
		p := Prior(i)
		if p == Uniform && !e.q.withSea || p == Land && e.q.withSea {
			continue
		}
		if j := jurisdictions(e.l, e.q.found, p.apply(e.l.t, e.q.found)); len(j) > 0 {
			out = append(out, Belief{p, name, j[0].Country, j[0].P})
		}
	}
	return out
}
