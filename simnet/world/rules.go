package world

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// rules is what a world file may say beyond places and a profile. It does not change once the world is made.
type rules struct {
	start      time.Time // the instant of the world's time zero
	laws       [Satellite + 1]accessLaw
	homes      Profile // where an end is no data centre
	backbone   Profile // between two places of one operator
	asymmetry  asymmetry
	queues     float64 // log-sd from path to path of a factor on the excess; 0 for none
	queueTail  float64 // how many times as far that scatters above the median
	congestion []congestion
	changes    []change
	wander     *wander
	media      []medium
	clocks     clocks
}

// plainRules are those of the built-in world: no weather, no media, clocks that are right.
var plainRules = rules{start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), laws: accessLaws, homes: Homes, backbone: Cloud, asymmetry: plainAsymmetry}

// moves says whether least delays depend on time.
func (r *rules) moves() bool { return len(r.changes) > 0 || r.wander != nil }

// law returns what a place's access does; nothing for a class that is none.
func (w *World) law(p Place) accessLaw {
	if !p.Access.Valid() {
		return accessLaw{}
	}
	return w.rules.laws[p.Access]
}

// Start returns the instant of the world's time zero, from which hours of the day count.
func (w *World) Start() time.Time { return w.rules.start }

// IsSteady says whether nothing in the world depends on time but its clocks: neither routes nor queues.
func (w *World) IsSteady() bool { return !w.rules.moves() && len(w.rules.congestion) == 0 }

// Wait is what a packet meets at the access of the host that it leaves, at one moment: it is lost, or it waits in the queue
// beyond the least delay of its path.
type Wait struct {
	law    *excessLaw
	Factor float64 // on the excess of the host's class: the host's own, times the congestion of the hour
	Loss   float64 // share of packets lost, 0 to 1
}

// WaitAt returns what packets meet that leave a place at a moment counted from the world's start.
func (w *World) WaitAt(p Place, at time.Duration) Wait {
	return w.waitAt(p, w.hostFactor(p), at)
}

func (w *World) waitAt(p Place, own float64, at time.Duration) Wait {
	law := w.law(p)
	x := Wait{law: law.excess, Factor: own, Loss: law.loss}
	for _, c := range w.rules.congestion {
		if len(c.access) > 0 && !slices.Contains(c.access, p.Access) {
			continue
		}
		hour := w.hour(c, p, at)
		x.Factor *= alongDay(c.hours, hour)
		if c.loss != nil {
			x.Loss *= alongDay(c.loss, hour)
		}
	}
	x.Loss = math.Min(1, x.Loss)
	return x
}

// hostFactor draws how much longer than its class a host makes packets wait.
func (w *World) hostFactor(p Place) float64 {
	law := w.law(p)
	if law.scatter == 0 {
		return 1
	}
	z := deviate(source.New(w.seed, "host queue", p.ID))
	if z > 0 {
		z *= law.tail
	}
	return math.Exp(law.scatter * z)
}

// QueueFactor draws how much longer than their hosts' law packets wait on the paths between two towns, both ways alike; 1 where a world
// does not tell paths from each other. Whoever draws an exchange multiplies the Factor of both its ends by it.
func (w *World) QueueFactor(a, b Place) float64 {
	if w.rules.queues == 0 || a.Metro == b.Metro {
		return 1
	}
	z := deviate(source.Pair(w.seed, "path queue", a.Metro, b.Metro))
	if z > 0 {
		z *= w.rules.queueTail
	}
	return math.Exp(w.rules.queues * z)
}

// WaitBetween is WaitAt for packets that leave one place for another: with the factor of their path.
func (w *World) WaitBetween(from, to Place, at time.Duration) Wait {
	x := w.WaitAt(from, at)
	x.Factor *= w.QueueFactor(from, to)
	return x
}

// Quantile returns the excess that the share p of packets stays below, for 0 ≤ p < 1. It is never negative.
func (x Wait) Quantile(p float64) time.Duration {
	if x.law == nil {
		return 0
	}
	return time.Duration(math.Min(maxExcess, x.Factor*x.law.at(p)) * float64(time.Millisecond))
}

// Draw decides on one packet: what it waits, or that it is lost.
func (x Wait) Draw(rnd *rand.Rand) (excess time.Duration, lost bool) {
	if rnd.Float64() < x.Loss {
		return 0, true
	}
	return x.Quantile(rnd.Float64()), false
}

// congestion multiplies the excess of some classes, hour by hour.
type congestion struct {
	access []Access // none means all
	utc    bool     // the hours are UTC's, not the place's own
	hours  []float64
	loss   []float64 // nil when loss does not follow
}

