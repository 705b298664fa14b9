package eval

import (
	"math"
	"slices"
)

// floorP is the least probability that a score counts for the true country, for every method alike: log 0.001 is -6.9.
const floorP = 1e-3

// answer is what one method says about one target. What a method does not define stays NaN or undefined.
type answer struct {
	errorKM float64
	right   bool    // the country it names is the target's
	logP    float64 // natural logarithm of the probability that it gives to the true country, floored; NaN if undefined
	covers  [3]tri  // whether its 50, 90 and 95 % regions hold the truth
	area90  float64 // km² of its 90 % region; NaN if undefined
	region  tri     // whether its only region holds the truth, for a method whose region has no probability
	area    float64 // km² of that region; NaN if undefined
	empty   bool    // it had no region of its own
	nanos   int64
	nominal []float64 // for each percentage in reliability, whether covered: 1 or 0; nil if undefined
	best    [2]float64
}

// tri is a yes, a no, or a question that does not arise.
type tri uint8

const (
	undefined tri = iota
	no
	yes
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

func noAnswer() answer {
	return answer{logP: math.NaN(), area90: math.NaN(), area: math.NaN()}
}

// Metrics scores one method over all targets. A metric that the method does not define is nil.
type Metrics struct {
	MedianKM        *float64 `json:"median_km"`
	P25KM           *float64 `json:"p25_km"`
	P75KM           *float64 `json:"p75_km"`
	P90KM           *float64 `json:"p90_km"`
	MeanKM          *float64 `json:"mean_km"`
	CountryAccuracy *float64 `json:"country_accuracy"`
	CountryLogScore *float64 `json:"country_log_score"`
	Coverage50      *float64 `json:"coverage_50"`
	Coverage90      *float64 `json:"coverage_90"`
	Coverage95      *float64 `json:"coverage_95"`
	Area90MedianKM2 *float64 `json:"area_90_median_km2"`
	Empty           *int     `json:"empty"`
	MSPerTarget     *float64 `json:"ms_per_target"`

	// Beyond the contract: a region without a probability, how often it holds the truth; and 95 % intervals (Wilson, JASA 22, 1927).
	RegionCoverage      *float64    `json:"region_coverage"`
	RegionAreaMedianKM2 *float64    `json:"region_area_median_km2"`
	CountryInterval     *[2]float64 `json:"country_accuracy_interval"`
	Coverage50Interval  *[2]float64 `json:"coverage_50_interval"`
	Coverage90Interval  *[2]float64 `json:"coverage_90_interval"`
	Coverage95Interval  *[2]float64 `json:"coverage_95_interval"`
	Brier               *float64    `json:"country_brier"`
	Within50KM          *float64    `json:"within_50_km"`

	errors   []float64
	coverage []float64 // at each of reliability
	points   [][2]float64
}

func metricsOf(list []answer) *Metrics {
	m := &Metrics{}
	var errors, logs, areas, regionAreas []float64
	empty, ns := 0, 0.0
	for _, a := range list {
		errors = append(errors, a.errorKM)
		m.points = append(m.points, a.best)
		logs, areas, regionAreas = appendDefined(logs, a.logP), appendDefined(areas, a.area90), appendDefined(regionAreas, a.area)
		if a.empty {
			empty++
		}
		ns += float64(a.nanos)
	}
	slices.Sort(errors)
	m.errors = errors
	m.MedianKM, m.P25KM, m.P75KM, m.P90KM = quantile(errors, 0.5), quantile(errors, 0.25), quantile(errors, 0.75), quantile(errors, 0.9)
	m.MeanKM, m.CountryLogScore = mean(errors), mean(logs)
	m.CountryAccuracy, m.CountryInterval = share(list, func(a answer) tri { return triOf(a.right) })
	m.Within50KM, _ = share(list, func(a answer) tri { return triOf(a.errorKM <= 50) })
	m.Coverage50, m.Coverage50Interval = share(list, func(a answer) tri { return a.covers[0] })
	m.Coverage90, m.Coverage90Interval = share(list, func(a answer) tri { return a.covers[1] })
	m.Coverage95, m.Coverage95Interval = share(list, func(a answer) tri { return a.covers[2] })
	m.RegionCoverage, _ = share(list, func(a answer) tri { return a.region })
	slices.Sort(areas)
	slices.Sort(regionAreas)
	m.Area90MedianKM2, m.RegionAreaMedianKM2 = quantile(areas, 0.5), quantile(regionAreas, 0.5)
	m.Empty = &empty
	ms := ns / 1e6 / math.Max(1, float64(len(list)))
	m.MSPerTarget = &ms
	if len(logs) > 0 {
		m.Brier = brier(list)
	}
	m.coverage = reliabilityOf(list)
	return m
}

func appendDefined(list []float64, v float64) []float64 {
	if math.IsNaN(v) {
		return list
	}
	return append(list, v)
}

// quantile interpolates between the two nearest of sorted values (type 7 of Hyndman and Fan, American Statistician 50, 1996); nil
// without values.
func quantile(sorted []float64, p float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	x := p * float64(len(sorted)-1)
	i := min(int(x), len(sorted)-1)
	v := sorted[i]
	if i+1 < len(sorted) {
		v += (x - float64(i)) * (sorted[i+1] - v)
	}
	return &v
}

func mean(list []float64) *float64 {
	if len(list) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	sum /= float64(len(list))
	return &sum
}

// share returns the share of yes among yes and no, with Wilson's 95 % interval; nil when the question never arises.
func share(list []answer, question func(answer) tri) (*float64, *[2]float64) {
	hits, n := 0.0, 0.0
	for _, a := range list {
		switch question(a) {
		case yes:
			hits++
			n++
		case no:
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	const z = 1.959964
	p := hits / n
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return &p, &[2]float64{math.Max(0, middle-half), math.Min(1, middle+half)}
}

// brier is the mean squared miss of the true country's probability, (1 − p)². It leaves out how the rest is spread.
func brier(list []answer) *float64 {
	var misses []float64
	for _, a := range list {
		if !math.IsNaN(a.logP) {
			miss := 1 - math.Exp(a.logP)
			misses = append(misses, miss*miss)
		}
	}
	return mean(misses)
}

// reliability lists the probabilities at which coverage is drawn.
var reliability = []float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98}

func reliabilityOf(list []answer) []float64 {
	sum := make([]float64, len(reliability))
	n := 0.0
	for _, a := range list {
		if a.nominal == nil {
			continue
		}
		n++
		for i, v := range a.nominal {
			sum[i] += v
		}
	}
	if n == 0 {
		return nil
	}
	for i := range sum {
		sum[i] /= n
	}
	return sum
}

func logOf(p float64) float64 { return math.Log(math.Max(floorP, p)) }
