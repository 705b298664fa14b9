package estimate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// slowLikelihood is the slow twin of place and innovation: the covariance written out as a matrix, each score's conditional mean and
// variance by solving with the block before it, and kriging by solving the dense systems.
func slowLikelihood(m *Mesh, z [][]float64, c covariance, s *sight, at vec, gone absent, scores []float64) float64 {
	w := slowKrige(m, c, at, gone)
	total := c.near + c.far
	open := math.Round(math.Min(1, w.open)*openLevels) / openLevels
	n := len(s.order)
	cov := mat.NewSymDense(n, nil)
	expect := make([]float64, n)
	for i, a := range s.order {
		expect[i] = s.effect[a.beacon]
		for k, b := range w.beacons {
			expect[i] += w.regional[k] * s.effect[b]
			if v := z[b][a.beacon]; b != a.beacon && !math.IsNaN(v) {
				expect[i] += w.field[k] * (v - s.effect[b] - s.effect[a.beacon])
			}
		}
		for j, b := range s.order[:i+1] {
			v := c.access + (c.own+total*open)*c.kappa(m.km[a.beacon][b.beacon])/total
			if i == j {
				v = c.access + c.own + total*open + c.noise(math.Expm1(a.log))
			}
			cov.SetSym(i, j, v)
		}
	}
	sum := 0.0
	believed := make([]float64, n) // deviations, the strange ones shrunk
	for k := range n {
		mean, variance := 0.0, cov.At(k, k)
		if k > 0 {
			block := mat.NewSymDense(k, nil)
			row := mat.NewVecDense(k, nil)
			for i := range k {
				row.SetVec(i, cov.At(k, i))
				for j := range i + 1 {
					block.SetSym(i, j, cov.At(i, j))
				}
			}
			var x mat.VecDense
			if err := x.SolveVec(block, row); err != nil {
				return math.NaN()
			}
			mean = mat.Dot(&x, mat.NewVecDense(k, believed[:k]))
			variance -= mat.Dot(&x, row)
		}
		sd := math.Sqrt(variance)
		y := max(-farOff, min(farOff, (scores[k]-expect[k]-mean)/sd))
		strange := tooQuick
		if y > 0 {
			strange = detours
		}
		usual, odd := (1-strange)*math.Exp(-y*y/2), strange/wild*math.Exp(-y*y/2/wild/wild)
		sum += math.Log(usual+odd) - math.Log(sd)
		believed[k] = mean + sd*y*usual/(usual+odd)
	}
	return sum
}

type slowWeights struct {
	beacons         []int
	field, regional []float64
	open            float64
}

func slowKrige(m *Mesh, c covariance, at vec, gone absent) (w slowWeights) {
	for j := range m.Len() {
		if !gone.has(j) {
			w.beacons = append(w.beacons, j)
		}
	}
	slices.SortStableFunc(w.beacons, func(a, b int) int {
		return pick(km(at, m.at[a]) < km(at, m.at[b]), -1, pick(km(at, m.at[a]) > km(at, m.at[b]), 1, 0))
	})
	w.beacons = w.beacons[:min(neighbours, len(w.beacons))]
	solve := func(kappa func(d float64) float64, nugget float64) ([]float64, float64) {
		n := len(w.beacons)
		a, b := mat.NewDense(n, n, nil), mat.NewVecDense(n, nil)
		for i, x := range w.beacons {
			b.SetVec(i, kappa(km(at, m.at[x])))
			for j, y := range w.beacons {
				a.Set(i, j, kappa(m.km[x][y])+pick(i == j, nugget, 0))
			}
		}
		var x mat.VecDense
		if err := x.SolveVec(a, b); err != nil {
			return nil, 0
		}
		return x.RawVector().Data, mat.Dot(&x, b)
	}
	explained := 0.0
	w.field, explained = solve(c.kappa, c.calm+c.own)
	w.regional, _ = solve(func(d float64) float64 { return c.regional * math.Exp(-d/c.regionalKM) }, c.access)
	w.open = 1 - explained/(c.near+c.far)
	return w
}

