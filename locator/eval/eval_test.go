package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/estimate"
	"github.com/ursa-virtual/ursa/topology/earth"
)

var cities = []dataset.Node{
	{Name: "Frankfurt", Country: "DE", At: earth.LatLon{Lat: 50.11, Lon: 8.68}}, {Name: "Paris", Country: "FR", At: earth.LatLon{Lat: 48.86, Lon: 2.35}},
	{Name: "Madrid", Country: "ES", At: earth.LatLon{Lat: 40.42, Lon: -3.7}}, {Name: "Milan", Country: "IT", At: earth.LatLon{Lat: 45.46, Lon: 9.19}},
	{Name: "Warsaw", Country: "PL", At: earth.LatLon{Lat: 52.23, Lon: 21.01}}, {Name: "Vienna", Country: "AT", At: earth.LatLon{Lat: 48.21, Lon: 16.37}},
	{Name: "London", Country: "GB", At: earth.LatLon{Lat: 51.51, Lon: -0.13}}, {Name: "Stockholm", Country: "SE", At: earth.LatLon{Lat: 59.33, Lon: 18.07}},
	{Name: "Chicago", Country: "US", At: earth.LatLon{Lat: 41.88, Lon: -87.63}}, {Name: "Denver", Country: "US", At: earth.LatLon{Lat: 39.74, Lon: -104.99}},
	{Name: "Dallas", Country: "US", At: earth.LatLon{Lat: 32.78, Lon: -96.8}}, {Name: "Berlin", Country: "DE", At: earth.LatLon{Lat: 52.52, Lon: 13.4}},
	{Name: "Lyon", Country: "FR", At: earth.LatLon{Lat: 45.75, Lon: 4.85}},
}

