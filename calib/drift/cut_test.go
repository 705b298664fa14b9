package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The slow twin: the cost of a stretch by counting, and every start tried for every end.
func slowCuts(values []float64) []int {
	n := len(values)
	if n < 2*minRun {
		return nil
	}
	sums, beta, w := cumulate(values), penalty(values), weight(n)
	cost := func(s, e int) float64 {
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
		if !slices.Equal(fast, slow) {
			t.Fatalf("cut at %v, the slow twin at %v", fast, slow)
		}
		if len(slow) > 2 {
			hard++
		}
	})
	if hard == 0 {
		t.Error("no series with several changes was drawn: the test proves nothing")
	}
}
