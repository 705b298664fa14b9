package model_test

import (
	"errors"
	"go/build"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// synthetic draws pairs from a network whose median is offset + stretch·fibre and whose logarithm spreads by sigma.
func synthetic(n int, seed uint64, offset, stretch, sigma float64) []model.Pair {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]model.Pair, n)
	for i := range out {
		d := math.Exp(r.Float64()*8 + 1.9)
		ms := (offset + stretch*d*2*model.GroupIndex/299.792458) * math.Exp(sigma*r.NormFloat64())
		out[i] = model.Pair{Distance: model.Kilometres(min(20_000, d)), RTT: max(earth.RTTFromMillis(ms), model.Floor(model.Kilometres(d))+1)}
	}
	return out
}

func TestCurveMeetsTruth(t *testing.T) {
	pairs := synthetic(8000, 7, 3, 2, 0.35)
	c, err := model.FitCurve(pairs, model.Public)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []model.Kilometres{30, 300, 3000, 15_000} {
		want := 3 + 2*float64(d)*2*model.GroupIndex/299.792458
		if got := c.Quantile(0.5, d).Millis(); math.Abs(math.Log(got/want)) > 0.1 {
			t.Errorf("median at %v km: %.1f ms, want %.1f", d, got, want)
		}
	}
	fresh := synthetic(8000, 8, 3, 2, 0.35)
	for _, p := range []float64{0.5, 0.9, 0.95} {
		if got, ok := c.Within(p, fresh); !ok || math.Abs(got-p) > 0.03 {
			t.Errorf("%.3f of fresh pairs within the %.2f band", got, p)
		}
	}
}

func TestScoreInvertsQuantile(t *testing.T) {
	c, err := model.FitCurve(synthetic(3000, 3, 3, 2, 0.35), model.Public)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := model.Kilometres(rapid.Float64Range(0, 20_000).Draw(t, "km"))
		p := rapid.Float64Range(0.02, 0.98).Draw(t, "p")
		z, slope := c.Score(c.Quantile(p, d), d)
		if got := 0.5 * math.Erfc(-z/math.Sqrt2); math.Abs(got-p) > 1e-3 {
			t.Fatalf("quantile %v at %v km scores %v", p, d, got)
		}
		if math.IsNaN(slope) || math.IsInf(slope, 0) {
			t.Fatalf("slope %v", slope)
		}
		q := rapid.Float64Range(0.02, 0.98).Draw(t, "q")
		if (p < q) && c.Quantile(p, d) > c.Quantile(q, d) {
			t.Fatalf("quantiles cross at %v km", d)
		}
	})
}

// The density is one: its integral over the logarithm of delay is 1 up to the tails that were flattened.
func TestDensityIntegratesToOne(t *testing.T) {
	c := model.Public.Curve()
	for _, d := range []model.Kilometres{0, 100, 5000} {
		sum := 0.0
		const step = 1e-3
		for x := 0.0; x < 9; x += step {
			sum += math.Exp(c.LogDensity(earth.RTTFromMillis(math.Exp(x)-1+1e-9), d)) * step
		}
		if sum < 0.97 || sum > 1.03 {
			t.Errorf("density at %v km integrates to %.3f", d, sum)
		}
	}
}

func TestFasterThanPhysicsScoresAsImpossible(t *testing.T) {
	c := model.Public.Curve()
	for _, d := range []model.Kilometres{400, 1000, 10_000} {
		if z, _ := c.Score(model.Floor(d)*9/10, d); z > -10 {
			t.Errorf("%v km below the floor scores %v", d, z)
		}
		if z, _ := c.Score(c.Quantile(0.5, d), d); math.Abs(z) > 0.01 {
			t.Errorf("%v km at the median scores %v", d, z)
		}
	}
	if z, _ := c.Score(model.Floor(20), 45); z < -10 {
		t.Errorf("a claim 25 km off scores %v, as if it were impossible", z)
	}
}

func TestBandHoldsTheDistance(t *testing.T) {
	c := model.Public.Curve()
	rapid.Check(t, func(t *rapid.T) {
		d := model.Kilometres(rapid.Float64Range(0, 19_000).Draw(t, "km"))
		r := c.Quantile(rapid.Float64Range(0.03, 0.97).Draw(t, "p"), d)
		lo, hi := c.Band(0.95, r)
		if d < lo-1 || d > hi+1 || lo > hi {
			t.Fatalf("%v km is not within %v..%v of %v", d, lo, hi, r)
		}
		if likely := c.Likely(r); likely < lo || likely > hi {
			t.Fatalf("likely %v is not within %v..%v", likely, lo, hi)
		}
	})
}

