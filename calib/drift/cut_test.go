package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slowCost is the cost of a stretch by counting.
func slowCost(values []float64) func(s, e int) float64 {
	sums, w := cumulate(values), weight(len(values))
	return func(s, e int) float64 {
		total, m := 0.0, float64(e-s)
		for k := range quantiles {
			f := float64(sums[e][k]-sums[s][k]) / m
			if f > 0 {
				total -= m * f * math.Log(f)
			}
			if f < 1 {
				total -= m * (1 - f) * math.Log(1-f)
			}
		}
		return w * total
	}
}

// price is what a cut costs, infinite when a stretch is too short.
func price(values []float64, cut []int) float64 {
	cost, total, s := slowCost(values), 0.0, 0
	for _, e := range append(slices.Clone(cut), len(values)) {
		if e-s < minRun && len(cut) > 0 {
			return math.Inf(1)
		}
		total += cost(s, e) + penalty(values)
		s = e
	}
	return total
}

// The slow twin: every start tried for every end.
func slowCuts(values []float64) []int {
	n := len(values)
	if n < 2*minRun {
		return nil
	}
	cost, beta := slowCost(values), penalty(values)
	best, from := make([]float64, n+1), make([]int, n+1)
	best[0] = -beta
	for e := 1; e <= n; e++ {
		best[e] = math.Inf(1)
		for s := 0; s <= e-minRun; s++ {
			if s > 0 && s < minRun {
				continue
			}
			if v := best[s] + cost(s, e) + beta; v < best[e] {
				best[e], from[e] = v, s
			}
		}
	}
	var found []int
	for s := from[n]; s > 0; s = from[s] {
		found = append(found, s)
	}
	slices.Reverse(found)
	return found
}

func TestCutsAgainstTheSlowTwin(t *testing.T) {
	hard := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		n := rapid.IntRange(1, 90).Draw(t, "points")
		values := make([]float64, n)
		level := 10.0
		for i := range values {
			if rng.IntN(15) == 0 {
				level = 10 + 20*rng.Float64()
			}
			values[i] = math.Round((level+rng.ExpFloat64())*4) / 4 // ties happen
		}
		fast, slow := cuts(values), slowCuts(values)
		// Cuts may cost the same, and then rounding decides between them.
		if a, b := price(values, fast), price(values, slow); !slices.Equal(fast, slow) && !(math.Abs(a-b) < 1e-9*(1+math.Abs(b))) {
			t.Fatalf("cut at %v for %v, the slow twin at %v for %v", fast, a, slow, b)
		}
		if len(slow) > 2 {
			hard++
		}
	})
	if hard == 0 {
		t.Error("no series with several changes was drawn: the test proves nothing")
	}
}