// hour returns the hour of the day at a moment, 0 to 24: UTC's, or the sun's at the place's longitude, since a queue follows
// people and not the law of their country.
func (w *World) hour(c congestion, p Place, at time.Duration) float64 {
	day := float64(w.rules.start.Unix()%86400) + float64(w.rules.start.Nanosecond())/1e9 + at.Seconds()
	if !c.utc {
		day += p.At.Lon / 360 * 86400
	}
	day = math.Mod(day, 86400)
	if day < 0 {
		day += 86400
	}
	return day / 3600
}

// alongDay interpolates a curve of 24 values, each for the full hour, round the clock.
func alongDay(curve []float64, hour float64) float64 {
	whole, part := math.Modf(hour)
	i := int(whole) % 24
	return curve[i] + (curve[(i+1)%24]-curve[i])*part
}

// change is a route that changes for a while.
type change struct {
	from, to string // towns; empty for any
	at       time.Duration
	until    time.Duration // beyond every moment when it lasts
	there    time.Duration // added from from to to
	back     time.Duration // added from to to from
}

// wander is the random coming and going of longer routes.
type wander struct {
	every    time.Duration // one draw lasts so long
	share    float64       // of the draws that leave the usual route
	medianMS float64       // of what is added to the round trip then
	sigma    float64       // its log-sd
}

// changed adds up what route changes do to a direction at a moment.
func (w *World) changed(from, to Place, at time.Duration) time.Duration {
	var sum time.Duration
	for _, c := range w.rules.changes {
		if at < c.at || at >= c.until {
			continue
		}
		if matches(c.from, from) && matches(c.to, to) {
			sum += c.there
		} else if matches(c.from, to) && matches(c.to, from) {
			sum += c.back
		}
	}
	return sum + w.wandered(from, to, at)
}

func matches(town string, p Place) bool { return town == "" || town == p.Metro }

// epoch numbers the draws of a wandering route; a moment before the start belongs to the first.
func (x *wander) epoch(at time.Duration) int64 { return int64(max(0, at) / x.every) }

// wandered draws, for the present epoch of a pair of towns, whether it is on a longer route and by how much, half each way.
func (w *World) wandered(from, to Place, at time.Duration) time.Duration {
	x := w.rules.wander
	if x == nil || from.Metro == to.Metro {
		return 0
	}
	rnd := source.New(w.seed, "route change", min(from.Metro, to.Metro), max(from.Metro, to.Metro), strconv.FormatInt(x.epoch(at), 10))
	if rnd.Float64() >= x.share {
		return 0
	}
	return time.Duration(x.medianMS / 2 * 1e6 * math.Exp(x.sigma*deviate(rnd)))
}

// settled returns until when the least delays of a moment stay as they are: the next change of any route.
func (w *World) settled(at time.Duration) time.Duration {
	next := time.Duration(math.MaxInt64)
	for _, c := range w.rules.changes {
		for _, edge := range []time.Duration{c.at, c.until} {
			if edge > at {
				next = min(next, edge)
			}
		}
	}
	if x := w.rules.wander; x != nil {
		next = min(next, time.Duration(x.epoch(at)+1)*x.every)
	}
	return next
}

// medium is a way between places that is faster than plain fibre.
type medium struct {
	name    string
	index   float64         // how many times as long as light in vacuum it needs, at least 1
	stretch float64         // of its way over the great circle, at least 1
	height  float64         // metres above the ground at which the way runs; it leads up and down, too
	extra   float64         // ms for its equipment, there and back
	towns   map[string]bool // every two of these are joined; nil for none
	share   float64         // of all pairs of towns that it joins
}

// overMedia returns the fastest way over the media that join a pair, and usual where none does. No medium is faster than light in
// vacuum along the chord: a great circle on the mean sphere may come out shorter than the chord of the ellipsoid by half a percent.
func (w *World) overMedia(a, b Place, usual earth.RTT) earth.RTT {
	if a.Metro == b.Metro {
		return usual
	}
	floor := 2 * math.Ceil(lightNanos(a, b))
	best := usual
	for _, m := range w.rules.media {
		if !(m.towns[a.Metro] && m.towns[b.Metro]) && !w.hasShare(m, a, b) {
			continue
		}
		way := float64(earth.GreatCircle(a.At, b.At))*m.stretch*(1+m.height/meanRadius) + 2*m.height
		best = min(best, earth.RTT(math.Ceil(math.Max(floor, 2e9*way*m.index/float64(earth.Light))+m.extra*1e6)))
	}
	return best
}

// meanRadius of the Earth in metres, on which earth.GreatCircle reckons.
const meanRadius = 6_371_008.8

func (w *World) hasShare(m medium, a, b Place) bool {
	return m.share > 0 && source.Pair(w.seed, "medium "+m.name, a.Metro, b.Metro).Float64() < m.share
}
