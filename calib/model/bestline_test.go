package model_test

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/model"
)

// slowBestline is the slow twin: the linear programme as CBG states it, by the simplex method. Variables: slope beyond the least,
// intercept, and one slack for each point; minimise Σ(y − m·x − b).
func slowBestline(points []model.XY, least, greatest float64) (objective float64, err error) {
	n := len(points)
	c := make([]float64, 3+n)
	a := mat.NewDense(n+1, 3+n, nil)
	b := make([]float64, n+1)
	a.Set(n, 0, 1) // slope beyond the least + slack = greatest − least
	a.Set(n, 2+n, 1)
	b[n] = greatest - least
	constant := 0.0
	for i, p := range points {
		a.Set(i, 0, p.KM)
		a.Set(i, 1, 1)
		a.Set(i, 2+i, 1)
		b[i] = p.MS - least*p.KM
		c[0] -= p.KM
		c[1]--
		constant += p.MS - least*p.KM
	}
	got, _, err := lp.Simplex(c, a, b, 1e-10, nil)
	return got + constant, err
}

func TestBestlineAgainstSimplex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		points := make([]model.XY, n)
		for i := range points {
			km := rapid.Float64Range(1, 15_000).Draw(t, "km")
			points[i] = model.XY{KM: km, MS: km*rapid.Float64Range(model.TwoThirds, 0.05).Draw(t, "ms/km") + rapid.Float64Range(0.01, 20).Draw(t, "ms")}
		}
		greatest := rapid.SampledFrom([]float64{0.012, 0.0237, 1}).Draw(t, "greatest")
		line, err := model.FitBestline(points, model.TwoThirds, greatest)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, p := range points {
			above := p.MS - line.Slope*p.KM - line.Intercept
			if above < -1e-6 {
				t.Fatalf("%+v lies %v ms below %+v", p, -above, line)
			}
			sum += above
		}
		if line.Slope < model.TwoThirds-1e-15 || line.Slope > greatest || line.Intercept < 0 {
			t.Fatalf("%+v breaks the constraints", line)
		}
		want, err := slowBestline(points, model.TwoThirds, greatest)
		if err != nil {
			t.Skip("simplex:", err)
		}
		if math.Abs(sum-want) > 1e-6*(1+want) {
			t.Fatalf("hull %v, simplex %v", sum, want)
		}
	})
}

func TestBestlineByHand(t *testing.T) {
	for _, c := range []struct {
		name   string
		points []model.XY
		want   model.Bestline
	}{
		{"through the two lowest", []model.XY{{100, 3}, {1000, 21}, {500, 30}, {700, 40}}, model.Bestline{Slope: 0.02, Intercept: 1}},
		{"slope held at 2/3 c", []model.XY{{100, 10}, {1000, 15}}, model.Bestline{Slope: model.TwoThirds, Intercept: 15 - 1000*model.TwoThirds}},
		{"intercept held at zero", []model.XY{{100, 2}, {1000, 30}, {1100, 40}}, model.Bestline{Slope: 0.02, Intercept: 0}},
		{"one point", []model.XY{{100, 2}}, model.Bestline{Slope: 0.02, Intercept: 0}},
		{"at distance zero", []model.XY{{0, 2}}, model.Bestline{Slope: model.TwoThirds, Intercept: 2}},
	} {
		got, err := model.FitBestline(c.points, model.TwoThirds, math.Inf(1))
		if err != nil || math.Abs(got.Slope-c.want.Slope) > 1e-12 || math.Abs(got.Intercept-c.want.Intercept) > 1e-9 {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestBestlineRefuses(t *testing.T) {
	for name, points := range map[string][]model.XY{
		"nothing":            nil,
		"faster than 2/3 c":  {{1000, 9}},
		"not a number":       {{math.NaN(), 9}},
		"infinite delay":     {{10, math.Inf(1)}},
		"no delay":           {{10, 0}},
		"negative distance":  {{-10, 4}},
		"infinite distances": {{math.Inf(1), 4}},
	} {
		if _, err := model.FitBestline(points, model.TwoThirds, math.Inf(1)); !errors.Is(err, model.ErrBestline) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
