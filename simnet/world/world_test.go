package world_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

var profiles = []world.Profile{world.Public, world.Cloud, world.Homes}

func builtin(t testing.TB, seed uint64, p world.Profile) *world.World {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: seed, Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func find(t testing.TB, w *world.World, name string) world.Place {
	t.Helper()
	p, err := w.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// light returns the least round trip that physics allows, in vacuum along the chord.
func light(a, b world.Place) float64 {
	return 2 * float64(earth.Chord(a.ECEF(), b.ECEF())) / float64(earth.Light) * 1e9
}

// The promise: over all pairs of cities, and hosts in one city, in every profile and under any seed, no round trip beats light
// in fibre along the great circle nor light in vacuum along the chord, no direction beats light, and the directions add up.
func TestPhysicsHolds(t *testing.T) {
	seed := rand.Uint64()
	for _, profile := range profiles {
		w := builtin(t, seed, profile)
		places := w.Places()
		for i, a := range places {
			checkPair(t, w, w.Host(a, "core"), w.Host(a, "beacon"))
			for _, b := range places[:i] {
				checkPair(t, w, a, b)
			}
		}
		if t.Failed() {
			t.Fatalf("profile %s, seed %d", profile.Name, seed)
		}
	}
}

type tester interface {
	Helper()
	Errorf(string, ...any)
}

func checkPair(t tester, w *world.World, a, b world.Place) {
	t.Helper()
	rtt, ok := w.MinRTT(a, b)
	back, _ := w.MinRTT(b, a)
	fibre := 2 * float64(earth.GreatCircle(a.At, b.At)) * world.FibreIndex / float64(earth.Light) * 1e9
	if !ok || rtt != back || float64(rtt) < fibre || float64(rtt) < light(a, b) {
		t.Errorf("%s to %s: %v (back %v), light in fibre %.0f ns", a.ID, b.ID, rtt, back, fibre)
	}
	there, okThere := w.OneWay(a, b)
	return_, okBack := w.OneWay(b, a)
	if !okThere || !okBack || there+return_ != rtt.Duration() || 2*float64(min(there, return_)) < light(a, b) {
		t.Errorf("%s to %s: %v there, %v back, round trip %v", a.ID, b.ID, there, return_, rtt)
	}
}

// The same for places anywhere, of any access: worlds need not be made of cities.
func TestPhysicsHoldsAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := func(id string) world.Place {
			return world.Place{ID: id, Name: id, Population: rapid.IntRange(-1, 1<<24).Draw(t, "people"),
				At:     earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")},
				Access: world.Access(rapid.IntRange(1, 5).Draw(t, "access"))}
		}
		a, b := place("a"), place("b")
		if rapid.Bool().Draw(t, "near") {
			b.At.Lat, b.At.Lon = a.At.Lat*(1-1e-9), a.At.Lon
		}
		w, err := world.Synthetic("x", []world.Place{a, b}, world.Config{Seed: rapid.Uint64().Draw(t, "seed"), Profile: rapid.SampledFrom(profiles).Draw(t, "profile")})
		if err != nil {
			t.Fatal(err)
		}
		a, b = w.Places()[0], w.Places()[1]
		checkPair(t, w, a, b)
		checkPair(t, w, w.Host(a, "x"), w.Host(a, "y"))
		checkPair(t, w, w.Host(a, "x"), w.Host(b, "x"))
	})
}

