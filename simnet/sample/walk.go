package sample

import (
	"math"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// walk goes through the rounds of one exchange. All times are nanoseconds since its start, as floating-point numbers: a minute in
// nanoseconds fits their 53 bits to a hundred-thousandth of one.
type walk struct {
	rule         *rule
	draws        Draws
	oneWay       float64
	beacon, core side

	lastOut float64 // when the last packet to the core was due: none overtakes it
	m       Measurement
	best    [2]float64 // the beacon's two smallest round trips
	ofCore  float64    // the core's smallest
}

// side is a host with the law of its class.
type side struct {
	excess *quantile
	right  bool // its clock is
	End
}

// leaves draws what a packet waits at a side, or that it is lost.
func (w *walk) leaves(s *side) (wait float64, ok bool) {
	if s.Loss > 0 && w.draws.Float64() < s.Loss {
		return 0, false
	}
	return min(maxWait, s.Factor*s.excess.at(w.draws.Float64())), true
}

// maxWait is where the world cuts the tail: a packet that waits longer counts as lost wherever it is measured.
const maxWait = 1e9

// rule is exchange.Limits as numbers to reckon with, times in nanoseconds.
type rule struct {
	fewest, most                             int // rounds
	agree, timeout, window, budget, deadline float64
}

func newRule(l exchange.Limits) rule {
	return rule{fewest: int(l.MinRounds), most: int(l.MaxRounds), agree: float64(l.Agree), timeout: float64(l.Timeout),
		window: float64(2 * l.Spread / time.Duration(l.MinRounds)), budget: float64(l.Budget), deadline: float64(l.Deadline)}
}

// run is the beacon's rule of beacon/exchange: a challenge, its answer or a time-out, a pause, until enough is known.
func (w *walk) run() (Measurement, bool) {
	w.best, w.ofCore = [2]float64{math.Inf(1), math.Inf(1)}, math.Inf(1)
	now := w.pause(0)
	for {
		if now >= w.rule.deadline {
			break
		}
		sent := now
		now = w.round(sent)
		if w.enough(now) {
			break
		}
		now += w.pause(now - sent)
	}
	w.m.LastedNS = int64(now)
	w.m.Beacon, w.m.Core = whole(w.best[0]), whole(w.ofCore)
	return w.m, w.m.Valid >= w.rule.fewest && w.m.Core > 0
}

// whole rounds up: a delay is never shortened. Zero stands for none.
func whole(ns float64) earth.RTT {
	if math.IsInf(ns, 1) {
		return 0
	}
	return earth.RTT(math.Ceil(ns))
}

// round returns when the round that begins at sent is over.
func (w *walk) round(sent float64) float64 {
	w.m.Sent++
	lost := sent + w.rule.timeout
	out, ok := w.leaves(&w.beacon)
	if !ok {
		return lost
	}
	challenged := max(sent+w.oneWay+out, w.lastOut)
	w.lastOut = challenged
	back, ok := w.leaves(&w.core)
	if !ok {
		return lost
	}
	answered := challenged + w.oneWay + back
	if answered >= lost {
		return lost
	}
	w.record(w.beacon.reads(w, answered-sent))
	if out, ok = w.leaves(&w.beacon); ok {
		closed := max(answered+w.oneWay+out, w.lastOut)
		w.lastOut = closed
		if ns := w.core.reads(w, closed-challenged); ns > 0 && ns < w.ofCore {
			w.ofCore = ns
		}
	}
	return answered
}

// reads returns what a side's stopwatch makes of an interval that begins anywhere in its tick.
func (s *side) reads(w *walk, ns float64) float64 {
	if s.right {
		return ns
	}
	phase := 0.0
	if s.Clock.Tick > 1 {
		phase = w.draws.Float64()
	}
	return s.Clock.reads(ns, phase)
}

// record keeps a round trip by the beacon's clock; a zero is refused, as the clock rule does.
func (w *walk) record(ns float64) {
	if ns <= 0 {
		return
	}
	w.m.Valid++
	switch {
	case ns < w.best[0]:
		w.best[0], w.best[1] = ns, w.best[0]
	case ns < w.best[1]:
		w.best[1] = ns
	}
}

// enough is the beacon's decision that no round follows.
func (w *walk) enough(now float64) bool {
	r := w.rule
	if w.m.Sent >= r.most || now >= r.deadline {
		return true
	}
	if w.m.Valid < r.fewest {
		return false
	}
	return now >= r.budget || r.agree > 0 && w.best[1]-w.best[0] <= r.agree
}

// pause draws how long the beacon waits before the next challenge, given how long the last round took.
func (w *walk) pause(lasted float64) float64 {
	if w.rule.window <= 0 {
		return 0
	}
	gap := w.rule.window * w.draws.Float64()
	return max(gap-lasted, gap/6)
}
