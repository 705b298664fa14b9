package estimate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"gonum.org/v1/gonum/optimize"

	"github.com/ursa-virtual/ursa/calib/model"
)

// TrainOptions tune training; the zero value is the default.
type TrainOptions struct {
	// Workers is the number of goroutines; 0 means one for each processor. The result does not depend on it.
	Workers int
	// ApartKM makes the task harder: each beacon is located by those at least so far from it, as a core is that shares its metro with
	// none. 0 leaves out only the beacon itself.
	ApartKM float64
	// Progress, if set, is called from any goroutine each time a beacon has been located by the others.
	Progress func()
}

// ErrCancelled reports a training that its context ended.
var ErrCancelled = errors.New("training was cancelled")

const (
	// parts is the number of parts in which beacons are cross-fitted: each part's regions are judged with weights fitted to the others.
	parts = 3
	// kept limits the candidates that the weights are fitted to; the others have no say.
	kept = 500
	// A candidate is right when it is near the truth: within labelLeast to labelMost km, as the standard deviation of a soft label;
	// within twice the median distance of the beacons from their nearest populated place when that lies between.
	labelLeast, labelMost = 15, 60
)

// sample is one beacon located by the others, with where it truly stands.
type sample struct {
	list  []candidate
	label []float64 // how right each candidate is, 0 to 1
	truth vec
}

// Train learns from a mesh everything that a Locator needs. Each beacon in turn is located by the others. It fails only when its
// context ends.
func Train(ctx context.Context, m *Mesh, o TrainOptions) (*Trained, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	t := &Trained{trainedOn: m.Len(), weights: startPool, broad: 0.05, spreadKM: 6}
	pairs := m.pairs()
	var err error
	if t.profile, _, err = model.Select(pairs); err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	if t.curve, err = model.FitCurve(pairs, t.profile); err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	t.table = t.curve.Table()
	t.kernel = fitCovariance(m, scores(m, t.curve), o.ApartKM, o.Workers).kernel()
	l := NewLocator(m, t, o.Workers)
	label := l.labelKM()
	samples := make([]*sample, m.Len())
	parallel(m.Len(), o.Workers, func(i int) {
		if ctx.Err() == nil {
			samples[i] = l.sample(i, o.ApartKM, label)
		}
		if o.Progress != nil {
			o.Progress()
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCancelled, context.Cause(ctx))
	}
	t.learn(samples, o.Workers)
	return t, nil
}

// labelKM looks how far from populated places the beacons stand.
func (l *Locator) labelKM() float64 {
	var nearest []float64
	for _, at := range l.mesh.at {
		best := math.Inf(-1)
		for i := range l.sites {
			best = max(best, at.Dot(l.sites[i].at))
		}
		nearest = append(nearest, math.Acos(min(1, best))*radiusKM)
	}
	if len(nearest) == 0 {
		return labelLeast
	}
	slices.Sort(nearest)
	return max(labelLeast, min(labelMost, 2*nearest[len(nearest)/2]))
}

// sample locates beacon i by the others; nil when it has measured none of them.
func (l *Locator) sample(i int, apart, labelKM float64) *sample {
	q, ok := l.candidates(l.mesh.measured(i), l.mesh.near(i, apart), false)
	if !ok {
		return nil
	}
	s := &sample{list: q.found, truth: l.mesh.at[i]}
	s.label = make([]float64, len(s.list))
	cell := metroCell(s.truth).Parent(fineLevel)
	for j := range s.list {
		c := &s.list[j]
		if c.kind < coarseCell {
			d := km(c.at, s.truth)
			s.label[j] = math.Exp(-d * d / (2 * labelKM * labelKM))
		} else if g := &grid()[c.ref/pick[int32](c.kind == fineCell, fineInside, 1)]; g.id.Contains(cell) {
			// The share of the cell's land that is as near as a right place: the label's area over the land's.
			landKM2 := math.Exp(c.fixed) * areaKM2(cell)
			if c.kind == coarseCell || g.fine[c.ref%fineInside] == cell {
				s.label[j] = min(1, 2*math.Pi*labelKM*labelKM/landKM2)
			}
		}
	}
	return s
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// Text tells people what was learnt.
func (t *Trained) Text() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "learnt from %d beacons; delays lean on the profile %s; hosts spread %.1f km around their city; broad share %.2f\nweights:",
		t.trainedOn, t.profile, t.spreadKM, t.broad)
	for i, w := range t.weights {
		fmt.Fprintf(b, " %s %.2f;", featureNames[i], w)
	}
	fmt.Fprintf(b, "\nposterior mass that regions need: 50 %% %.3f, 90 %% %.3f, 95 %% %.3f\n", t.levels.at(0.5), t.levels.at(0.9), t.levels.at(0.95))
	return b.String()
}

// learn fits what is left once every beacon has been located: the weights on all of them; and, from weights that were fitted
// without the part that they are applied to, the broad share, the spread of hosts in cities, and the levels.
func (t *Trained) learn(samples []*sample, workers int) {
	use := make([][]*sample, parts+1)
	for i, s := range samples {
		if s == nil || len(s.list) == 0 {
			continue
		}
		for part := range use {
			if i%parts != part { // part number `parts` leaves out nobody
				use[part] = append(use[part], s)
			}
		}
	}
	fitted := make([]pool, parts+1)
	for part := range fitted {
		fitted[part] = fitPool(use[part], workers)
	}
	t.weights = fitted[parts]
	t.fitShape(samples, fitted, workers)
	scores := make([]float64, len(samples))
	parallel(len(samples), workers, func(i int) {
		scores[i] = math.NaN()
		if s := samples[i]; s != nil && len(s.list) > 0 {
			mass := posterior(s.list, &fitted[i%parts], t.broad)
			scores[i] = rasterise(s.list, mass, t.spreadKM, false).before(s.truth)
		}
	})
	t.levels = newLevels(slices.DeleteFunc(scores, math.IsNaN))
}

