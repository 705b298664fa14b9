package fit

import (
	"math"
	"slices"
)

// KS returns the greatest difference between the cumulative shares of two samples: Kolmogorov and Smirnov's statistic, 0 to 1. It is 1
// when one of them is empty, since nothing is known then.
func KS(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	worst := 0.0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := math.Min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		worst = math.Max(worst, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return worst
}

// limit is what KS stays below in 95 of 100 trials when n independent values truly come from the distribution that they are held
// against (Kolmogorov's asymptotic law). Pairs that share a host are not independent: chance does more than that.
func limit(n int) float64 {
	if n == 0 {
		return 1
	}
	return math.Min(1, 1.358/math.Sqrt(float64(n)))
}

// quantile returns the quantile p of sorted values, between neighbours by their distance; ok is false for none.
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(at-float64(i))
}

func sorted(x []float64) []float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x
}
