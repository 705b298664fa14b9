package sample

import "math"

// quantile is the inverse of a distribution function of delays, tabulated so that a look into it needs neither logarithm nor
// search. Each half of the unit interval is cut into octaves counted from its own end (from 0 below the middle, from 1 above) and
// each octave into equal steps; the bits of the argument as a floating-point number are the index. Within a step the delay runs
// straight. The tails get as many knots as the middle, which is what minima of many rounds need.
type quantile struct {
	lower, upper [knots]float32 // delays in nanoseconds at the ends of the steps
}

const (
	octaves  = 24
	stepBits = 6
	steps    = 1 << stepBits
	knots    = octaves*steps + 1
	shift    = 52 - stepBits
	highest  = uint64(1022) << stepBits // index of 1/2 in the bits of a float64
	lowest   = highest - octaves*steps  // and of 2^-25, the smallest tabulated
	smallest = 0x1p-25
)

// newQuantile tabulates q, which must not fall, for 0 < p < 1.
func newQuantile(q func(p float64) float64) *quantile {
	t := new(quantile)
	for i := range knots {
		p := argument(i)
		t.lower[i], t.upper[i] = float32(q(p)), float32(q(1-p))
	}
	return t
}

// argument returns the p at which knot i stands.
func argument(i int) float64 { return math.Float64frombits((lowest + uint64(i)) << shift) }

// at returns the delay that the share p does not exceed, for 0 < p < 1. Below 2^-25 it falls straight to zero; above 1-2^-25 it
// rises no more.
func (t *quantile) at(p float64) float64 {
	if p < 0.5 {
		if p < smallest {
			return float64(t.lower[0]) * (p / smallest)
		}
		return between(&t.lower, p)
	}
	return between(&t.upper, max(1-p, smallest))
}

func between(table *[knots]float32, p float64) float64 {
	b := math.Float64bits(p)
	i := b>>shift - lowest
	if i >= knots-1 { // exactly one half
		return float64(table[knots-1])
	}
	part := float64(b&(1<<shift-1)) * (1.0 / (1 << shift))
	a := float64(table[i])
	return a + part*(float64(table[i+1])-a)
}

// share returns the share of delays that do not exceed z: the inverse of at, by bisection over the knots.
func (t *quantile) share(z float64) float64 {
	switch {
	case !(z > 0):
		return 0
	case z < float64(t.lower[0]):
		return smallest * z / float64(t.lower[0])
	case z < float64(t.lower[knots-1]):
		return inverse(&t.lower, z, false)
	case z < float64(t.upper[0]):
		return 1 - inverse(&t.upper, z, true)
	}
	return 1
}

// inverse looks z up in a table that rises, or falls.
func inverse(table *[knots]float32, z float64, falls bool) float64 {
	lo, hi := 0, knots-1 // z lies between their delays
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if (float64(table[mid]) > z) != falls {
			hi = mid
		} else {
			lo = mid
		}
	}
	a, b := float64(table[lo]), float64(table[hi])
	if a == b {
		return argument(hi)
	}
	return argument(lo) + (argument(hi)-argument(lo))*(z-a)/(b-a)
}
