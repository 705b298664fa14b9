package model

import (
	"math"
	"sort"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Kilometres is a distance that a model deals in. It is not earth.Metres on purpose: nothing that is fitted becomes a bound without
// somebody writing the conversion down.
type Kilometres float64

// Pair is one measured round trip between two places that are a known distance apart.
type Pair struct {
	Distance Kilometres // great circle
	RTT      earth.RTT
}

// GroupIndex is that of plain single-mode fibre (ITU-T G.652, 1550 nm). It scales distance to time; it bounds nothing.
const GroupIndex = 1.468

// msPerKM is the round trip through one kilometre of fibre.
const msPerKM = 2 * GroupIndex / (float64(earth.Light) / 1e6)

// The variable that is modelled is the excess, log((rtt+1 ms)/(fibre time+1 ms)): a ratio where paths are long and a difference
// where they are short, with the millisecond of a host's stack as the scale between them. Its distribution changes slowly with
// log(distance+50 km), on which the knots are spaced evenly: from zero to half the circumference.
const (
	levels  = 9
	knots   = 13
	nearKM  = 50
	farKM   = 20_050
	scaleMS = 1
)

// probability and normal are the levels of the quantiles and the normal quantiles that belong to them.
var (
	probability = [levels]float64{0.01, 0.05, 0.15, 0.30, 0.50, 0.70, 0.85, 0.95, 0.99}
	normal      = [levels]float64{-2.326347874, -1.644853627, -1.036433389, -0.524400513, 0, 0.524400513, 1.036433389, 1.644853627, 2.326347874}
)

const (
	// minGap keeps neighbouring quantiles apart, in log units: two per cent of delay.
	minGap = 0.02
	// rightTail flattens the score beyond the last quantile: delays have a heavier right tail than the two last quantiles show.
	rightTail = 0.6
	// belowFloor is the score of a round trip that is faster than physics allows over that distance: as good as impossible, yet
	// finite, because beacons are sometimes not where they say.
	belowFloor = -12
	// claimKM is by how much a claimed distance may be too long before a round trip counts as faster than physics: published places
	// are cities, and data centres stand in their outskirts.
	claimKM = 25
)

// Curve holds quantiles of the excess at each knot. The zero Curve is not usable; fit one or take a profile's.
type Curve struct{ q [knots][levels]float64 }

var (
	firstKnot = math.Log(nearKM)
	knotStep  = (math.Log(farKM+nearKM) - math.Log(nearKM)) / (knots - 1)
)

// position returns where a distance lies among the knots.
func position(d Kilometres) (knot int, share float64) {
	x := (math.Log(float64(d)+nearKM) - firstKnot) / knotStep
	knot = max(0, min(knots-2, int(x)))
	return knot, max(0, min(1, x-float64(knot)))
}

// fibreLog is log(fibre time + 1 ms).
func fibreLog(d Kilometres) float64 { return math.Log(float64(d)*msPerKM + scaleMS) }

// LogRTT is the logarithm that Section works with: log(rtt + 1 ms).
func LogRTT(r earth.RTT) float64 { return math.Log(r.Millis() + scaleMS) }

// Section is the curve at one distance: the levels' quantiles of LogRTT, and its floor.
type Section struct {
	q     [levels]float64
	floor float64
}

// At cuts the curve at a distance.
func (c *Curve) At(d Kilometres) Section {
	k, share := position(d)
	base := fibreLog(d)
	s := Section{floor: math.Log(floorMS(d) + scaleMS)}
	for i := range s.q {
		s.q[i] = base + c.q[k][i] + share*(c.q[k+1][i]-c.q[k][i])
	}
	return s
}

// floorMS is the floor under round trips over a claimed distance.
func floorMS(d Kilometres) float64 { return max(0, float64(d)-claimKM) * floorMSPerKM }

// floorMSPerKM is the least round trip over a kilometre at the fibre class's speed.
const floorMSPerKM = 2e6 / (float64(earth.Light) * earth.FibreFactor)

// Score returns the normal score z of a log round trip, and log(dz/dlogRTT): with the standard normal density φ, the density of the
// log round trip is φ(z)·exp(slope). Between quantiles z runs straight; beyond them it goes on, more slowly to the right.
func (s *Section) Score(logRTT float64) (z, slope float64) {
	q := &s.q
	if logRTT < s.floor {
		return belowFloor, 0
	}
	switch {
	case logRTT <= q[0]:
		g := (normal[1] - normal[0]) / (q[1] - q[0])
		return max(belowFloor, normal[0]+(logRTT-q[0])*g), math.Log(g)
	case logRTT >= q[levels-1]:
		g := rightTail * (normal[levels-1] - normal[levels-2]) / (q[levels-1] - q[levels-2])
		return normal[levels-1] + (logRTT-q[levels-1])*g, math.Log(g)
	}
	i := 1
	for q[i] < logRTT {
		i++
	}
	g := (normal[i] - normal[i-1]) / (q[i] - q[i-1])
	return normal[i-1] + (logRTT-q[i-1])*g, math.Log(g)
}

// Score is Section.Score at a distance.
func (c *Curve) Score(r earth.RTT, d Kilometres) (z, slope float64) {
	s := c.At(d)
	return s.Score(LogRTT(r))
}

// LogDensity returns the logarithm of the density of log(rtt + 1 ms) at a distance.
func (c *Curve) LogDensity(r earth.RTT, d Kilometres) float64 {
	z, slope := c.Score(r, d)
	return slope - z*z/2 - 0.5*math.Log(2*math.Pi)
}

// Quantile returns the round trip below which the share p, within 0 and 1, of pairs at the distance lie, never below the floor.
func (c *Curve) Quantile(p float64, d Kilometres) earth.RTT {
	z := normalQuantile(p)
	s := c.At(d)
	i := sort.SearchFloat64s(normal[:], z)
	i = max(1, min(levels-1, i))
	g := (s.q[i] - s.q[i-1]) / (normal[i] - normal[i-1])
	if z > normal[levels-1] {
		g /= rightTail
		i = levels
	}
	log := max(s.q[i-1]+(z-normal[i-1])*g, s.floor)
	return earth.RTTFromMillis(min(1e9, math.Exp(log)-scaleMS))
}

// Floor returns the least round trip over a distance at the fibre class's speed. For tables: bounds are made elsewhere.
func Floor(d Kilometres) earth.RTT { return earth.RTTFromMillis(float64(d) * floorMSPerKM) }

// Likely returns the distance at which a round trip is the median: the model's guess of how far apart two hosts are.
func (c *Curve) Likely(r earth.RTT) Kilometres { return c.invert(r, 0) }

// Band returns the least and the greatest distance at which the round trip lies within the central share p of delays.
func (c *Curve) Band(p float64, r earth.RTT) (least, greatest Kilometres) {
	z := normalQuantile(0.5 + p/2)
	return c.invert(r, z), c.invert(r, -z)
}

// invert finds by bisection the greatest distance at which the round trip scores at least z. Scores fall with distance, up to the
// noise of the fit, so that bisection finds one such place.
func (c *Curve) invert(r earth.RTT, z float64) Kilometres {
	log := LogRTT(r)
	lo, hi := 0.0, float64(farKM)
	for range 50 {
		mid := (lo + hi) / 2
		s := c.At(Kilometres(mid))
		if got, _ := s.Score(log); got >= z {
			lo = mid
		} else {
			hi = mid
		}
	}
	return Kilometres(lo)
}

// normalQuantile is the inverse of the standard normal distribution, held within ±8.
func normalQuantile(p float64) float64 {
	if !(p > 0) {
		return -8
	}
	return max(-8, min(8, math.Sqrt2*math.Erfinv(2*min(p, 1)-1)))
}
