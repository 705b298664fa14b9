package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// What a fit refuses.
var (
	ErrProfile  = errors.New("unknown profile")
	ErrDistance = errors.New("impossible distance")
	ErrRTT      = errors.New("impossible round trip")
	ErrTooMany  = errors.New("too many pairs")
)

// MaxPairs limits a fit: all pairs of 4,096 nodes.
const MaxPairs = 1 << 23

const (
	maxKM = 20_040 // half the longest meridian ellipse, and some
	// profileWeight is how many pairs at a knot the profile stands for: enough to carry a knot that has none, and outvoted by some
	// dozens.
	profileWeight = 15
	profilePoints = 31
	// wantPairs is how many effective pairs a knot's kernel reaches for, and kernelWidth how wide it is, in knots, before and at most
	// after reaching.
	wantPairs               = 60
	kernelWidth, kernelMost = 0.6, 2.4
	// selectPairs are enough to choose a profile by, and selectParts the parts of which each in turn is held out.
	selectPairs, selectParts = 20_000, 4
)

// point is a pair as the fit sees it: x in knots, e the excess.
type point struct{ x, e float64 }

// check validates pairs and returns their points sorted, without those faster than light in vacuum, which it counts.
func check(pairs []Pair) (points []point, impossible int, err error) {
	if len(pairs) > MaxPairs {
		return nil, 0, fmt.Errorf("%w: %d, at most %d", ErrTooMany, len(pairs), MaxPairs)
	}
	points = make([]point, 0, len(pairs))
	for i, p := range pairs {
		if !(p.Distance >= 0 && p.Distance <= maxKM) {
			return nil, 0, fmt.Errorf("%w: pair %d: %v km, at most half the circumference", ErrDistance, i, float64(p.Distance))
		}
		if p.RTT <= 0 || p.RTT.Millis() > 600_000 {
			return nil, 0, fmt.Errorf("%w: pair %d: %v, must be positive and at most ten minutes", ErrRTT, i, p.RTT)
		}
		if p.RTT.Millis() < floorMS(p.Distance) {
			impossible++
			continue
		}
		x := (math.Log(float64(p.Distance)+nearKM) - firstKnot) / knotStep
		points = append(points, point{x, LogRTT(p.RTT) - fibreLog(p.Distance)})
	}
	slices.SortFunc(points, func(a, b point) int {
		if a.e != b.e {
			return cmp(a.e, b.e)
		}
		return cmp(a.x, b.x)
	})
	return points, impossible, nil
}

func cmp(a, b float64) int {
	if a < b {
		return -1
	}
	return 1
}

// FitCurve fits a curve to pairs, leaning on a profile where there are few. Pairs that are faster than the floor are left out.
func FitCurve(pairs []Pair, p Profile) (*Curve, error) {
	if !p.Valid() {
		return nil, fmt.Errorf("%w: %v", ErrProfile, p)
	}
	points, _, err := check(pairs)
	if err != nil {
		return nil, err
	}
	return fitCurve(points, p), nil
}

// fitCurve takes weighted quantiles at each knot: of the points under a kernel, and of the profile's own quantiles as further
// points. points are sorted by excess.
func fitCurve(points []point, p Profile) *Curve {
	prior := p.Curve()
	c := new(Curve)
	weight := make([]float64, len(points))
	for k := range knots {
		total := kernel(points, float64(k), weight)
		c.q[k] = quantiles(points, weight, total, prior.spread(k))
	}
	return c
}

// spread returns the profile at a knot as evenly likely points, in ascending order.
func (c *Curve) spread(knot int) []float64 {
	out := make([]float64, profilePoints)
	for i := range out {
		z := normalQuantile((float64(i) + 0.5) / profilePoints)
		j := 1
		for j < levels-1 && normal[j] < z {
			j++
		}
		q := &c.q[knot]
		out[i] = q[j-1] + (z-normal[j-1])*(q[j]-q[j-1])/(normal[j]-normal[j-1])
	}
	return out
}

// kernel weighs the points by their distance from a knot, more widely where there are few, and returns the sum.
func kernel(points []point, knot float64, weight []float64) float64 {
	for width := kernelWidth; ; width *= 1.3 {
		total, squares := 0.0, 0.0
		for i, p := range points {
			u := (p.x - knot) / width
			weight[i] = math.Exp(-u * u / 2)
			total += weight[i]
			squares += weight[i] * weight[i]
		}
		if total*total >= wantPairs*squares || width*1.3 > kernelMost {
			return total
		}
	}
}

// quantiles merges weighted points with a profile's and reads off the levels.
func quantiles(points []point, weight []float64, total float64, prior []float64) (q [levels]float64) {
	share := float64(profileWeight) / float64(len(prior))
	all := total + profileWeight
	sum, level, j := 0.0, 0, 0
	take := func(e, w float64) {
		for sum += w; level < levels && sum >= probability[level]*all; level++ {
			q[level] = e
		}
	}
	for i, p := range points {
		for ; j < len(prior) && prior[j] <= p.e; j++ {
			take(prior[j], share)
		}
		take(p.e, weight[i])
	}
	for ; j < len(prior); j++ {
		take(prior[j], share)
	}
	for ; level < levels; level++ { // rounding may leave the last level open
		q[level] = q[max(0, level-1)]
	}
	for i := 1; i < levels; i++ {
		q[i] = max(q[i], q[i-1]+minGap)
	}
	return q
}

// Score is the mean log density that a profile gave to round trips that it had not seen.
type Score struct {
	Profile Profile
	HeldOut float64 // nats for each pair
}

// Select fits with each profile in turn, leaving out every part of the pairs once, and returns the profile under which the parts
// left out were most likely, with all scores. Without any pair it answers Public.
func Select(pairs []Pair) (Profile, []Score, error) {
	points, _, err := check(pairs)
	if err != nil {
		return 0, nil, err
	}
	best, scores := choose(points)
	return best, scores, nil
}

func choose(points []point) (Profile, []Score) {
	if step := len(points) / selectPairs; step > 1 {
		thin := make([]point, 0, selectPairs+1)
		for i := 0; i < len(points); i += step {
			thin = append(thin, points[i])
		}
		points = thin
	}
	scores := make([]Score, len(Profiles))
	best := 0
	for i, p := range Profiles {
		scores[i] = Score{p, heldOut(points, p)}
		if scores[i].HeldOut > scores[best].HeldOut {
			best = i
		}
	}
	return Profiles[best], scores
}

func heldOut(points []point, p Profile) float64 {
	if len(points) == 0 {
		return 0
	}
	sum := 0.0
	in, out := make([]point, 0, len(points)), make([]point, 0, len(points)/selectParts+1)
	for part := range selectParts {
		in, out = in[:0], out[:0]
		for i, q := range points {
			if i%selectParts == part {
				out = append(out, q)
			} else {
				in = append(in, q)
			}
		}
		c := fitCurve(in, p)
		for _, q := range out {
			sum += c.logDensity(q)
		}
	}
	return sum / float64(len(points))
}

// logDensity of a point, held at that of nine standard deviations so that a single liar cannot choose the profile.
func (c *Curve) logDensity(p point) float64 {
	d := Kilometres(math.Exp(firstKnot+p.x*knotStep) - nearKM)
	s := c.At(max(0, d))
	z, slope := s.Score(p.e + fibreLog(max(0, d)))
	return max(-40, slope-z*z/2-0.5*math.Log(2*math.Pi))
}
