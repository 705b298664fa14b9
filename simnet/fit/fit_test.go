package fit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// naiveKS compares the shares at every value, one by one.
func naiveKS(a, b []float64) float64 {
	worst := 0.0
	share := func(of []float64, x float64) float64 {
		n := 0
		for _, v := range of {
			if v <= x {
				n++
			}
		}
		return float64(n) / float64(len(of))
	}
	for _, at := range [][]float64{a, b} {
		for _, x := range at {
			worst = math.Max(worst, math.Abs(share(a, x)-share(b, x)))
		}
	}
	return worst
}

func TestKSAgainstTheNaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 9), func(i int) float64 { return float64(i) }), 1, 40) // with many ties
		any := rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), 1, 40)
		a, b := rapid.OneOf(few, any).Draw(t, "a"), rapid.OneOf(few, any).Draw(t, "b")
		if got, want := KS(a, b), naiveKS(a, b); math.Abs(got-want) > 1e-12 || KS(b, a) != got {
			t.Errorf("%v, naively %v", got, want)
		}
	})
	if KS(nil, []float64{1}) != 1 || KS([]float64{1, 2}, []float64{2, 1}) != 0 {
		t.Error("of nothing everything is possible, and order does not count")
	}
}

// KS of samples from one distribution stays below the limit in about 95 of 100 trials.
func TestLimit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = rnd.NormFloat64()
		}
		return out
	}
	truth, below := draw(5000), 0
	for range 400 {
		if KS(draw(50), truth) < limit(50) {
			below++
		}
	}
	if below < 370 || below > 398 {
		t.Errorf("%d of 400 below the limit", below)
	}
}

// known is the law of a world whose measurements are then fitted.
func known() world.File {
	return world.File{Format: 1, Name: "known", Seed: new(uint64(9)), Places: world.PlacesSpec{Builtin: new(true)},
		Routes: world.RoutesSpec{
			Public: &world.LawSpec{Table: &world.TableSpec{Levels: []float64{0.02, 0.5, 0.98}, Node: 0.3, Corridor: 0.2,
				Rows: []world.RowSpec{{LightMS: 1, Excess: []float64{1, 3, 12}}, {LightMS: 30, Excess: []float64{6, 20, 60}}, {LightMS: 196, Excess: []float64{30, 80, 200}}}}},
			Asymmetry: &world.AsymmetrySpec{MedianMS: 0.3, Sigma: new(1.0)}}}
}

