package bench

import (
	"math"
	"slices"
)

// Summary is what a sample of round trips shows, in nanoseconds. Percentiles are nearest ranks: at least that share of the sample is not longer.
type Summary struct {
	N     int   `json:"n"`
	MinNS int64 `json:"min_ns"`
	P50NS int64 `json:"p50_ns"`
	P90NS int64 `json:"p90_ns"`
	P99NS int64 `json:"p99_ns"`
}

// summarise sorts the sample; false when it is empty.
func summarise(ns []int64) (Summary, bool) {
	if len(ns) == 0 {
		return Summary{}, false
	}
	slices.Sort(ns)
	return Summary{N: len(ns), MinNS: ns[0], P50NS: rank(ns, 50), P90NS: rank(ns, 90), P99NS: rank(ns, 99)}, true
}

// rank returns the nearest rank of a percentile in a sorted sample.
func rank(sorted []int64, percent int) int64 { return sorted[(len(sorted)*percent+99)/100-1] }

// known returns the values that are numbers, sorted: a block that failed leaves a NaN in its place.
func known(values []float64) []float64 {
	s := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(s)
	return s
}

// median returns the middle one of the known values, the mean of the middle two for an even number; false for none.
func median(values []float64) (float64, bool) {
	s := known(values)
	n := len(s)
	if n == 0 {
		return 0, false
	}
	return (s[(n-1)/2] + s[n/2]) / 2, true
}

// spread returns the distance between the quartiles of a sample, relative to its median: how noisy the run was. False below four known
// values.
func spread(values []float64) (float64, bool) {
	s := known(values)
	n := len(s)
	if n < 4 {
		return 0, false
	}
	m, _ := median(s)
	if m == 0 {
		return 0, false
	}
	return (s[(3*n)/4] - s[n/4]) / m, true
}

// halfLight is half the speed of light in kilometres per nanosecond of round trip: what one of them costs as a radius.
const halfLight = 299_792.458 / 2 / 1e9

// kilometres is the radius that nanoseconds of round trip cost.
func kilometres(ns float64) float64 { return ns * halfLight }