func TestLikelihoodAgainstSlowTwin(t *testing.T) {
	w := makeWorld(60, 3)
	m := w.mesh(t, 60)
	_, l := small()
	z := scores(m, l.t.curve)
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		i := r.IntN(m.Len())
		gone := m.near(i, pick(round%2 == 0, 0.0, 500))
		c := startCovariance
		c.near *= 0.5 + r.Float64()
		c.own *= 0.5 + r.Float64()
		c.farKM *= 0.5 + r.Float64()
		s := newSight(m, z, gone, m.measured(i))
		s.believe(c.kernel())
		at := vec{X: m.at[i].X + 0.1*r.NormFloat64(), Y: m.at[i].Y + 0.1*r.NormFloat64(), Z: m.at[i].Z}.Normalize()
		list := make([]float64, len(s.order))
		for k := range list {
			list[k] = 2 * r.NormFloat64()
		}
		weights := s.kernel.krige(m, nearestBeacons(m, at, gone))
		s.place(&weights, len(s.order))
		got := 0.0
		for k, v := range list {
			got += math.Log(s.innovation(k, v)) - s.f.logDiagonal[k]
		}
		want := slowLikelihood(m, z, c, s, at, gone, list)
		if math.Abs(got-want) > 0.02*(1+math.Abs(want)) {
			t.Fatalf("round %d: fast %v, slow %v", round, got, want)
		}
	}
}

func TestNearestBeaconsAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		list := make([]Beacon, n)
		gone := make(absent, n)
		for i := range list {
			list[i] = Beacon{Country: "DE", At: earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")}}
			gone[i] = rapid.Bool().Draw(t, "gone")
		}
		m, err := NewMesh(list, func(i, j int) (earth.RTT, bool) { return 0, false })
		if err != nil {
			t.Fatal(err)
		}
		at := vecOf(earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")})
		var want []float64
		for j := range n {
			if !gone[j] {
				want = append(want, km(at, m.at[j]))
			}
		}
		slices.Sort(want)
		got := nearestBeacons(m, at, gone)
		if got.n != min(listed, len(want)) || got.misses(gone) {
			t.Fatalf("%d of %d", got.n, len(want))
		}
		for i := range got.n {
			if math.Abs(got.km[i]-want[i]) > 1e-6*(1+want[i]) {
				t.Fatalf("number %d is %v km away, want %v", i, got.km[i], want[i])
			}
		}
	})
}

// The gradient of the pool's loss against differences.
func TestPoolGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	for range 20 {
		var s thin
		for range 30 {
			var f [features]float64
			for k := range f {
				f[k] = r.NormFloat64()
			}
			s.f, s.fixed, s.label = append(s.f, f), append(s.fixed, r.NormFloat64()), append(s.label, r.Float64()*r.Float64())
		}
		p := startPool
		var gradient, ignored pool
		s.loss(&p, &gradient)
		for k := range p {
			const h = 1e-5
			up, down := p, p
			up[k] += h
			down[k] -= h
			want := (s.loss(&up, &ignored) - s.loss(&down, &ignored)) / (2 * h)
			if math.Abs(gradient[k]-want) > 1e-6*(1+math.Abs(want)) {
				t.Fatalf("%s: gradient %v, difference %v", featureNames[k], gradient[k], want)
			}
		}
	}
}

// Levels against their definition: try every level.
func TestLevelsAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Float64Range(0, 1), 0, 40).Draw(t, "scores")
		p := rapid.Float64Range(0, 1).Draw(t, "p")
		l := newLevels(slices.Clone(list))
		share := func(level float64) float64 {
			under := 0.0
			for _, s := range list {
				if s < level {
					under++
				}
			}
			return (under + faith*(1-math.Sqrt(1-level))) / (float64(len(list)) + 1 + faith)
		}
		got := l.at(p)
		if got < 0 || got > 1 {
			t.Fatalf("level %v", got)
		}
		if share(got) < p-1e-9 && got < 1 {
			t.Fatalf("under level %v fall %v, want %v", got, share(got), p)
		}
		if lower := got - 1e-6; lower > 0 && share(lower) >= p+1e-6 {
			t.Fatalf("level %v would do for %v, got %v", lower, p, got)
		}
		if q := rapid.Float64Range(0, 1).Draw(t, "q"); q > p && l.at(q) < got {
			t.Fatal("levels fall")
		}
	})
}