// fitPool maximises the log posterior of the truth, summed over the samples, with a normal prior on each weight (ridge). The
// candidates near the truth are right together. Each sample's loss is held, so that one that nothing explains does not bend the rest.
func fitPool(samples []*sample, workers int) pool {
	top := make([]thin, len(samples))
	parallel(len(samples), workers, func(i int) { top[i] = thinOut(samples[i]) })
	values, gradients := make([]float64, len(top)), make([]pool, len(top))
	evaluate := func(x, grad []float64) float64 {
		p := pool(x)
		parallel(len(top), workers, func(i int) { values[i] = top[i].loss(&p, &gradients[i]) })
		total := 0.0
		clear(grad)
		for i, v := range values {
			total += v
			for f := range grad {
				grad[f] += gradients[i][f]
			}
		}
		for f := range x {
			d := (x[f] - startPool[f]) / poolSpread[f]
			total += d * d / 2
			grad[f] += d / poolSpread[f]
		}
		return total
	}
	best, least := startPool, math.Inf(1)
	var at, slope pool // the last point asked about, and the gradient there
	value := math.NaN()
	ask := func(x []float64) {
		if p := pool(x); math.IsNaN(value) || p != at {
			at, value = p, evaluate(x, slope[:])
			if value < least {
				least, best = value, p
			}
		}
	}
	problem := optimize.Problem{
		Func: func(x []float64) float64 { ask(x); return value },
		Grad: func(grad, x []float64) { ask(x); copy(grad, slope[:]) },
	}
	start := startPool
	// A line search that runs into the last digit ends with an error; the best point seen counts.
	_, _ = optimize.Minimize(problem, start[:], &optimize.Settings{MajorIterations: 40}, &optimize.LBFGS{})
	return best
}

// thin is a sample without the candidates that have no say.
type thin struct {
	f     [][features]float64
	fixed []float64
	label []float64
}

func thinOut(s *sample) thin {
	order := make([]int, len(s.list))
	key := make([]float64, len(s.list))
	for i := range order {
		order[i] = i
		key[i] = -startPool.score(&s.list[i].f, 1) - s.list[i].fixed
		if s.label[i] > 0.1 {
			key[i] = math.Inf(-1)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if key[a] != key[b] {
			return pick(key[a] < key[b], -1, 1)
		}
		return a - b
	})
	var out thin
	for _, i := range order[:min(kept, len(order))] {
		out.f = append(out.f, s.list[i].f)
		out.fixed = append(out.fixed, s.list[i].fixed)
		out.label = append(out.label, s.label[i])
	}
	return out
}

// unexplained is the probability that every truth has in any case: a sample that the model cannot explain costs seven nats and
// pulls no weight.
const unexplained = 1e-3

// loss is minus the log probability of what is right, and its gradient.
func (s *thin) loss(p *pool, gradient *pool) float64 {
	score := make([]float64, len(s.f))
	for i := range s.f {
		score[i] = p.score(&s.f[i], 1) + s.fixed[i]
	}
	normalise(score)
	right := 0.0
	for i, m := range score {
		right += m * s.label[i]
	}
	*gradient = pool{}
	for i, m := range score {
		g := m * (right - s.label[i]) / (right + unexplained)
		if g == 0 {
			continue
		}
		for f := range gradient {
			gradient[f] += g * s.f[i][f]
		}
	}
	return -math.Log(right + unexplained)
}

// The grids over which fitShape looks.
var (
	broads  = []float64{0.01, 0.03, 0.06, 0.1, 0.2, 0.3}
	spreads = []float64{2, 3.5, 6, 10, 16, 25, 40}
)

// fitShape chooses the broad share and the spread under which the density at the true places is greatest, on the logarithmic scale.
func (t *Trained) fitShape(samples []*sample, fitted []pool, workers int) {
	type density struct{ sharp, wide [8]float64 }
	at := make([]density, len(samples))
	parallel(len(samples), workers, func(i int) {
		s := samples[i]
		if s == nil || len(s.list) == 0 {
			return
		}
		sharp, wide := posterior(s.list, &fitted[i%parts], 0), posterior(s.list, &fitted[i%parts], 1)
		for k, spread := range spreads {
			at[i].sharp[k], at[i].wide[k] = s.density(sharp, spread), s.density(wide, spread)
		}
	})
	best := math.Inf(-1)
	for k, spread := range spreads {
		for _, broad := range broads {
			sum := 3*math.Log(broad) + 20*math.Log(1-broad) // Beta(4, 21): a few dozen beacons cannot tell that the tails are light
			for i, s := range samples {
				if s != nil && len(s.list) > 0 {
					sum += math.Log((1-broad)*at[i].sharp[k] + broad*at[i].wide[k] + 1e-9)
				}
			}
			if sum > best {
				best, t.broad, t.spreadKM = sum, broad, spread
			}
		}
	}
}

// density returns the posterior density at the truth for each km².
func (s *sample) density(mass []float64, spread float64) float64 {
	cell := metroCell(s.truth).Parent(fineLevel)
	sum := 0.0
	for i := range s.list {
		c := &s.list[i]
		switch {
		case c.kind < coarseCell:
			if d := km(c.at, s.truth); d < 5*spread {
				sum += mass[i] * math.Exp(-d*d/(2*spread*spread)) / (2 * math.Pi * spread * spread)
			}
		case s.label[i] > 0:
			sum += mass[i] / (math.Exp(c.fixed) * areaKM2(cell))
		}
	}
	return sum
}