// measure makes the data set that the hosts of a world would have measured, every step-th city.
func measure(t testing.TB, w *world.World, step int) *Data {
	t.Helper()
	var nodes []dataset.Node
	var places []world.Place
	for i, p := range w.Places() {
		if i%step == 0 {
			places = append(places, p)
			nodes = append(nodes, dataset.Node{ID: p.ID, Name: p.Name, Country: p.Country, At: p.At})
		}
	}
	set, err := dataset.New("measured", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range places {
		for j, b := range places {
			if i == j {
				continue
			}
			rtt, _ := w.MinRTT(a, b)
			there, _ := w.OneWay(a, b)
			back, _ := w.OneWay(b, a)
			if err := set.Add(i, j, rtt+earth.RTT(max(0, there-back)), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	d, err := New(set)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A fit to what a known world measures finds the known world again: the curve, who is slow together, the directions.
func TestRecoversAKnownWorld(t *testing.T) {
	truth := known()
	w, err := truth.World()
	if err != nil {
		t.Fatal(err)
	}
	d := measure(t, w, 2)
	if len(d.Dropped) > 0 {
		t.Errorf("an honest world's nodes were dropped: %v", d.Dropped)
	}
	r, err := Run(d, Options{Seed: 3, worlds: 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want float64
		within    float64
	}{
		{"share of hosts", r.Node, 0.3, 0.12},
		{"share of countries", r.Lane, 0.2, 0.12},
		{"median difference of the directions", r.File.Routes.Asymmetry.MedianMS, 0.3, 0.03},
		{"its log-sd", *r.File.Routes.Asymmetry.Sigma, 1, 0.1},
	} {
		if math.Abs(c.got-c.want) > c.within {
			t.Errorf("%s: %v, truly %v", c.what, c.got, c.want)
		}
	}
	fitted, real := tableOf(t, r.File.Routes.Public.Table), tableOf(t, truth.Routes.Public.Table)
	for _, light := range []float64{10, 30, 60, 100, 150} {
		for _, z := range []float64{-1, 0, 1} {
			if ratio := fitted.ExcessMS(light, z) / real.ExcessMS(light, z); ratio < 0.75 || ratio > 1.33 {
				t.Errorf("%v ms of light, deviate %v: %.2f times the true excess", light, z, ratio)
			}
		}
	}
	if r.Final().MeanKS > 0.06 {
		t.Errorf("mean KS of %.3f", r.Final().MeanKS)
	}
	if r.Laws[0].MeanKS < 2*r.Final().MeanKS {
		t.Errorf("the built-in law, which is another, is as near (%.3f) as the fit (%.3f): the figure cannot tell them apart", r.Laws[0].MeanKS, r.Final().MeanKS)
	}
}

func tableOf(t testing.TB, s *world.TableSpec) *world.Table {
	t.Helper()
	table, err := world.NewTable(world.Table{Levels: s.Levels, Rows: rowsOf(*s), Node: s.Node, Corridor: s.Corridor})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Waiting is found again, too: how long, and how hosts differ.
func TestRecoversWaiting(t *testing.T) {
	w, err := known().World()
	if err != nil {
		t.Fatal(err)
	}
	d := measure(t, w, 4)
	d.runs, d.pings = 5, 30
	pairs := thin(d.pairs(), 400)
	truth := waits{world.AccessSpec{Class: world.DataCentre, Excess: scaled(3), Scatter: new(0.6), Tail: new(2.0)}, world.QueuesSpec{Scatter: 0.6, Tail: new(2.0)}}
	gaps, err := d.simulateGaps(pairs, truth, 77)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		pairs[i].gap = gaps[i]
	}
	found, err := d.fitWaits(pairs, &steps{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.simulateGaps(pairs, *found, 78)
	if err != nil {
		t.Fatal(err)
	}
	if ks := KS(gaps, again); ks > 0.08 {
		t.Errorf("KS of %.3f: %+v, hosts scatter by %v, paths by %v, tail %v", ks, *found.access.Excess, *found.access.Scatter, found.queues.Scatter, *found.access.Tail)
	}
	if ratio := found.access.Excess.P50 / truth.access.Excess.P50; ratio < 0.6 || ratio > 1.6 {
		t.Errorf("a median wait of %v ms, truly %v", found.access.Excess.P50, truth.access.Excess.P50)
	}
}

// A series drawn from a known law gives that law.
func TestRecoversASeries(t *testing.T) {
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	wait := w.WaitAt(world.Place{Access: world.Wired}, 0)
	s := &Series{Name: "drawn"}
	for i := range 40 {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		trace := Trace{Probe: fmt.Sprint(i)}
		for k := range 2000 {
			ms := 100 + float64(wait.Quantile(rnd.Float64()))/1e6
			if rnd.Float64() < 0.01 {
				ms = -1
			}
			trace.At, trace.MS = append(trace.At, int64(k*240)), append(trace.MS, ms)
		}
		s.Traces = append(s.Traces, trace)
	}
	r, err := RunSeries(s, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range r.Curve {
		for _, other := range []LeastOf{c, r.BuiltIn[i]} {
			if other.K <= 30 && math.Abs(other.Simulated[0]-other.Measured[0]) > 0.12*other.Measured[0] {
				t.Errorf("least of %d: %v simulated, %v measured", other.K, other.Simulated, other.Measured)
			}
		}
	}
	if math.Abs(r.Loss.Measured-0.01) > 0.002 || math.Abs(r.Loss.Simulated-0.01) > 0.002 {
		t.Errorf("loss %+v", r.Loss)
	}
}

// The same set and seed give the same world, report and drawing, on any number of processors; another seed gives another split.
func TestRepeatable(t *testing.T) {
	w, err := known().World()
	if err != nil {
		t.Fatal(err)
	}
	d := measure(t, w, 8)
	run := func(o Options) (report, file, chart []byte) {
		o.worlds = 5
		r, err := Run(d, o)
		if err != nil {
			t.Fatal(err)
		}
		report, err = json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if file, err = r.File.Marshal(); err != nil {
			t.Fatal(err)
		}
		var drawn bytes.Buffer
		if err := r.Chart(&drawn, "svg"); err != nil {
			t.Fatal(err)
		}
		return report, file, drawn.Bytes()
	}
	report, file, chart := run(Options{Seed: 5})
	old := runtime.GOMAXPROCS(1)
	report1, file1, chart1 := run(Options{Seed: 5})
	runtime.GOMAXPROCS(old)
	if !bytes.Equal(report, report1) || !bytes.Equal(file, file1) || !bytes.Equal(chart, chart1) {
		t.Error("on one processor it is another fit")
	}
	if other, _, _ := run(Options{Seed: 6, Split: ByNodes}); bytes.Equal(other, report) {
		t.Error("the seed changes nothing")
	}
	path := filepath.Join(t.TempDir(), "fitted.yaml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	a, errA := world.Load(path)
	b, errB := world.Load(path)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	places := a.Places()
	x, _ := a.MinRTT(places[0], places[1])
	if y, _ := b.MinRTT(places[0], places[1]); x != y || !reflect.DeepEqual(places, b.Places()) {
		t.Error("a fitted world is two worlds")
	}
}

// The halves share no pair, and split by nodes no node.
func TestHalves(t *testing.T) {
	w, err := known().World()
	if err != nil {
		t.Fatal(err)
	}
	d := measure(t, w, 6)
	for _, by := range []Split{ByPairs, ByNodes} {
		train, test, err := d.halves(d.pairs(), by, 1)
		if err != nil {
			t.Fatal(err)
		}
		nodes, pairs := map[int]bool{}, map[[2]int]bool{}
		for _, p := range train {
			nodes[p.a], nodes[p.b], pairs[[2]int{p.a, p.b}] = true, true, true
		}
		for _, p := range test {
			if pairs[[2]int{p.a, p.b}] || by == ByNodes && (nodes[p.a] || nodes[p.b]) {
				t.Fatalf("split by %s: %v is in both halves", by, p)
			}
		}
		if part := float64(len(train)) / float64(len(train)+len(test)); part < 0.3 || part > 0.7 {
			t.Errorf("split by %s: %d and %d", by, len(train), len(test))
		}
	}
	if _, _, err := d.halves(d.pairs(), "moon", 1); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	if _, _, err := d.halves(d.pairs()[:30], ByPairs, 1); !errors.Is(err, ErrTooFew) {
		t.Error(err)
	}
}

func TestSeriesRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"another header": "a,b,c\n", "no header": "", "no number": "probe,unix_ts,rtt_ms\n1,2,fast\n", "no moment": "probe,unix_ts,rtt_ms\n1,now,2\n",
		"a missing field": "probe,unix_ts,rtt_ms\n1,2\n", "not finite": "probe,unix_ts,rtt_ms\n1,2,NaN\n",
	} {
		var s Series
		if err := s.read(bytes.NewReader([]byte(text))); !errors.Is(err, ErrSeries) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := LoadSeries(t.TempDir()); !errors.Is(err, ErrSeries) {
		t.Error(err)
	}
	if _, err := RunSeries(&Series{}, Options{}); !errors.Is(err, ErrTooFew) {
		t.Error(err)
	}
}

func TestSampling(t *testing.T) {
	for text, want := range map[string][2]int{"~48x30": {48, 30}, "5x100": {5, 100}, "": {1, 10}, "43": {1, 10}, "x": {1, 10}, "-1x5": {1, 10}, "9x99999": {1, 10}} {
		if runs, pings := sampling(text); [2]int{runs, pings} != want {
			t.Errorf("%q: %d runs of %d", text, runs, pings)
		}
	}
}

// The measured clouds: the fitted table is nearer than the built-in law, and no bin is further than a quarter.
func TestMeasuredClouds(t *testing.T) {
	root := os.Getenv("URSA_DATA")
	if root == "" {
		root = "../../../shared/data"
	}
	d, err := Load(root + "/cloud-gcp-2019")
	if errors.Is(err, dataset.ErrMissing) {
		t.Skipf("no measured set: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(d, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if before, after := r.Laws[0], r.Final(); after.MeanKS >= before.MeanKS || after.WorstKS > 0.25 || len(after.Stretch) == 0 {
		t.Errorf("before %.3f (worst %.3f), after %.3f (worst %.3f)", before.MeanKS, before.WorstKS, after.MeanKS, after.WorstKS)
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil || !bytes.Contains(text.Bytes(), []byte("chance")) {
		t.Error(err, text.String())
	}
	if _, err := Cities(r.File).World(); err != nil {
		t.Error(err)
	}
}
