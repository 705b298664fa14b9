package eval

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Options say what to score.
type Options struct {
	Beacons int    // for each target; 0 means all others
	Seed    uint64 // draws the beacons and the folds
	Workers int    // goroutines; 0 means one for each processor
	Folds   int    // in which ursa is trained; 0 means as many as the size of the set affords, at least eight
	// ApartKM leaves out the target's metro: every beacon that claims to be nearer to it than this. 0 leaves out the target alone.
	ApartKM float64
	// Progress, if set, is told from any goroutine how many steps of how many are done.
	Progress func(done, total int)
	// Clock measures how long a method takes for a target; nil leaves the milliseconds zero.
	Clock func() time.Time
}

// Report is the score of every method. It marshals to the object of `ursa eval --json`.
type Report struct {
	Data    string              `json:"data"`
	Targets int                 `json:"targets"`
	Beacons int                 `json:"beacons"`
	Dropped []string            `json:"dropped"`
	Methods map[string]*Metrics `json:"methods"`
	Proof   map[string]*Proof   `json:"proof"`

	Seed    uint64   `json:"seed"`
	ApartKM float64  `json:"apart_km"`
	Folds   int      `json:"folds"`
	Learnt  string   `json:"learnt"` // by the first fold, for people
	Refused int      `json:"pairs_refused"`
	places  []Target // for maps
}

// Target is one target as it was scored, for maps.
type Target struct {
	ID       string
	Truth    earth.LatLon
	Estimate earth.LatLon // ursa's
	ErrorKM  float64
}

// Names lists the methods in the order of tables.
var Names = []string{"ursa", "shortest-ping", "cbg", "cbg++", "spotter"}

// Run scores all methods on a set.
func Run(ctx context.Context, set *dataset.Set, o Options) (*Report, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	t, err := newTask(set, o)
	if err != nil {
		return nil, err
	}
	p := newProgress(t, o)
	r := &Report{Data: set.Name, Targets: len(t.targets), Beacons: t.chosen, Dropped: append([]string{}, t.audit.ConvictedIDs()...),
		Methods: map[string]*Metrics{}, Seed: o.Seed, ApartKM: o.ApartKM, Refused: len(t.audit.Refused)}
	ursa, learnt, folds, err := runUrsa(ctx, t, o, p)
	if err != nil {
		return nil, err
	}
	r.Learnt, r.Folds = learnt, folds
	r.Methods["ursa"] = metricsOf(ursa)
	simple, err := runBaselines(ctx, t, o, p)
	if err != nil {
		return nil, err
	}
	for name, list := range simple {
		r.Methods[name] = metricsOf(list)
	}
	if r.Proof, err = runProof(ctx, t, o, p); err != nil {
		return nil, err
	}
	for i, target := range t.targets {
		r.places = append(r.places, Target{set.Nodes[t.node[target]].ID, t.at[target], earth.LatLon{Lat: ursa[i].best[0], Lon: ursa[i].best[1]}, ursa[i].errorKM})
	}
	return r, nil
}

// Places returns the targets with ursa's best points.
func (r *Report) Places() []Target { return r.places }

// ErrorsKM returns a method's errors in ascending order.
func (r *Report) ErrorsKM(method string) []float64 {
	if m := r.Methods[method]; m != nil {
		return m.errors
	}
	return nil
}

// Reliability returns, for a method whose regions have probabilities, those that were asked for and the shares that held the truth.
func (r *Report) Reliability(method string) (nominal, covered []float64) {
	if m := r.Methods[method]; m != nil && m.coverage != nil {
		return reliability, m.coverage
	}
	return nil, nil
}

// progress counts steps of all kinds.
type progress struct {
	done  atomic.Int64
	total int
	tell  func(done, total int)
}

func newProgress(t *task, o Options) *progress {
	folds := foldsOf(t, o.Folds)
	total := len(t.targets) * (2 + 2) // ursa's answer, the baselines', the proof at two classes
	for _, f := range folds {
		total += len(t.roster) - len(f.members)
	}
	return &progress{total: total, tell: o.Progress}
}

func (p *progress) step() {
	done := int(p.done.Add(1))
	if p.tell != nil {
		p.tell(done, p.total)
	}
}

// each calls f for every target from several goroutines, until the context ends.
func each(ctx context.Context, n, workers int, f func(i int)) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(workers, n) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return nil
}

// runBaselines answers by every published method.
func runBaselines(ctx context.Context, t *task, o Options, p *progress) (map[string][]answer, error) {
	spotter, err := newSpotter(t)
	if err != nil {
		return nil, err
	}
	methods := map[string]func(target int, seen []sight) answer{
		"shortest-ping": t.shortestPing,
		"cbg":           t.cbg,
		"cbg++":         t.cbgpp,
		"spotter":       spotter.locate,
	}
	out := map[string][]answer{}
	for name := range methods {
		out[name] = make([]answer, len(t.targets))
	}
	err = each(ctx, len(t.targets), o.Workers, func(i int) {
		target := t.targets[i]
		seen := t.sights(target)
		for name, locate := range methods {
			begin := clock(o)
			a := noAnswer()
			if len(seen) > 0 {
				a = locate(target, seen)
			} else {
				a.errorKM, a.empty = lostKM, true
			}
			a.nanos = clock(o).Sub(begin).Nanoseconds()
			out[name][i] = a
		}
		p.step()
	})
	return out, err
}

// lostKM is the error of a target that none of its beacons has measured: a quarter of the circumference, the mean distance of two
// random places.
const lostKM = 10_007

func clock(o Options) time.Time {
	if o.Clock == nil {
		return time.Time{}
	}
	return o.Clock()
}

// at fills in an answer's point: its error, and the country it names by the atlas.
func (t *task) answerAt(a *answer, target int, at earth.LatLon) {
	a.errorKM = earth.GreatCircle(at, t.at[target]).Kilometres()
	a.best = [2]float64{at.Lat, at.Lon}
	a.right = countryAt(at) == t.country[target] && t.country[target] != ""
}

func countryAt(at earth.LatLon) string {
	if place, ok := atlas.LookupNear(at, atlas.SnapDistance); ok {
		return place.Country
	}
	return ""
}
