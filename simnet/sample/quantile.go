package sample

import "math"

// quantile is the inverse of a distribution function of delays, tabulated so that a look into it needs neither logarithm nor
// search. Each half of the unit interval is cut into octaves counted from its own end (from 0 below the middle, from 1 above) and
// each octave into equal steps; the bits of the argument as a floating-point number are the index. Within a step the delay runs
// straight. The tails get as many knots as the middle, which is what minima of many rounds need.
type quantile struct {
	half [2][knots]float32 // delays in nanoseconds at the ends of the steps, below and above the middle
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
		t.half[0][i], t.half[1][i] = float32(q(p)), float32(q(1-p))
	}
	return t
}

// argument returns the p at which knot i stands.
func argument(i int) float64 { return math.Float64frombits((lowest + uint64(i)) << shift) }

// at returns the delay that the share p does not exceed, for 0 < p < 1. Below 2^-25 it falls straight to zero; above 1-2^-25 it
// rises no more. Which half p is in is as good as a coin, so nothing here branches on it.
func (t *quantile) at(p float64) float64 {
	half := 0
	if p >= 0.5 {
		half = 1
	}
	q := min(p, 1-p)
	if q < smallest {
		return t.beyond(half, q)
	}
	b := math.Float64bits(q)
	i := b>>shift - lowest
	if i >= knots-1 { // exactly one half
		return float64(t.half[half][knots-1])
	}
	part := float64(int64(b&(1<<shift-1))) * (1.0 / (1 << shift))
	a := float64(t.half[half][i])
	return a + part*(float64(t.half[half][i+1])-a)
}

// beyond is the end of a tail.
func (t *quantile) beyond(half int, q float64) float64 {
	end := float64(t.half[half][0])
	if half == 0 {
		return end * (q / smallest)
	}
	return end
}

// share returns the share of delays that do not exceed z: the inverse of at, by bisection over the knots.
func (t *quantile) share(z float64) float64 {
	switch {
	case !(z > 0):
		return 0
	case z < float64(t.half[0][0]):
		return smallest * z / float64(t.half[0][0])
	case z < float64(t.half[0][knots-1]):
		return inverse(&t.half[0], z, false)
	case z < float64(t.half[1][0]):
		return 1 - inverse(&t.half[1], z, true)
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
