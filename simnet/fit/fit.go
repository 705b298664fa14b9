package fit

import (
	"math"
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// Options of a fit.
type Options struct {
	Seed  uint64 // of the split and of the fitted world
	Split Split  // what the halves are halves of; empty means ByPairs

	Progress func(done, total int) // called after each step, one call at a time; may be nil

	worlds int // drawn to judge a law; 0 for as many as the set's size asks for
}

// steps is how much work a fit is, and how much of it is done, for whoever waits.
type steps struct {
	worlds      int // that each law is judged by
	mu          sync.Mutex
	done, total int
	tell        func(done, total int)
}

func (s *steps) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done++; s.tell != nil {
		s.tell(s.done, s.total)
	}
}

// Spread compares a distribution of delays that does not depend on distance.
type Spread struct {
	Pairs     int       `json:"pairs"` // held out
	KS        float64   `json:"ks"`
	Limit     float64   `json:"ks_chance"`
	Quantiles []Compare `json:"quantiles_ms"`
}

// LeastOf is one point of the min-of-k curve: how far the least of k packets is above the pair's least, over pairs.
type LeastOf struct {
	K         int        `json:"k"`
	KS        float64    `json:"ks"`
	Measured  [2]float64 `json:"measured_ms"` // p50, p90
	Simulated [2]float64 `json:"simulated_ms"`
}

// Report says what was fitted and how near it is.
type Report struct {
	Data    string     `json:"data"`
	Seed    uint64     `json:"seed"`
	Split   Split      `json:"split"`
	Nodes   int        `json:"nodes"`
	Dropped []string   `json:"dropped"` // nodes whose claimed places contradict light
	Train   int        `json:"train_pairs"`
	Test    int        `json:"test_pairs"`
	Laws    []Likeness `json:"laws"`                // the built-in law that suits best, a law of five numbers, the table: before and after
	Node    float64    `json:"node_share"`          // of the table
	Lane    float64    `json:"corridor_share"`      // of the table
	Both    *Spread    `json:"asymmetry,omitempty"` // difference of the directions; absent where no pair was measured both ways
	Waiting *Spread    `json:"waiting,omitempty"`   // average less minimum; absent where the set gives no averages

	Others []Elsewhere `json:"elsewhere,omitempty"` // other sets, where asked for

	File world.File `json:"-"` // the fitted world: the set's nodes under the fitted laws

	test []pair
}

// Final returns the likeness of the world that is written.
func (r *Report) Final() Likeness { return r.Laws[len(r.Laws)-1] }

// Run fits a world to one half of a set's pairs and judges it by the other.
func Run(d *Data, o Options) (*Report, error) {
	if o.Split == "" {
		o.Split = ByPairs
	}
	train, test, err := d.halves(d.pairs(), o.Split, o.Seed)
	if err != nil {
		return nil, err
	}
	r := &Report{Data: d.Set.Name, Seed: o.Seed, Split: o.Split, Nodes: d.Set.Len(), Dropped: d.Dropped, Train: len(train), Test: len(test), test: test}
	if o.worlds == 0 {
		o.worlds = worldsFor(len(test))
	}
	count := &steps{worlds: o.worlds, total: 3*o.worlds + len(scatters)*len(tails), tell: o.Progress}
	if err := r.routes(d, train, test, count); err != nil {
		return nil, err
	}
	if a := fitAsymmetry(train); a != nil {
		r.File.Routes.Asymmetry = a
	}
	waits, err := d.fitWaits(train, count)
	if err != nil {
		return nil, err
	}
	if waits != nil {
		waits.set(&r.File)
	}
	r.File.Seed = new(o.Seed)
	return r, r.spreads(d, test, waits)
}

// routes fits the laws of least round trips, each held against the other half.
func (r *Report) routes(d *Data, train, test []pair, count *steps) error {
	law, err := fitLaw(train)
	if err != nil {
		return err
	}
	table, err := fitTable(train, law, d.Set.Nodes)
	if err != nil {
		return err
	}
	r.Node, r.Lane = table.Node, table.Corridor
	builtin := nearest(train)
	for _, c := range []struct {
		name string
		law  world.LawSpec
	}{
		{"built-in " + builtin.Name, world.LawSpec{Profile: builtin.Name}},
		{"fitted law", world.LawSpec{ScaleMS: new(law.Scale), Power: new(law.Power), Sigma: new(law.Sigma), Near: new(law.Near), Tail: new(law.Tail)}},
		{"fitted table", world.LawSpec{Table: &table}},
	} {
		f := d.file(r.Seed)
		f.Routes.Public = &c.law
		l, err := judge(c.name, f, train, test, count)
		if err != nil {
			return err
		}
		r.Laws = append(r.Laws, l)
		r.File = f
	}
	return nil
}

// spreads judges the directions and the waiting of the fitted world.
func (r *Report) spreads(d *Data, test []pair, waits *waits) error {
	w, err := r.File.World()
	if err != nil {
		return err
	}
	places := w.Places()
	if measured := directions(test); len(measured) >= 20 {
		var simulated []float64
		for _, p := range test {
			there, _ := w.OneWay(places[p.a], places[p.b])
			back, _ := w.OneWay(places[p.b], places[p.a])
			simulated = append(simulated, math.Abs(float64(there-back))/1e6)
		}
		r.Both = spread(measured, simulated)
	}
	if pairs := withGap(test); len(pairs) >= 20 && waits != nil {
		simulated, err := d.simulateGaps(pairs, *waits, r.Seed+1)
		if err != nil {
			return err
		}
		r.Waiting = spread(gapsOf(pairs), simulated)
	}
	return nil
}

func spread(measured, simulated []float64) *Spread {
	s := &Spread{Pairs: len(measured), KS: KS(measured, simulated), Limit: limit(len(measured))}
	measured, simulated = sorted(measured), sorted(simulated)
	for _, p := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
		s.Quantiles = append(s.Quantiles, Compare{p, quantile(measured, p), quantile(simulated, p)})
	}
	return s
}

// WorstFirst returns the bins of a likeness, the greatest distance between measured and simulated first.
func (l Likeness) WorstFirst() []Bin {
	out := slices.Clone(l.Bins)
	slices.SortStableFunc(out, func(x, y Bin) int { return compare(y.KS, x.KS) })
	return out
}