// A share of liars moves the quantiles by no more than the share.
func TestLiarsMoveQuantilesByTheirShare(t *testing.T) {
	honest := synthetic(6000, 11, 3, 2, 0.35)
	for _, share := range []float64{0.1, 0.2, 0.3} {
		poisoned := slices.Clone(honest)
		for i := range int(share * float64(len(poisoned))) {
			poisoned[i].RTT *= 20
		}
		a, _ := model.FitCurve(honest, model.Public)
		b, err := model.FitCurve(poisoned, model.Public)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []model.Kilometres{100, 1000, 8000} {
			lo, hi := a.Quantile(0.5*(1-share)-0.05, d), a.Quantile(0.5/(1-share)+0.05, d)
			if got := b.Quantile(0.5, d); got < lo || got > hi {
				t.Errorf("%.0f %% liars: median at %v km is %v, want within %v..%v", share*100, d, got, lo, hi)
			}
		}
	}
}

func TestSelectKnowsTheNetwork(t *testing.T) {
	for _, c := range []struct {
		want                   model.Profile
		offset, stretch, sigma float64
	}{{model.Public, 4, 2.1, 0.38}, {model.Backbone, 2, 1.7, 0.25}, {model.Access, 9, 2.5, 0.52}} {
		for _, n := range []int{60, 300} {
			got, scores, err := model.Select(synthetic(n, 5, c.offset, c.stretch, c.sigma))
			if err != nil || got != c.want || len(scores) != 3 {
				t.Errorf("%d pairs: got %v, %v, want %v: %+v", n, got, err, c.want, scores)
			}
		}
	}
	if got, _, err := model.Select(nil); got != model.Public || err != nil {
		t.Errorf("no pairs: %v, %v", got, err)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	pairs := synthetic(500, 21, 3, 2, 0.35)
	a, _ := model.FitCurve(pairs, model.Public)
	slices.Reverse(pairs)
	b, _ := model.FitCurve(pairs, model.Public)
	if *a != *b {
		t.Error("the fit depends on the order of pairs")
	}
}

func TestRefusals(t *testing.T) {
	good := model.Pair{Distance: 100, RTT: 5e6}
	for _, c := range []struct {
		name string
		pair model.Pair
		want error
	}{
		{"not a number", model.Pair{Distance: model.Kilometres(math.NaN()), RTT: 1e6}, model.ErrDistance},
		{"beyond the antipode", model.Pair{Distance: 20_100, RTT: 1e9}, model.ErrDistance},
		{"negative distance", model.Pair{Distance: -1, RTT: 1e9}, model.ErrDistance},
		{"zero round trip", model.Pair{Distance: 10}, model.ErrRTT},
		{"negative round trip", model.Pair{Distance: 10, RTT: -5}, model.ErrRTT},
		{"an hour", model.Pair{Distance: 10, RTT: 3600e9}, model.ErrRTT},
	} {
		if _, err := model.FitCurve([]model.Pair{good, c.pair}, model.Public); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if _, err := model.FitCurve([]model.Pair{good}, 0); !errors.Is(err, model.ErrProfile) {
		t.Errorf("no profile: got %v", err)
	}
	if _, err := model.ParseProfile("satellite"); !errors.Is(err, model.ErrProfile) {
		t.Errorf("satellite: got %v", err)
	}
}

// matrix is a Source for tests.
type matrix [][]earth.RTT

func (m matrix) Len() int                       { return len(m) }
func (m matrix) RTT(i, j int) (earth.RTT, bool) { return m[i][j], m[i][j] > 0 }

// ring makes nodes along a parallel, node k slowed by delay[k] milliseconds.
func ring(n int, delay map[int]float64) ([]model.Node, matrix) {
	nodes, m := make([]model.Node, n), make(matrix, n)
	for i := range nodes {
		nodes[i] = model.Node{ID: string(rune('a' + i)), At: earth.LatLon{Lat: 40, Lon: float64(i * 3)}}
	}
	for i := range m {
		m[i] = make([]earth.RTT, n)
		for j := range m[i] {
			if i != j {
				d := earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres()
				m[i][j] = earth.RTTFromMillis(3 + d*0.02 + delay[i] + delay[j])
			}
		}
	}
	return nodes, m
}

var dates = model.Options{Name: "test", Issued: time.Unix(1000, 0), Expires: time.Unix(2000, 0)}

func TestOffsetsFindTheSlowNode(t *testing.T) {
	nodes, m := ring(16, map[int]float64{3: 40})
	got, err := model.Fit(nodes, m, dates)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range got.Beacons {
		if slow := b.ID == "d"; slow && math.Abs(b.OffsetMS-40) > 6 || !slow && math.Abs(b.OffsetMS) > 6 {
			t.Errorf("%s: offset %.1f ms", b.ID, b.OffsetMS)
		}
		if b.Bestline == nil || b.Bestline.Slope < model.TwoThirds {
			t.Errorf("%s: bestline %+v", b.ID, b.Bestline)
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	nodes, m := ring(12, nil)
	fitted, err := model.Fit(nodes, m, dates)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.FromSeed(identity.RoleDirectory, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := fitted.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := model.Open(data, key.Public(), time.Unix(1500, 0))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := fitted.Encode()
	b, _ := got.Encode()
	if string(a) != string(b) {
		t.Error("a decoded model encodes differently")
	}
	if !strings.Contains(got.Text(), "profile") {
		t.Error(got.Text())
	}
	for _, at := range []int64{999, 2000} {
		if _, err := model.Open(data, key.Public(), time.Unix(at, 0)); !errors.Is(err, model.ErrExpired) {
			t.Errorf("at %d: got %v", at, err)
		}
	}
	other, _ := identity.FromSeed(identity.RoleDirectory, [32]byte{2})
	if _, err := model.Open(data, other.Public(), time.Unix(1500, 0)); err == nil {
		t.Error("another signer's file was accepted")
	}
}

func TestFitRefuses(t *testing.T) {
	nodes, m := ring(5, nil)
	late := dates
	late.Expires = late.Issued
	nameless := dates
	nameless.Name = ""
	twice := slices.Clone(nodes)
	twice[1].ID = twice[0].ID
	for _, c := range []struct {
		name   string
		nodes  []model.Node
		source matrix
		o      model.Options
		want   error
	}{
		{"expired when issued", nodes, m, late, model.ErrDates},
		{"nameless", nodes, m, nameless, model.ErrName},
		{"id twice", twice, m, dates, model.ErrNode},
		{"matrix of another size", nodes[:4], m, dates, model.ErrNode},
		{"nothing measured", nodes, matrix{{0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}}, dates, model.ErrNoPair},
	} {
		if _, err := model.Fit(c.nodes, c.source, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	nodes, m := ring(4, nil)
	fitted, err := model.Fit(nodes, m, dates)
	if err != nil {
		f.Fatal(err)
	}
	good, _ := fitted.Encode()
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := model.Decode(data)
		if err != nil {
			return
		}
		again, err := got.Encode()
		if err != nil || string(again) != string(data) {
			t.Fatalf("%d bytes accepted, encoded again as others: %v", len(data), err)
		}
		if z, slope := got.Curve.Score(5e6, 100); math.IsNaN(z) || math.IsNaN(slope) {
			t.Fatal("accepted a curve without scores")
		}
	})
}

// No package on the way to a verdict or a grant may know this one: a fit never tightens a proof.
func TestProofCannotUseIt(t *testing.T) {
	const module = "github.com/ursa-virtual/ursa/"
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(at string, seen map[string]bool)
	walk = func(at string, seen map[string]bool) {
		if seen[at] {
			return
		}
		seen[at] = true
		pkg, err := build.ImportDir(filepath.Join(root, at), 0)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		for _, i := range pkg.Imports {
			if inside, ok := strings.CutPrefix(i, module); ok {
				walk(inside, seen)
			}
		}
	}
	on := []string{"topology/earth", "beacon/statement", "locator/region", "locator/verdict"}
	err = filepath.WalkDir(filepath.Join(root, "lockgate"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 {
			at, _ := filepath.Rel(root, path)
			on = append(on, filepath.ToSlash(at))
		}
		return nil
	})
	if err != nil || len(on) < 12 {
		t.Fatalf("only %v found on the way to a grant, %v: name the folder that took lockgate's place", on, err)
	}
	for _, proof := range on {
		seen := map[string]bool{}
		walk(proof, seen)
		if seen["calib/model"] || seen["locator/estimate"] {
			t.Errorf("%s can see a fitted model", proof)
		}
	}
}

// load reads a measured set, or skips.
func load(t *testing.T, name string) *dataset.Set {
	t.Helper()
	root := os.Getenv("URSA_DATA")
	if root == "" {
		root = "../../../shared/data"
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s is not here; set URSA_DATA to the folder that holds it", dir)
	}
	set, err := dataset.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func fitSet(t *testing.T, set *dataset.Set) (*model.Model, []model.Pair) {
	t.Helper()
	nodes := make([]model.Node, set.Len())
	var pairs []model.Pair
	for i, n := range set.Nodes {
		nodes[i] = model.Node{ID: n.ID, At: n.At}
		for j := range i {
			if r, ok := set.RTT(i, j); ok {
				d := model.Kilometres(earth.GreatCircle(n.At, set.Nodes[j].At).Kilometres())
				if r >= model.Floor(d) {
					pairs = append(pairs, model.Pair{Distance: d, RTT: r})
				}
			}
		}
	}
	m, err := model.Fit(nodes, set, dates)
	if err != nil {
		t.Fatal(err)
	}
	return m, pairs
}

// A model fitted on one network, adapted to another by profile selection on one half of its pairs, covers the other half.
func TestCarriesOverToOtherNetworks(t *testing.T) {
	names := []string{"wonderproxy-2020", "cloud-aws-2020", "cloud-gcp-2019", "cloud-ibm-2023-2026"}
	for _, from := range names {
		m, _ := fitSet(t, load(t, from))
		for _, to := range names {
			_, pairs := fitSet(t, load(t, to))
			var choose, judge []model.Pair
			for i, p := range pairs {
				if i%2 == 0 {
					choose = append(choose, p)
				} else {
					judge = append(judge, p)
				}
			}
			c, profile, err := m.Adapt(choose)
			if err != nil {
				t.Fatal(err)
			}
			own, _ := m.Curve.Within(0.95, judge)
			got, _ := c.Within(0.95, judge)
			t.Logf("%-20s -> %-20s 95 %% band holds %.1f %%, without selection %.1f %% (chose %v)", from, to, got*100, own*100, profile)
			if got < 0.90 {
				t.Errorf("%s -> %s: the 95 %% band holds %.1f %%", from, to, got*100)
			}
		}
	}
}

func BenchmarkFitMillionPairs(b *testing.B) {
	const n = 1415
	r := rand.New(rand.NewPCG(1, 2))
	nodes, m := make([]model.Node, n), make(matrix, n)
	for i := range nodes {
		nodes[i] = model.Node{ID: string(rune('a'+i%26)) + string(rune(0x4e00+i)), At: earth.LatLon{Lat: r.Float64()*120 - 60, Lon: r.Float64()*360 - 180}}
		m[i] = make([]earth.RTT, n)
	}
	for i := range m {
		for j := range i {
			d := earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres()
			m[i][j] = earth.RTTFromMillis((3 + d*0.02) * math.Exp(0.35*r.NormFloat64()))
			m[j][i] = m[i][j]
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := model.Fit(nodes, m, dates); err != nil {
			b.Fatal(err)
		}
	}
}

// The table is the curve, but for the bend between its rows.
func TestTableIsTheCurve(t *testing.T) {
	c, err := model.FitCurve(synthetic(3000, 3, 3, 2, 0.35), model.Public)
	if err != nil {
		t.Fatal(err)
	}
	table := c.Table()
	rapid.Check(t, func(t *rapid.T) {
		d := model.Kilometres(rapid.Float64Range(0, 20_015).Draw(t, "km"))
		r := earth.RTTFromMillis(math.Exp(rapid.Float64Range(-3, 7).Draw(t, "log ms")))
		z, slope := c.Score(r, d)
		gotZ, gotSlope := table.Score(model.DelayOfRTT(r), d)
		if math.Abs(gotZ-z) > 0.02*(1+math.Abs(z)) {
			t.Fatalf("%v over %v km: table scores %v, curve %v", r, d, gotZ, z)
		}
		if math.Abs(gotSlope-slope) > 3 {
			t.Fatalf("%v over %v km: table's slope %v, curve's %v", r, d, gotSlope, slope)
		}
	})
}
