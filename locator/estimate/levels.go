package estimate

import (
	"math"
	"slices"
)

// levels turns the probability that is wanted of a region into the probability that the posterior has to have in it. scores are
// those of beacons at their true places, in ascending order: the probability of everything that the posterior of each, made without
// it, thought likelier than the truth. Were the posterior right they would be spread evenly between 0 and 1.
type levels struct{ scores []float64 }

// faith is how many made-up scores stand beside the measured ones: a dozen beacons alone could not say where 95 % is. They are not
// spread evenly but crowd towards 1, like 1−(1−u)²: posteriors are surer than they should be until shown otherwise.
const faith = 6

// at returns the least level under which a share p of the scores falls, the made-up ones and the one to come included.
func (l levels) at(p float64) float64 {
	want := p * (float64(len(l.scores)) + 1 + faith)
	// Between two scores the count is constant, so that the least level there follows from the made-up scores alone.
	for i := 0; ; i++ {
		lo, hi := 0.0, 1.0
		if i > 0 {
			lo = math.Nextafter(l.scores[i-1], 2) // a score is under the level only when it is below it
		}
		if i < len(l.scores) {
			hi = l.scores[i]
		}
		missing := (want - float64(i)) / faith
		if i < len(l.scores) && missing > 1 {
			continue
		}
		open := 1 - max(0, min(1, missing))
		if need := 1 - open*open; need <= hi || i == len(l.scores) {
			return min(1, max(need, lo))
		}
	}
}

func newLevels(scores []float64) levels {
	slices.Sort(scores)
	return levels{scores}
}