// The synthetic worlds against the marks of the measured sets: stretch over light in fibre of pairs from 300 km on (median,
// log-sd, p1) and ratio to light in vacuum of pairs from 100 km on (p5, median, p95). A twentieth beyond the range of the sets
// is let pass, an eighth for the one set of homes.
func TestMeasuredMarks(t *testing.T) {
	type span struct{ lo, hi float64 }
	for _, c := range []struct {
		profile                             world.Profile
		median, logSD, p1, r5, rMedian, r95 span
		slack                               float64
	}{
		{world.Public, span{2.0, 2.3}, span{0.37, 0.39}, span{1.35, 1.35}, span{2.1, 2.2}, span{3.0, 3.4}, span{6.8, 7.8}, 0.05},
		{world.Cloud, span{1.67, 1.80}, span{0.20, 0.33}, span{1.15, 1.34}, span{1.8, 1.9}, span{2.5, 2.6}, span{4.1, 5.1}, 0.05},
		{world.Homes, span{2.57, 2.57}, span{0.51, 0.51}, span{1.36, 1.36}, span{2.3, 2.3}, span{3.9, 3.9}, span{14.9, 14.9}, 0.125},
	} {
		var stretch, ratio []float64
		w := builtin(t, 1, c.profile)
		places := w.Places()
		for i, a := range places {
			for _, b := range places[:i] {
				rtt, _ := w.MinRTT(a, b)
				d := float64(earth.GreatCircle(a.At, b.At))
				r := float64(rtt) / 1e9 * float64(earth.Light) / 2 / d
				if d >= 100e3 {
					ratio = append(ratio, r)
				}
				if d >= 300e3 {
					stretch = append(stretch, r/world.FibreIndex)
				}
			}
		}
		slices.Sort(stretch)
		slices.Sort(ratio)
		for _, m := range []struct {
			what string
			got  float64
			want span
		}{
			{"median stretch", quantile(stretch, 0.5), c.median}, {"log-sd of stretch", logSD(stretch), c.logSD}, {"p1 of stretch", quantile(stretch, 0.01), c.p1},
			{"p5 of ratio", quantile(ratio, 0.05), c.r5}, {"median ratio", quantile(ratio, 0.5), c.rMedian}, {"p95 of ratio", quantile(ratio, 0.95), c.r95},
		} {
			t.Logf("%s: %s %.2f (measured %.2f to %.2f)", c.profile.Name, m.what, m.got, m.want.lo, m.want.hi)
			if m.got < m.want.lo*(1-c.slack) || m.got > m.want.hi*(1+c.slack) {
				t.Errorf("%s: %s is %.3f, measured %.2f to %.2f", c.profile.Name, m.what, m.got, m.want.lo, m.want.hi)
			}
		}
	}
}

func quantile(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)))] }

func logSD(x []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		l := math.Log(v)
		sum, squares = sum+l, squares+l*l
	}
	n := float64(len(x))
	return math.Sqrt(squares/n - sum/n*sum/n)
}

