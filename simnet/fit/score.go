package fit

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// edges of the distance bins in kilometres.
var edges = []float64{0, 100, 300, 700, 1500, 3000, 5000, 7500, 10_000, 13_000, 20_040}

// leastInBin is how many held-out pairs a bin needs; smaller ones join the next.
const leastInBin = 15

// Bin is how near a law's round trips are to the measured ones at one distance.
type Bin struct {
	FromKM    float64    `json:"from_km"`
	ToKM      float64    `json:"to_km"`
	Pairs     int        `json:"pairs"`        // held out
	KS        float64    `json:"ks"`           // between measured and simulated
	Limit     float64    `json:"ks_chance"`    // what independent samples of that size stay below in 95 of 100 trials
	Halves    float64    `json:"ks_halves"`    // between the two measured halves
	Measured  [3]float64 `json:"measured_ms"`  // p5, p50, p95
	Simulated [3]float64 `json:"simulated_ms"` // the same
}

// Likeness is how near a law is to what was held out.
type Likeness struct {
	Law     string    `json:"law"`
	Bins    []Bin     `json:"bins"`
	WorstKS float64   `json:"worst_ks"`
	MeanKS  float64   `json:"mean_ks"` // weighted by pairs
	Stretch []Compare `json:"stretch"` // quantiles over light in fibre, pairs from 300 km on

	samples []float64 // simulated round trips, ms: worlds times pairs
}

// Compare is one quantile, measured and simulated.
type Compare struct {
	P         float64 `json:"p"`
	Measured  float64 `json:"measured"`
	Simulated float64 `json:"simulated"`
}

// binsOf sorts pairs into distance bins that hold enough of the held-out ones.
func binsOf(test []pair) [][2]float64 {
	var out [][2]float64
	from, n := edges[0], 0
	for i, to := range edges[1:] {
		for _, p := range test {
			if p.km >= edges[i] && p.km < to {
				n++
			}
		}
		if n >= leastInBin {
			out = append(out, [2]float64{from, to})
			from, n = to, 0
		}
	}
	if n > 0 && len(out) > 0 { // the rest joins the last
		out[len(out)-1][1] = edges[len(edges)-1]
	}
	if len(out) == 0 {
		out = [][2]float64{{edges[0], edges[len(edges)-1]}}
	}
	return out
}

// worldsFor is how many seeds are drawn: fewer for large sets.
func worldsFor(test int) int { return min(200, max(20, 600_000/max(1, test))) }

// judge draws the held-out pairs in worlds of a file and compares them with what was measured.
func judge(name string, f world.File, train, test []pair, count *steps) (Likeness, error) {
	l := Likeness{Law: name}
	if err := l.simulate(f, test, count); err != nil {
		return Likeness{}, err
	}
	total := 0
	for _, span := range binsOf(test) {
		b := l.bin(span, train, test)
		l.Bins = append(l.Bins, b)
		l.WorstKS = math.Max(l.WorstKS, b.KS)
		l.MeanKS += b.KS * float64(b.Pairs)
		total += b.Pairs
	}
	l.MeanKS /= float64(max(1, total))
	l.stretch(test)
	return l, nil
}

// simulate draws the pairs in a number of worlds, on all processors, each into its own part of the samples.
func (l *Likeness) simulate(f world.File, test []pair, count *steps) error {
	first, err := f.World()
	if err != nil {
		return err
	}
	l.samples = make([]float64, count.worlds*len(test))
	var group sync.WaitGroup
	errs := make([]error, count.worlds)
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := range next {
				w, err := first.WithSeed(uint64(seed + 1))
				if err != nil {
					errs[seed] = err
					continue
				}
				places := w.Places()
				for i, p := range test {
					rtt, _ := w.MinRTT(places[p.a], places[p.b]) // synthetic worlds have every path
					l.samples[seed*len(test)+i] = rtt.Millis()
				}
				count.step()
			}
		})
	}
	for seed := range count.worlds {
		next <- seed
	}
	close(next)
	group.Wait()
	return errors.Join(errs...)
}

func (l *Likeness) bin(span [2]float64, train, test []pair) Bin {
	b := Bin{FromKM: span[0], ToKM: span[1]}
	measured, simulated := l.inBin(b, test)
	var other []float64
	for _, p := range train {
		if p.km >= b.FromKM && p.km < b.ToKM {
			other = append(other, p.rtt)
		}
	}
	b.Pairs, b.KS, b.Limit, b.Halves = len(measured), KS(measured, simulated), limit(len(measured)), KS(measured, other)
	for i, p := range []float64{0.05, 0.5, 0.95} {
		b.Measured[i], b.Simulated[i] = quantile(measured, p), quantile(simulated, p)
	}
	return b
}

// stretch compares the quantiles of round trip over light in fibre.
func (l *Likeness) stretch(test []pair) {
	var measured, simulated []float64
	for i, p := range test {
		if p.km < 300 {
			continue
		}
		measured = append(measured, p.rtt/p.light)
		for k := i; k < len(l.samples); k += len(test) {
			simulated = append(simulated, l.samples[k]/p.light)
		}
	}
	if len(measured) == 0 {
		return
	}
	slices.Sort(measured)
	slices.Sort(simulated)
	for _, p := range []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
		l.Stretch = append(l.Stretch, Compare{p, quantile(measured, p), quantile(simulated, p)})
	}
}
