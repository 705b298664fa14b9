package world

import (
	"math"
	"math/rand/v2"
	"time"
)

// What a packet waits beyond the least delay of its path, by access class. Measured round trips give the table: the excess of
// one packet (median, p90, p99) over the pair's weekly minimum, and the median excess of the least of 3, 10, 30 and 100 packets,
// which pins the lower quantiles: the median of the least of k draws is the quantile 1 - 2^(-1/k). (About 100 volunteers' hosts
// in each class; public latency measurements of 2016–2026.) For data-centre hosts the same measurements give only the mean
// excess of a round trip, 0.06 ms in one cloud and 0.39 ms in another; the row is shaped like the others and means 0.19 ms for
// the two ends together.
//
// The whole excess of a round trip is charged at one moment, where a packet leaves its host: queues stand on the uplink, and so
// a round trip between a home and a beacon waits once at each end, as measured.
var accessLaws = [Satellite + 1]accessLaw{
	DataCentre: {excess: prepare(quantiles{leastOf100: 0.001, leastOf30: 0.002, leastOf10: 0.006, leastOf3: 0.02, p50: 0.05, p90: 0.2, p99: 0.8}), loss: 0},
	Wired:      {excess: prepare(quantiles{leastOf100: 0.20, leastOf30: 0.45, leastOf10: 0.85, leastOf3: 1.6, p50: 1.7, p90: 3.4, p99: 6.6}), loss: 0.0009},
	Wifi:       {excess: prepare(quantiles{leastOf100: 0.17, leastOf30: 0.5, leastOf10: 0.7, leastOf3: 1.6, p50: 2.6, p90: 5.4, p99: 13}), loss: 0.0015},
	Cellular:   {excess: prepare(quantiles{leastOf100: 1.0, leastOf30: 2.4, leastOf10: 4.4, leastOf3: 8.4, p50: 11.5, p90: 24, p99: 46}), loss: 0.0012},
	Satellite:  {excess: prepare(quantiles{leastOf100: 1.5, leastOf30: 3.3, leastOf10: 6.4, leastOf3: 11.7, p50: 18, p90: 38, p99: 72}), loss: 0.0024},
}

// accessLaw is what a class of access does to packets.
type accessLaw struct {
	excess  *excessLaw
	loss    float64       // share of packets
	delay   time.Duration // of every packet, in each direction
	scatter float64       // log-sd from host to host of a factor on the excess; 0 for none
	tail    float64       // how many times as far that scatters above the median
}

// maxExcess cuts the tail, in milliseconds: a packet that waited longer counts as lost wherever it was measured.
const maxExcess = 1000

// quantiles is a distribution of delays in milliseconds, given at seven quantiles.
type quantiles struct{ leastOf100, leastOf30, leastOf10, leastOf3, p50, p90, p99 float64 }

// excessLaw is a distribution of delays, prepared for drawing. Between the given quantiles the logarithm of the delay runs
// straight against ln p (up to the median) or -ln(1-p) (above); towards p = 0 the delay falls straight to zero, and beyond p99
// the tail goes on as between p90 and p99.
type excessLaw struct {
	lowest, lowestMS float64 // the first given quantile
	lower            [5]knot // up to the median, x = ln p
	upper            [3]knot // from the median, x = -ln(1-p)
}

// knot is a point of the quantile function and the slope of the line that begins there.
type knot struct{ x, logMS, slope float64 }

func prepare(q quantiles) *excessLaw {
	least := func(k float64) float64 { return 1 - math.Exp2(-1/k) }
	l := &excessLaw{lowest: least(100), lowestMS: q.leastOf100}
	for i, g := range [...]struct{ p, ms float64 }{{least(100), q.leastOf100}, {least(30), q.leastOf30}, {least(10), q.leastOf10}, {least(3), q.leastOf3}, {0.5, q.p50}} {
		l.lower[i] = knot{x: math.Log(g.p), logMS: math.Log(g.ms)}
	}
	for i, g := range [...]struct{ p, ms float64 }{{0.5, q.p50}, {0.9, q.p90}, {0.99, q.p99}} {
		l.upper[i] = knot{x: -math.Log1p(-g.p), logMS: math.Log(g.ms)}
	}
	slopes(l.lower[:])
	slopes(l.upper[:])
	return l
}

// slopes fills in the slope of each line; the last goes on like the one before.
func slopes(k []knot) {
	for i := range k[1:] {
		k[i].slope = (k[i+1].logMS - k[i].logMS) / (k[i+1].x - k[i].x)
	}
	k[len(k)-1].slope = k[len(k)-2].slope
}

// at returns the quantile p in milliseconds, for 0 ≤ p < 1.
func (l *excessLaw) at(p float64) float64 {
	if p <= l.lowest {
		return l.lowestMS * p / l.lowest
	}
	if p <= 0.5 {
		return math.Exp(along(l.lower[:], math.Log(p)))
	}
	return math.Min(maxExcess, math.Exp(along(l.upper[:], -math.Log1p(-p))))
}

// along returns the height at x of the lines through the knots.
func along(knots []knot, x float64) float64 {
	i := len(knots) - 1
	for i > 0 && x < knots[i].x {
		i--
	}
	return knots[i].logMS + knots[i].slope*(x-knots[i].x)
}

// Excess draws what a packet waits where it leaves a host of this class, beyond the least delay of its path. It is never
// negative, and zero for an invalid class.
func (a Access) Excess(rnd *rand.Rand) time.Duration {
	if !a.Valid() {
		return 0
	}
	return time.Duration(accessLaws[a].excess.at(rnd.Float64()) * float64(time.Millisecond))
}

// Loss returns the share of round trips that a host of this class loses.
func (a Access) Loss() float64 {
	if !a.Valid() {
		return 0
	}
	return accessLaws[a].loss
}