func TestTownsAndNeighbours(t *testing.T) {
	w := builtin(t, 1, world.Public)
	frankfurt, mainz := find(t, w, "Frankfurt"), find(t, w, "mainz")
	core, beacon := w.Host(frankfurt, "core"), w.Host(frankfurt, "beacon")
	rtt, _ := w.MinRTT(core, beacon)
	apart := earth.Chord(core.ECEF(), beacon.ECEF())
	if rtt < 150_000 || rtt > 450_000 || apart == 0 || apart > 4000 {
		t.Errorf("two hosts in town: %v, %v apart", rtt, apart)
	}
	if rtt, _ := w.MinRTT(frankfurt, mainz); rtt < 300_000 || rtt > 20_000_000 {
		t.Errorf("Frankfurt to Mainz: %v", rtt)
	}
	if again := w.Host(frankfurt, "core"); again != core || core.Metro != "frankfurt" {
		t.Errorf("a host moved: %+v", again)
	}
	for _, p := range w.Places() {
		h := w.Host(p, "x")
		limit := 2000.0 * math.Min(1, math.Sqrt(float64(p.Population)/1e6))
		if d := float64(earth.Chord(p.ECEF(), h.ECEF())); d > 1.02*limit {
			t.Errorf("%s: a host stands %.0f m from the centre, at most %.0f m", p.ID, d, limit)
		}
		if err := h.At.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// What is drawn depends on the seed and the names of a pair, on nothing else.
func TestRepeatable(t *testing.T) {
	w, again, other := builtin(t, 5, world.Public), builtin(t, 5, world.Public), builtin(t, 6, world.Public)
	places := w.Places()
	few, err := world.Synthetic("few", []world.Place{places[40], places[3]}, world.Config{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	a, b := places[3], places[40]
	first, _ := w.OneWay(a, b)
	if x, _ := again.OneWay(a, b); x != first {
		t.Error("the same seed gives another delay")
	}
	if x, _ := few.OneWay(a, b); x != first {
		t.Error("the delay depends on the other places")
	}
	if x, _ := other.OneWay(a, b); x == first {
		t.Error("another seed gives the same delay")
	}
}

// The two directions differ, by a millisecond or less in the median.
func TestAsymmetry(t *testing.T) {
	w := builtin(t, 1, world.Public)
	var differences []float64
	places := w.Places()
	for i, a := range places[:100] {
		for _, b := range places[:i] {
			there, _ := w.OneWay(a, b)
			back, _ := w.OneWay(b, a)
			differences = append(differences, math.Abs(float64(there-back))/1e6)
		}
	}
	slices.Sort(differences)
	if m := quantile(differences, 0.5); m < 0.2 || m > 1 {
		t.Errorf("median difference of %.3f ms", m)
	}
}

func measured(t testing.TB) *world.World {
	t.Helper()
	set, err := dataset.New("three", []dataset.Node{
		{ID: "n1", Name: "Frankfurt", Country: "DE", At: earth.LatLon{Lat: 50.11, Lon: 8.68}},
		{ID: "n2", Name: "Paris", Country: "FR", At: earth.LatLon{Lat: 48.86, Lon: 2.35}},
		{ID: "n3", At: earth.LatLon{Lat: -33.87, Lon: 151.21}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// n3 lies about its place: 1 ms from Paris cannot be.
	if err := errors.Join(set.Add(0, 1, 9_000_001, false), set.Add(1, 0, 9_500_000, true), set.Add(2, 1, 1_000_000, false)); err != nil {
		t.Fatal(err)
	}
	w, err := world.Measured(set, 7)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestMeasuredWorld(t *testing.T) {
	w := measured(t)
	a, b, liar := find(t, w, "frankfurt"), find(t, w, "N2"), find(t, w, "n3")
	if rtt, ok := w.MinRTT(a, b); !ok || rtt != 9_000_001 {
		t.Errorf("Frankfurt to Paris: %v, %v", rtt, ok)
	}
	checkPair(t, w, w.Host(a, "x"), b)
	if core := w.Host(a, "core"); core.At != a.At || core.ID != "n1/core" {
		t.Errorf("a host of a measured node moved: %+v", core)
	}
	if _, ok := w.MinRTT(a, liar); ok {
		t.Error("a pair that was not measured has a round trip")
	}
	if _, ok := w.OneWay(a, liar); ok {
		t.Error("a pair that was not measured has a delay")
	}
	if _, ok := w.MinRTT(a, a); ok {
		t.Error("a node has a measured round trip to itself")
	}
	if _, ok := w.MinRTT(a, world.Place{ID: "x", Metro: "x"}); ok {
		t.Error("a place of another world has a round trip")
	}
	there, okThere := w.OneWay(liar, b)
	back, okBack := w.OneWay(b, liar)
	if !okThere || !okBack || there+back != time.Millisecond || there != back {
		t.Errorf("what was measured is replayed even where it cannot be: %v, %v", there, back)
	}
	if !w.IsMeasured() || w.Name() != "three" || liar.Name != "n3" || a.Population != world.UnknownPopulation {
		t.Errorf("%q: %+v", w.Name(), liar)
	}
}

func TestPublicSetAsWorld(t *testing.T) {
	root := os.Getenv("URSA_DATA")
	if root == "" {
		root = "../../../shared/data"
	}
	set, err := dataset.Load(root + "/wonderproxy-2020")
	if errors.Is(err, dataset.ErrMissing) {
		t.Skipf("no measured set: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := world.Measured(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	frankfurt := find(t, w, "Frankfurt")
	near := w.ByDistance(frankfurt.At)
	if near[0].ID != frankfurt.ID || len(near) != 246 {
		t.Errorf("nearest to Frankfurt is %s", near[0].Name)
	}
	paths := 0
	for _, p := range near[1:] {
		if _, ok := w.OneWay(frankfurt, p); ok {
			paths++
		}
	}
	if paths < 200 {
		t.Errorf("Frankfurt was measured with %d others", paths)
	}
}

func TestRefuses(t *testing.T) {
	good := world.Place{ID: "a", Access: world.Wired}
	for _, c := range []struct {
		what   string
		places []world.Place
		is     error
	}{
		{"no places", nil, world.ErrNoPlaces},
		{"one id twice", []world.Place{good, good}, world.ErrDuplicate},
		{"no access class", []world.Place{{ID: "a"}}, world.ErrAccess},
		{"no position", []world.Place{{ID: "a", Access: world.Wired, At: earth.LatLon{Lat: math.NaN()}}}, earth.ErrPosition},
	} {
		if _, err := world.Synthetic("x", c.places, world.Config{}); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if _, err := world.ParseProfile("dial-up"); !errors.Is(err, world.ErrProfile) {
		t.Error(err)
	}
	for _, p := range profiles {
		if back, err := world.ParseProfile(strings.ToUpper(p.Name)); err != nil || back != p {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}
