package estimate

import (
	"math"

	"gonum.org/v1/gonum/optimize"
)

// covariance describes how the scores of pairs hang together. All are variances of normal scores, or scales.
//
// Two beacons a distance d apart see a third with a covariance κ(d) = near·exp(−d/nearKM) + far·exp(−d/farKM): streets and oceans.
// A host's own deviation from its surroundings has the same shape over the far ends (own), and a part that is the same for all of
// them (access). Hosts of a region share some of the latter (regional). What is left is noise: large where round trips are short
// and one detour is everything (quick), smaller where they are long (calm).
type covariance struct {
	near, nearKM, far, farKM float64
	own, access              float64
	regional, regionalKM     float64
	quick, calm, calmMS      float64
}

// startCovariance is where the fit starts, and what it is drawn to where data is scarce: round numbers near the fits to public and
// cloud sets alike (see docs/ACCURACY.md). A prior, not a constant of the model.
var startCovariance = covariance{near: 0.12, nearKM: 450, far: 0.2, farKM: 5000, own: 0.2, access: 0.06,
	regional: 0.13, regionalKM: 2000, quick: 0.5, calm: 0.08, calmMS: 15}

// kappa is the covariance of the smooth field at a distance.
func (c *covariance) kappa(d float64) float64 {
	return c.near*math.Exp(-d/c.nearKM) + c.far*math.Exp(-d/c.farKM)
}

// kernel is a covariance with its two functions of distance tabulated: they are asked hundreds of times for each candidate.
type kernel struct {
	covariance
	smooth, shared [kernelRows]float64
}

const (
	kernelStep = 10 // km; the shortest scale is some hundred
	kernelRows = 2010
)

func (c covariance) kernel() *kernel {
	k := &kernel{covariance: c}
	for i := range kernelRows {
		d := float64(i) * kernelStep
		k.smooth[i], k.shared[i] = c.kappa(d), c.regional*math.Exp(-d/c.regionalKM)
	}
	return k
}

// at returns κ and the covariance of the regional effect at a distance.
func (k *kernel) at(d float64) (smooth, shared float64) {
	x := d / kernelStep
	i := max(0, min(kernelRows-2, int(x)))
	x -= float64(i)
	return k.smooth[i] + x*(k.smooth[i+1]-k.smooth[i]), k.shared[i] + x*(k.shared[i+1]-k.shared[i])
}

func (c *covariance) noise(ms float64) float64 {
	return c.calm + (c.quick-c.calm)*math.Exp(-ms/c.calmMS)
}

// logs and ofLogs turn the parameters into the unconstrained vector that the optimiser moves.
func (c *covariance) logs() []float64 {
	v := []float64{c.near, c.nearKM, c.far, c.farKM, c.own, c.access, c.regional, c.regionalKM, c.quick, c.calm, c.calmMS}
	for i := range v {
		v[i] = math.Log(v[i])
	}
	return v
}

func ofLogs(v []float64) covariance {
	e := func(i int) float64 { return math.Exp(max(-9, min(10, v[i]))) }
	return covariance{near: e(0), nearKM: e(1), far: e(2), farKM: e(3), own: e(4), access: e(5), regional: e(6), regionalKM: e(7),
		quick: e(8), calm: e(9), calmMS: e(10)}
}

const (
	covarianceSpread = 0.7 // prior standard deviation of a parameter's logarithm: a factor of two
	covarianceNodes  = 64  // beacons whose profiles the fit looks at
	covarianceSteps  = 160 // evaluations
)

// fitCovariance maximises the likelihood of the scores of each beacon at its true place, given the others, with a log-normal prior
// on each parameter. Nelder–Mead (Computer Journal 7(4), 1965): eleven parameters, no gradient, deterministic.
func fitCovariance(m *Mesh, z [][]float64, apart float64, workers int) covariance {
	start := startCovariance.logs()
	best, least := append([]float64(nil), start...), math.Inf(1)
	var sights []*sight
	var truths [][]float64 // the scores at the true place, in order
	var near []around
	for i := 0; i < m.Len(); i += max(1, (m.Len()+covarianceNodes-1)/covarianceNodes) {
		gone := m.near(i, apart)
		if s := newSight(m, z, gone, m.measured(i)); s != nil {
			truth := make([]float64, len(s.order))
			for k, o := range s.order {
				truth[k] = z[i][o.beacon]
			}
			sights, truths, near = append(sights, s), append(truths, truth), append(near, nearestBeacons(m, m.at[i], gone))
		}
	}
	sums := make([]float64, len(sights))
	loss := func(v []float64) float64 {
		c := ofLogs(v).kernel()
		parallel(len(sights), workers, func(i int) { sums[i] = sights[i].truthLikelihood(c, near[i], truths[i]) })
		total := 0.0
		for i := range v {
			d := (v[i] - start[i]) / covarianceSpread
			total += d * d / 2
		}
		for _, s := range sums {
			total -= s
		}
		if total < least {
			least = total
			copy(best, v)
		}
		return total
	}
	simplex := &optimize.NelderMead{SimplexSize: 0.4}
	// The best point seen is kept above; an optimiser that gives up early has found it too.
	_, _ = optimize.Minimize(optimize.Problem{Func: loss}, start, &optimize.Settings{FuncEvaluations: covarianceSteps}, simplex)
	return ofLogs(best)
}

// truthLikelihood is the log likelihood of the scores between one beacon and the others, seen from where it truly stands.
func (s *sight) truthLikelihood(c *kernel, near around, scores []float64) float64 {
	s.believe(c)
	w := c.krige(s.m, near)
	s.place(&w, len(s.order))
	sum := 0.0
	for k, z := range scores {
		sum += math.Log(s.innovation(k, z)) - s.f.logDiagonal[k]
	}
	return sum
}

// near marks a beacon, and those within a distance of it.
func (m *Mesh) near(i int, apart float64) absent {
	gone := make(absent, m.Len())
	for j, d := range m.km[i] {
		gone[j] = j == i || d < apart
	}
	return gone
}

// measured lists the round trips of one beacon with the others as observations.
func (m *Mesh) measured(i int) []observed {
	var out []observed
	for j, l := range m.log[i] {
		if !math.IsNaN(l) {
			out = append(out, observed{beacon: j, log: l})
		}
	}
	return out
}
