package fit

import (
	"math"

	"gonum.org/v1/gonum/optimize"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// least is the smallest excess that counts, in milliseconds: round trips at or below light in fibre (a place a few kilometres off) are
// taken for these.
const least = 0.02

// equipment is what world adds to every route, in milliseconds.
const equipment = 0.15

func (p pair) excess() float64 { return math.Max(least, p.rtt-p.light) }

// fitLaw finds the profile that makes the training pairs likeliest: log-normal excess around Scale·light^Power, with one spread below the
// median and Tail times as much above.
func fitLaw(train []pair) (world.Profile, error) {
	at := func(x []float64) world.Profile {
		return world.Profile{Name: "fitted", Scale: math.Exp(x[0]), Power: 2 / (1 + math.Exp(-x[1])), Sigma: math.Exp(x[2]), Near: math.Exp(x[3]), Tail: math.Exp(x[4])}
	}
	loss := func(x []float64) float64 { return surprise(at(x), train) + ridge(x) }
	start := []float64{math.Log(4), math.Log(0.64 / (2 - 0.64)), math.Log(0.5), math.Log(0.2), math.Log(1.3)}
	found, err := optimize.Minimize(optimize.Problem{Func: loss}, start, &optimize.Settings{MajorIterations: 2000}, &optimize.NelderMead{})
	if err != nil && found == nil {
		return world.Profile{}, err
	}
	p := at(found.X)
	p.Scale, p.Power, p.Sigma, p.Near, p.Tail = round(min(1000, p.Scale)), round(p.Power), round(min(3, p.Sigma)), round(min(3, p.Near)), round(min(10, p.Tail))
	return p, nil
}

// ridge keeps numbers that the data do not decide near where one would expect them.
func ridge(x []float64) float64 {
	sum := 0.0
	for i, expected := range []float64{math.Log(4), 0, math.Log(0.5), math.Log(0.2), 0} {
		sum += 1e-4 * (x[i] - expected) * (x[i] - expected)
	}
	return sum
}

// surprise is the mean negative log likelihood of the pairs. Deviates are cut at three, as where they are drawn: a pair beyond is no
// witness of the law's shape.
func surprise(p world.Profile, pairs []pair) float64 {
	sum := 0.0
	for _, x := range pairs {
		spread := p.Sigma + p.Near*math.Exp(-x.light/3)
		z := math.Log(math.Max(least, x.rtt-x.light-equipment)) - math.Log(p.Scale*math.Pow(math.Max(x.light, 1e-3), p.Power))
		if z > 0 {
			spread *= p.Tail
		}
		z /= spread
		sum += math.Log(spread) + math.Min(z*z, 9)/2
	}
	return sum / float64(len(pairs))
}

// median is the law's median excess, equipment included.
func median(p world.Profile, light float64) float64 {
	return equipment + p.Scale*math.Pow(math.Max(light, 1e-3), p.Power)
}

// round keeps four digits: what is written into a file is what is judged.
func round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	unit := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*unit) / unit
}
