package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// scatters are the log-sds from host to host that are tried.
var scatters = []float64{0, 0.15, 0.3, 0.45, 0.6, 0.8, 1, 1.3}

// tails are how many times as far they scatter above the median.
var tails = []float64{1, 1.5, 2, 3, 4, 5}

// mostRuns and mostPairs bound the simulation of pings: the median of 5 runs is nearly that of 48, and the spread of 800 pairs nearly
// that of 15,000.
const (
	mostRuns  = 5
	mostPairs = 800
)

// waits is the law of waiting of a fitted world.
type waits struct {
	access world.AccessSpec
	queues world.QueuesSpec
}

// fitWaits finds what data-centre hosts make packets wait, from the gaps between a pair's average and its minimum: the class's own
// law times a factor that differs from host to host and from path to path. How much of the differing is the hosts' shows in how alike the
// gaps are of pairs that share one. nil when the set gives no averages.
func (d *Data) fitWaits(train []pair, count *steps) (*waits, error) {
	pairs := withGap(train)
	if len(pairs) < 20 {
		return nil, nil
	}
	measured := gapsOf(pairs)
	host := d.hostShare(train)
	best, worst := waits{}, math.Inf(1)
	for _, scatter := range scatters {
		for _, tail := range tails {
			x := waits{world.AccessSpec{Class: world.DataCentre, Excess: scaled(1), Scatter: new(round(scatter * math.Sqrt(host))), Tail: new(tail)},
				world.QueuesSpec{Scatter: round(scatter * math.Sqrt(1-host)), Tail: new(tail)}}
			simulated, err := d.simulateGaps(pairs, x, 1)
			if err != nil {
				return nil, err
			}
			factor := median50(measured) / median50(simulated)
			for i := range simulated {
				simulated[i] *= factor
			}
			if ks := KS(measured, simulated); ks < worst {
				x.access.Excess = scaled(factor)
				best, worst = x, ks
			}
			count.step()
		}
	}
	return &best, nil
}

// hostShare estimates which share of the variance of the logarithm of gaps two pairs have in common that share a host, doubled: a gap has
// two hosts.
func (d *Data) hostShare(train []pair) float64 {
	var logs []float64
	byNode := make([][]int, d.Set.Len())
	for _, p := range train {
		if p.gap > 0 {
			byNode[p.a], byNode[p.b] = append(byNode[p.a], len(logs)), append(byNode[p.b], len(logs))
			logs = append(logs, math.Log(p.gap))
		}
	}
	mean, variance := 0.0, 0.0
	for _, x := range logs {
		mean += x / float64(len(logs))
	}
	for i := range logs {
		logs[i] -= mean
		variance += logs[i] * logs[i] / float64(len(logs))
	}
	if variance == 0 {
		return 1
	}
	var m moments
	couples(byNode, &m, logs, func(int, int) bool { return true })
	return math.Min(1, math.Max(0, 2*m.mean()/variance))
}

func withGap(pairs []pair) []pair {
	var out []pair
	for _, p := range pairs {
		if p.gap > 0 {
			out = append(out, p)
		}
	}
	return thin(out, mostPairs)
}

func gapsOf(pairs []pair) []float64 {
	out := make([]float64, len(pairs))
	for i, p := range pairs {
		out[i] = p.gap
	}
	return out
}

func median50(x []float64) float64 { return quantile(sorted(x), 0.5) }

// scaled is the built-in law of data centres times a factor.
func scaled(factor float64) *world.QuantilesSpec {
	ms := func(p float64) float64 {
		return math.Min(1000, math.Max(1e-6, round(factor*float64(world.DataCentre.ExcessQuantile(p))/1e6)))
	}
	leastOf := func(k float64) float64 { return ms(1 - math.Exp2(-1/k)) }
	return &world.QuantilesSpec{LeastOf100: leastOf(100), LeastOf30: leastOf(30), LeastOf10: leastOf(10), LeastOf3: leastOf(3), P50: ms(0.5), P90: ms(0.9), P99: ms(0.99)}
}

// set puts the law into a file.
func (x waits) set(f *world.File) {
	f.Access = []world.AccessSpec{x.access}
	f.Routes.Queues = nil
	if x.queues.Scatter > 0 {
		f.Routes.Queues = &x.queues
	}
}