// europe is a small honest set; delay, when given, adds milliseconds to a pair.
func europe(t testing.TB, delay func(i, j int) float64) *dataset.Set {
	t.Helper()
	nodes := slices.Clone(cities)
	for i := range nodes {
		nodes[i].ID = fmt.Sprintf("n%02d", i)
	}
	set, err := dataset.New("europe", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		for j := range i {
			d := earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres()
			ms := 1 + d*0.0148 + float64((i*7+j*3)%5)
			if delay != nil {
				ms += delay(i, j)
			}
			if err := set.Add(i, j, earth.RTTFromMillis(ms), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	return set
}

func run(t testing.TB, set *dataset.Set, o Options) *Report {
	t.Helper()
	r, err := Run(context.Background(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The object of the contract: every key is there, what a method does not define is null, and it is the same however many work on it.
func TestReportIsTheContract(t *testing.T) {
	set := europe(t, nil)
	steps := 0
	r := run(t, set, Options{Folds: 3, Workers: 1, Progress: func(done, total int) {
		if steps++; done > total {
			t.Errorf("step %d of %d", done, total)
		}
	}})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(run(t, set, Options{Folds: 3, Workers: 4}))
	if string(data) != string(again) {
		t.Errorf("one goroutine and four disagree:\n%s\n%s", data, again)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	methods := got["methods"].(map[string]any)
	if len(methods) != 5 || got["targets"] != 13.0 || got["beacons"] != 12.0 || got["data"] != "europe" || len(got["dropped"].([]any)) != 0 {
		t.Fatalf("%s", data)
	}
	keys := []string{"median_km", "p25_km", "p75_km", "p90_km", "mean_km", "country_accuracy", "country_log_score", "coverage_50", "coverage_90", "coverage_95",
		"area_90_median_km2", "empty", "ms_per_target"}
	null := map[string][]string{"shortest-ping": {"country_log_score", "coverage_50", "coverage_90", "coverage_95", "area_90_median_km2"},
		"cbg": {"coverage_50", "coverage_90", "coverage_95", "area_90_median_km2"}, "cbg++": {"coverage_50", "coverage_90", "coverage_95", "area_90_median_km2"}}
	for name, m := range methods {
		for _, key := range keys {
			v, ok := m.(map[string]any)[key]
			if !ok || (v == nil) != slices.Contains(null[name], key) {
				t.Errorf("%s.%s is %v", name, key, v)
			}
		}
	}
	for class, p := range got["proof"].(map[string]any) {
		for _, key := range []string{"proven_country", "proven_eu27", "wrong_inside", "wrong_outside", "inconsistent", "region_median_km2"} {
			if v, ok := p.(map[string]any)[key]; !ok || v == nil {
				t.Errorf("%s.%s is %v", class, key, v)
			}
		}
		for _, key := range []string{"wrong_inside", "wrong_outside", "inconsistent"} {
			if p.(map[string]any)[key] != 0.0 {
				t.Errorf("%s: %s %v in an honest world", class, key, p.(map[string]any)[key])
			}
		}
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "spotter") {
		t.Error(table.String(), err)
	}
}

// Nothing that a target took part in reaches any fit: its round trips may be anything.
func TestFitsDoNotKnowTheTarget(t *testing.T) {
	const target = 5
	honest := europe(t, nil)
	other := europe(t, func(i, j int) float64 {
		if i == target || j == target {
			return 3 + float64(i+j)
		}
		return 0
	})
	a, err := newTask(honest, Options{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	b, err := newTask(other, Options{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	sa, _ := newSpotter(a)
	sb, _ := newSpotter(b)
	la, _ := sa.fit(target)
	lb, _ := sb.fit(target)
	if !slices.Equal(la.mean, lb.mean) || !slices.Equal(la.square, lb.square) {
		t.Error("spotter's law knows the target")
	}
	if lc, _ := sb.fit(target + 1); slices.Equal(lb.mean, lc.mean) {
		t.Error("the test tests nothing: another target's law is the same")
	}
	for beacon := range a.node {
		x, _ := a.bestline(beacon, target, math.Inf(1))
		if y, _ := b.bestline(beacon, target, math.Inf(1)); beacon != target && x != y {
			t.Errorf("the bestline of %d knows the target", beacon)
		}
	}
	learn := func(tk *task) string {
		for _, f := range foldsOf(tk, 3) {
			if !slices.Contains(f.members, target) {
				continue
			}
			others := slices.DeleteFunc(slices.Clone(tk.roster), func(m int) bool { return slices.Contains(f.members, m) })
			mesh, err := tk.mesh(others)
			if err != nil {
				t.Fatal(err)
			}
			trained, err := estimate.Train(context.Background(), mesh, estimate.TrainOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return trained.Text()
		}
		return "in no fold"
	}
	if x, y := learn(a), learn(b); x != y {
		t.Errorf("what ursa learns knows the target:\n%s\n%s", x, y)
	}
}

func TestBeaconsAreDrawnAsAsked(t *testing.T) {
	set := europe(t, nil)
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(r, "beacons")
		tk, err := newTask(set, Options{Beacons: n, Seed: rapid.Uint64().Draw(r, "seed")})
		if err != nil {
			r.Fatal(err)
		}
		want := n
		if n == 0 {
			want = 12
		}
		members := map[int]int{}
		for _, f := range foldsOf(tk, 0) {
			for _, m := range f.members {
				members[m]++
			}
		}
		for _, target := range tk.targets {
			seen := tk.sights(target)
			if len(seen) != want || tk.chosen != want {
				r.Fatalf("target %d has %d beacons, want %d", target, len(seen), want)
			}
			for i, s := range seen {
				if s.beacon == target || !slices.Contains(tk.roster, s.beacon) || i > 0 && s.ms < seen[i-1].ms {
					r.Fatalf("target %d: sights %v", target, seen)
				}
			}
			if members[tk.absent(target)] != 1 {
				r.Fatalf("target %d is served by %d folds", target, members[tk.absent(target)])
			}
		}
	})
	for _, c := range []struct {
		o    Options
		want error
	}{{Options{Beacons: -1}, ErrBeacons}, {Options{Beacons: 13}, ErrBeacons}, {Options{ApartKM: -1}, ErrApart}, {Options{ApartKM: math.NaN()}, ErrApart}} {
		if _, err := Run(context.Background(), set, c.o); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	few := slices.Clone(cities[:2])
	few[0].ID, few[1].ID = "a", "b"
	lonely, err := dataset.New("two", few)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), lonely, Options{}); !errors.Is(err, ErrNoData) {
		t.Errorf("two nodes: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, set, Options{Folds: 3}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestApartLeavesOutTheMetro(t *testing.T) {
	tk, err := newTask(europe(t, nil), Options{ApartKM: 450})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range tk.targets {
		for _, s := range tk.sights(target) {
			if tk.km[target][s.beacon] < 450 {
				t.Fatalf("%s has a beacon at %v km", cities[target].Name, tk.km[target][s.beacon])
			}
		}
	}
	for _, f := range foldsOf(tk, 0) {
		for _, m := range f.members {
			for _, other := range tk.roster {
				if tk.km[m][other] < 450 && !slices.Contains(f.members, other) {
					t.Fatalf("%s and %s are neighbours in two folds", cities[m].Name, cities[other].Name)
				}
			}
		}
	}
}

// exactDepth is the slow twin of depth: the deepest place is a disk's middle or where two circles cross.
func exactDepth(disks []disk, slack float64) int {
	var tries []vec
	for i, a := range disks {
		tries = append(tries, a.at)
		for _, b := range disks[:i] {
			tries = append(tries, crossings(a, b)...)
		}
	}
	best := 0
	for _, p := range tries {
		n := 0
		for _, d := range disks {
			if kmBetween(p, d.at) <= d.km+slack {
				n++
			}
		}
		best = max(best, n)
	}
	return best
}

// crossings returns where two circles on the sphere cross: points p with p·a = cos α and p·b = cos β.
func crossings(a, b disk) []vec {
	ca, cb, dot := math.Cos(a.km/radiusKM), math.Cos(b.km/radiusKM), a.at.Dot(b.at.Vector)
	den := 1 - dot*dot
	if den < 1e-12 {
		return nil
	}
	x, y := (ca-dot*cb)/den, (cb-dot*ca)/den
	base := a.at.Mul(x).Add(b.at.Mul(y))
	rest := 1 - base.Norm2()
	if rest < 0 {
		return nil
	}
	up := a.at.Cross(b.at.Vector).Mul(math.Sqrt(rest / den))
	return []vec{{Vector: base.Add(up)}, {Vector: base.Sub(up)}}
}

func TestDepthAgainstCrossings(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for round := range 60 {
		o := &overlay{}
		for range 2 + r.IntN(9) {
			at := earth.LatLon{Lat: 40 + 20*r.Float64(), Lon: 30 * r.Float64()}
			o.disks = append(o.disks, disk{at.Point(), 100 + 1500*r.Float64()})
		}
		got := o.depth()
		if most := exactDepth(o.disks, 1e-6); got > most {
			t.Fatalf("round %d: depth %d, but no crossing lies in more than %d", round, got, most)
		}
		// Overlaps smaller than the finest cell may be missed: a slack of its size must bring them within reach.
		if sure := exactDepth(o.disks, -4); got < sure {
			t.Fatalf("round %d: depth %d, a crossing lies 4 km deep in %d", round, got, sure)
		}
		for _, id := range o.region(got) {
			if _, touch := o.count(id); touch < got {
				t.Fatalf("round %d: a cell of the region touches only %d of %d disks", round, touch, got)
			}
		}
	}
}

// In a network where delay is distance and a little more, constraint-based methods work: the truth is in the region, the error small.
func TestBaselinesOnAPerfectNetwork(t *testing.T) {
	set := europe(t, func(i, j int) float64 { return float64((i+2*j)%4)/4 - float64((i*7+j*3)%5) })
	tk, err := newTask(set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, locate := range map[string]func(int, []sight) answer{"cbg": tk.cbg, "cbg++": tk.cbgpp} {
		in := 0
		for _, target := range []int{0, 5, 11, 12} {
			a := locate(target, tk.sights(target))
			if a.errorKM > 400 {
				t.Errorf("%s: %s is put %.0f km off", name, cities[target].Name, a.errorKM)
			}
			if a.region == yes {
				in++
			}
		}
		if in < 2 { // a bestline through other pairs may lie a little too high for the target's own
			t.Errorf("%s: the region holds %d of 4", name, in)
		}
	}
	s, err := newSpotter(tk)
	if err != nil {
		t.Fatal(err)
	}
	if a := s.locate(0, tk.sights(0)); a.errorKM > 600 {
		t.Errorf("spotter: Frankfurt is put %.0f km off", a.errorKM)
	}
	if a := tk.shortestPing(11, tk.sights(11)); math.Abs(a.errorKM-tk.km[11][tk.sights(11)[0].beacon]) > 1e-9 || a.logP == a.logP {
		t.Errorf("shortest ping: %+v", a)
	}
}

// A node that lies about its country, where the audit cannot see it, shows as a wrong verdict; the counter counts.
func TestProofCounts(t *testing.T) {
	nodes := slices.Clone(cities)
	set := europe(t, nil)
	for i := range nodes {
		nodes[i] = set.Nodes[i]
	}
	nodes[9].Country = "CA" // Denver, far from every border
	lying, err := dataset.New("lying", nodes)
	if err != nil {
		t.Fatal(err)
	}
	near := earth.LatLon{Lat: 39.7, Lon: -104.9}
	for i := range nodes {
		for j := range i {
			r, _ := set.RTT(i, j)
			if i == 10 && j == 9 { // Dallas's row becomes a beacon next door
				r = earth.RTTFromMillis(1)
			}
			if err := lying.Add(i, j, r, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	lying.Nodes[10].At = near
	tk, err := newTask(lying, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := runProof(context.Background(), tk, Options{Workers: 2}, &progress{})
	if err != nil {
		t.Fatal(err)
	}
	p := got["fibre"]
	if p.WrongOutside != 1 || !slices.Equal(p.Wrong, []string{"n09"}) {
		t.Errorf("%+v", p)
	}
	if *p.ProvenCountry <= 0 {
		t.Error("nobody is proven, not even beside a beacon")
	}
}

func TestMetricsByHand(t *testing.T) {
	var list []answer
	for i := range 11 {
		a := noAnswer()
		a.errorKM, a.right = float64(10*i), i < 8
		list = append(list, a)
	}
	m := metricsOf(list)
	if *m.MedianKM != 50 || *m.P25KM != 25 || *m.P90KM != 90 || *m.MeanKM != 50 || m.CountryLogScore != nil || m.Coverage90 != nil || m.Brier != nil {
		t.Errorf("%+v", m)
	}
	// Wilson's interval for 8 of 11, computed by hand: centre (8/11+z²/22)/(1+z²/11).
	if iv := *m.CountryInterval; math.Abs(iv[0]-0.4344) > 1e-3 || math.Abs(iv[1]-0.9025) > 1e-3 {
		t.Errorf("interval %v", iv)
	}
	if q := quantile([]float64{1, 2}, 0.5); *q != 1.5 {
		t.Errorf("median of 1 and 2: %v", *q)
	}
	if quantile(nil, 0.5) != nil || mean(nil) != nil {
		t.Error("a mean of nothing")
	}
	if logOf(0) != math.Log(floorP) || logOf(1) != 0 {
		t.Error("the floor")
	}
}

func TestRegionHoldsItsCells(t *testing.T) {
	o := &overlay{disks: []disk{{earth.LatLon{Lat: 50, Lon: 8}.Point(), 300}, {earth.LatLon{Lat: 48, Lon: 8}.Point(), 300}}}
	cells := o.region(2)
	if len(cells) < regionCells/8 || !holds(cells, earth.LatLon{Lat: 49, Lon: 8}.Point()) || holds(cells, earth.LatLon{Lat: 52, Lon: 8}.Point()) {
		t.Errorf("%d cells", len(cells))
	}
	s := summarise(cells)
	if earth.GreatCircle(s.centroid, earth.LatLon{Lat: 49, Lon: 8}) > 15_000 || s.byLand["DE"]+s.byLand["FR"]+s.byLand["CH"]+s.byLand["LU"]+s.byLand["BE"]+s.byLand["AT"]+s.byLand["LI"] < 0.999 {
		t.Errorf("%+v", s)
	}
	if (&overlay{disks: []disk{{earth.LatLon{Lat: 50, Lon: 8}.Point(), 10}, {earth.LatLon{Lat: -50, Lon: 8}.Point(), 10}}}).region(2) != nil {
		t.Error("two disks apart share a region")
	}
}

// On a real set, a backbone of thirteen sites that taught nobody any constant, ursa is ahead of every baseline.
func TestAheadOnASmallRealSet(t *testing.T) {
	root := os.Getenv("URSA_DATA")
	if root == "" {
		root = "../../../shared/data"
	}
	dir := filepath.Join(root, "cloud-ibm-2023-2026")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s is not here; set URSA_DATA to the folder that holds it", dir)
	}
	set, err := dataset.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, set, Options{Seed: 1, Folds: 4})
	ursa := r.Methods["ursa"]
	for _, name := range Names[1:] {
		if m := r.Methods[name]; *ursa.MedianKM > 0.75**m.MedianKM || *ursa.P90KM > *m.P90KM || *ursa.CountryAccuracy < *m.CountryAccuracy {
			t.Errorf("%s: median %.0f p90 %.0f country %.2f; ursa %.0f %.0f %.2f", name, *m.MedianKM, *m.P90KM, *m.CountryAccuracy, *ursa.MedianKM, *ursa.P90KM, *ursa.CountryAccuracy)
		}
	}
}
