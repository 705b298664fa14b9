package world

import (
	"math"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// asymmetry is how one direction differs from the other.
type asymmetry struct {
	medianMS float64 // of the difference of the two one-way delays
	sigma    float64 // log-sd of the difference; 0 means that it is exponential
	rare     float64 // share of pairs whose directions lead different ways
	rareMS   float64 // median difference of those, with the same log-sd
	most     float64 // share of what a direction has beyond light that it may lose to the other
}

// plainAsymmetry: of two hosts' round trips to each other the median difference is at most 1 ms in every measured set.
var plainAsymmetry = asymmetry{medianMS: 0.5, most: 0.8}

// OneWay returns the least delay from one place to another on the usual route. The two directions of a pair differ a little and
// add up to MinRTT to the nanosecond; neither is below light along the straight line, unless the round trip itself is.
func (w *World) OneWay(from, to Place) (delay time.Duration, ok bool) {
	rtt, ok := w.MinRTT(from, to)
	if !ok {
		return 0, false
	}
	light := lightNanos(from, to)
	slack := math.Max(0, float64(rtt)/2-light)
	rnd := source.Pair(w.seed, "asymmetry", from.ID, to.ID)
	law := w.rules.asymmetry
	var half float64 // of the difference, ns
	if law.rare > 0 && rnd.Float64() < law.rare {
		law.medianMS = law.rareMS
	}
	if law.sigma > 0 {
		half = law.medianMS / 2 * 1e6 * math.Exp(law.sigma*rnd.NormFloat64())
	} else {
		half = rnd.ExpFloat64() * law.medianMS / math.Ln2 / 2 * 1e6
	}
	half = math.Min(half, law.most*slack)
	if rnd.Uint64()&1 == 0 {
		half = -half
	}
	first := rtt/2 + earth.RTT(half) // from the place whose id sorts first
	if floor := earth.RTT(math.Ceil(light)); rtt >= 2*floor {
		first = min(max(first, floor), rtt-floor)
	}
	if from.ID > to.ID {
		return time.Duration(rtt - first), true
	}
	return time.Duration(first), true
}

// OneWayAt returns the least delay at a moment, counted from the world's start: OneWay and what route changes add then. Changes
// may take away, too, but nothing leads below light along the straight line, nor below where OneWay is.
func (w *World) OneWayAt(from, to Place, at time.Duration) (delay time.Duration, ok bool) {
	delay, ok = w.OneWay(from, to)
	if !ok || !w.rules.moves() {
		return delay, ok
	}
	floor := min(delay, time.Duration(math.Ceil(lightNanos(from, to))))
	return max(floor, delay+w.changed(from, to, at)), true
}

// MinRTTAt returns the least round trip at a moment: OneWayAt there and back.
func (w *World) MinRTTAt(a, b Place, at time.Duration) (rtt earth.RTT, ok bool) {
	there, okThere := w.OneWayAt(a, b, at)
	back, okBack := w.OneWayAt(b, a, at)
	return earth.RTT(there + back), okThere && okBack
}

// lightNanos returns how long light in vacuum needs along the chord, one way.
func lightNanos(a, b Place) float64 {
	return float64(earth.Chord(a.ECEF(), b.ECEF())) / float64(earth.Light) * 1e9
}