// drawn is how many worlds a simulation of pings draws: hosts differ, and those of one world are few.
const drawn = 8

// simulateGaps pings each pair as the set did, in one of several worlds with such access: the median over runs of a run's average,
// less the median of its minimum.
func (d *Data) simulateGaps(pairs []pair, x waits, seed uint64) ([]float64, error) {
	worlds := make([]*world.World, drawn)
	f := d.file(0)
	x.set(&f)
	first, err := f.World()
	if err != nil {
		return nil, err
	}
	for i := range worlds {
		if worlds[i], err = first.WithSeed(drawn*seed + uint64(i)); err != nil {
			return nil, err
		}
	}
	places := first.Places()
	out := make([]float64, len(pairs))
	runs := min(max(1, d.runs), mostRuns)
	averages, minima := make([]float64, runs), make([]float64, runs)
	for i, p := range pairs {
		rnd, w := source.New(seed, "fit pings", strconv.Itoa(i)), worlds[i%drawn]
		there, back := w.WaitBetween(places[p.a], places[p.b], 0), w.WaitBetween(places[p.b], places[p.a], 0)
		for r := range runs {
			averages[r], minima[r] = ping(there, back, max(2, d.pings), rnd)
		}
		slices.Sort(averages)
		slices.Sort(minima)
		out[i] = quantile(averages, 0.5) - quantile(minima, 0.5)
	}
	return out, nil
}

// ping returns average and minimum of the waits of k round trips, ms.
func ping(a, b world.Wait, k int, rnd *rand.Rand) (average, least float64) {
	least = math.Inf(1)
	for range k {
		ms := float64(a.Quantile(rnd.Float64())+b.Quantile(rnd.Float64())) / 1e6
		average += ms / float64(k)
		least = math.Min(least, ms)
	}
	return average, least
}

// fitAsymmetry takes the median and the spread of the differences between the two directions' round trips. Both go the same loop, so
// that their difference is no one-way difference, but it is the nearest thing to one that round trips tell. nil when no pair was
// measured both ways, or when the differences cannot be told from zero.
func fitAsymmetry(train []pair) *world.AsymmetrySpec {
	var logs []float64
	for _, x := range directions(train) {
		if x > 0 {
			logs = append(logs, math.Log(x))
		}
	}
	slices.Sort(logs)
	if len(logs) < 20 || 2*len(logs) < len(directions(train)) {
		return nil
	}
	sigma := (quantile(logs, 0.75) - quantile(logs, 0.25)) / (2 * 0.6745)
	a := &world.AsymmetrySpec{MedianMS: round(math.Exp(quantile(logs, 0.5))), Sigma: new(round(math.Max(0.05, math.Min(5, sigma))))}
	// What stands further out than a log-normal reaches (2.3 % lie beyond two deviations) are pairs whose directions lead different ways.
	out, _ := slices.BinarySearch(logs, quantile(logs, 0.5)+2*sigma)
	if share := float64(len(logs)-out)/float64(len(logs)) - 0.0228; share > 0.005 && len(logs)-out >= 10 {
		a.Rare, a.RareMS = new(round(share)), new(round(min(1000, math.Exp(quantile(logs[out:], 0.5)))))
	}
	return a
}

func directions(pairs []pair) []float64 {
	var out []float64
	for _, p := range pairs {
		if p.direction >= 0 {
			out = append(out, p.direction)
		}
	}
	return out
}

// file returns the set's nodes as places of a world file, under the built-in laws.
func (d *Data) file(seed uint64) world.File {
	f := world.File{Format: 1, Name: d.Set.Name, Seed: new(seed)}
	for i, n := range d.Set.Nodes {
		name := n.Name
		if name == "" {
			name = n.ID
		}
		f.Places.List = append(f.Places.List, world.PlaceSpec{ID: fmt.Sprintf("%d %s", i, line(n.ID)), Name: line(name), Country: n.Country, Lat: n.At.Lat, Lon: n.At.Lon, Access: world.DataCentre})
	}
	return f
}

// line makes a text of a set one that a world's file takes: sets allow more.
func line(text string) string {
	r := []rune(strings.ReplaceAll(text, "\ufffd", "?"))
	return string(r[:min(len(r), 60)])
}
