package drift

import (
	"math"
	"slices"
)

func sortFloats(v []float64) { slices.Sort(v) }

// Cutting a series at its changes of distribution.
//
// The cost of a stretch is the likelihood of its empirical distribution, summed over K quantiles of the whole series which crowd in
// the tails; the best cut minimises cost plus a penalty for each change, found exactly by dynamic programming with pruning (PELT:
// Killick, Fearnhead and Eckley, JASA 107, 2012).
const (
	quantiles = 16 // K; the authors use 4·log n, which is 37 at 10,000 points; 16 finds the same labelled changes in half the time
	// minRun is the fewest points between two changes: a stretch of three has a median that one wild point cannot move.
	minRun = 3
)

// cuts returns the indices at which a new stretch begins, ascending, without 0.
func cuts(values []float64) []int {
	n := len(values)
	if n < 2*minRun {
		return nil
	}
	sums := cumulate(values)
	return pelt(n, sums, penalty(values), weight(n))
}

// cumulate counts, for each of the K levels, how many of the first i values lie below (ties by half).
func cumulate(values []float64) [][quantiles]float32 {
	n := len(values)
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	c := -math.Log(2*float64(n) - 1)
	var levels [quantiles]float64
	for k := range levels {
		p := 1 / (1 + (2*float64(n)-1)*math.Exp(c/quantiles*(2*float64(k+1)-1)))
		levels[k] = quantile(sorted, p)
	}
	sums := make([][quantiles]float32, n+1)
	for i, v := range values {
		sums[i+1] = sums[i]
		for k, l := range levels {
			switch {
			case v < l:
				sums[i+1][k]++
			case v == l:
				sums[i+1][k] += 0.5
			}
		}
	}
	return sums
}

// weight is the factor 2·log(2n-1)/K of the authors' cost.
func weight(n int) float64 { return 2 * math.Log(2*float64(n)-1) / quantiles }

// penalty is 3·log n, the modified BIC of Zhang and Siegmund (Biometrics 63, 2007) as the authors use it, multiplied by how many
// neighbouring values say the same thing: (1+r)/(1-r) for a lag-one correlation of r among the differences from a running
// median, which steps hardly touch. r is capped at two thirds, a factor of five: the smoothest tables that are published, 30-day
// averages each week, repeat a value four or five times, and what agrees for longer is a level and not an echo.
func penalty(values []float64) float64 {
	r := min(max(correlation(values), 0), 2.0/3)
	return 3 * math.Log(float64(len(values))) * (1 + r) / (1 - r)
}

// correlation is the lag-one correlation of the signs of what a running median of 15 leaves: robust against spikes and steps.
func correlation(values []float64) float64 {
	const half = 7
	var window []float64
	signs := make([]float64, len(values))
	for i, v := range values {
		window = append(window[:0], values[max(0, i-half):min(len(values), i+half+1)]...)
		slices.Sort(window)
		switch m := quantile(window, 0.5); {
		case v > m:
			signs[i] = 1
		case v < m:
			signs[i] = -1
		}
	}
	var same, all float64
	for i := 1; i < len(signs); i++ {
		same += signs[i] * signs[i-1]
		all += math.Abs(signs[i] * signs[i-1])
	}
	if all == 0 {
		return 0
	}
	return math.Sin(math.Pi / 2 * same / all) // the sign correlation of a Gaussian, turned back
}

// pelt finds the cut of least cost.
func pelt(n int, sums [][quantiles]float32, penalty, weight float64) []int {
	best := make([]float64, n+1)
	from := make([]int, n+1)
	best[0] = -penalty
	candidates := []int{0}
	cost := make([]float64, n+1)
	logs := make([]float64, 2*n+1) // x·log x for halves
	for i := 1; i < len(logs); i++ {
		x := float64(i) / 2
		logs[i] = x * math.Log(x)
	}
	for end := minRun; end <= n; end++ {
		best[end] = math.Inf(1)
		for _, s := range candidates {
			cost[s] = best[s] + weight*stretch(&sums[s], &sums[end], end-s, logs)
			if total := cost[s] + penalty; total < best[end] {
				best[end], from[end] = total, s
			}
		}
		kept := candidates[:0]
		for _, s := range candidates {
			if cost[s] <= best[end] {
				kept = append(kept, s)
			}
		}
		candidates = kept
		if next := end - minRun + 1; next >= minRun {
			candidates = append(candidates, next)
		}
	}
	var found []int
	for s := from[n]; s > 0; s = from[s] {
		found = append(found, s)
	}
	slices.Reverse(found)
	return found
}

// stretch is the cost of a stretch: minus the sum over the levels of m·(F log F + (1-F) log(1-F)).
func stretch(a, b *[quantiles]float32, m int, logs []float64) float64 {
	total := 0.0
	whole := logs[2*m]
	for k := range a {
		below := int(2 * (b[k] - a[k]))
		total += whole - logs[below] - logs[2*m-below]
	}
	return total
}
