package estimate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

func locate(t testing.TB, l *Locator, seen []Observation, o Options) *Estimate {
	t.Helper()
	e, err := l.Locate(seen, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// text is everything that an estimate says, as JSON and as a map.
func text(t testing.TB, e *Estimate) string {
	t.Helper()
	a, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.GeoJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(a) + string(b) + e.Text()
}

// A beacon is located as if it had never been in the mesh: its round trips, its place and its country may be anything.
func TestNothingOfTheTargetLeaks(t *testing.T) {
	w, l := small()
	const target = 7
	seen := w.seen(target, l.mesh.Len())
	want := text(t, locate(t, l, seen, Options{Without: []int{target}}))
	other := append([]Beacon(nil), l.mesh.beacons...)
	for _, at := range []earth.LatLon{{Lat: -33, Lon: 151}, {Lat: 51, Lon: 0}, l.mesh.beacons[3].At} {
		other[target] = Beacon{Name: "elsewhere", At: at, Country: "NZ"}
		m, err := NewMesh(other, func(i, j int) (earth.RTT, bool) {
			if i == target || j == target {
				return earth.RTT(1e6 * (1 + i + j)), (i+j)%3 != 0
			}
			return w.rtt[i][j], true
		})
		if err != nil {
			t.Fatal(err)
		}
		got := text(t, locate(t, NewLocator(m, l.t, 1), seen, Options{Without: []int{target}}))
		if got != want {
			t.Fatalf("the target's own rows changed its estimate:\n%s\n%s", want, got)
		}
	}
	// The test can fail: the same change to a beacon that is not left out shows.
	other[target], other[8] = l.mesh.beacons[target], Beacon{Name: l.mesh.beacons[8].Name, At: earth.LatLon{Lat: 1, Lon: 1}, Country: "NZ"}
	m, _ := NewMesh(other, func(i, j int) (earth.RTT, bool) { return w.rtt[i][j], true })
	if text(t, locate(t, NewLocator(m, l.t, 1), seen, Options{Without: []int{target}})) == want {
		t.Fatal("a beacon moved to the Gulf of Guinea and nothing changed")
	}
}

func TestOrderAndGoroutinesDoNotMatter(t *testing.T) {
	w, l := small()
	m := w.mesh(t, 14)
	var learnt, said string
	for _, workers := range []int{1, 5} {
		trained, err := Train(context.Background(), m, TrainOptions{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		e := locate(t, NewLocator(m, trained, workers), w.seen(30, 14), Options{})
		if learnt == "" {
			learnt, said = trained.Text(), text(t, e)
		}
		if trained.Text() != learnt || text(t, e) != said {
			t.Fatalf("%d goroutines learnt something else", workers)
		}
	}
	seen := w.seen(30, l.mesh.Len())
	want := text(t, locate(t, l, seen, Options{}))
	for i := range seen {
		j := (i * 7) % len(seen)
		seen[i], seen[j] = seen[j], seen[i]
	}
	if got := text(t, locate(t, l, seen, Options{})); got != want {
		t.Fatal("the order of measurements changed the estimate")
	}
}

// In a world whose hosts are exchangeable, regions hold fresh hosts as often as they say, and the estimate beats the nearest beacon.
func TestCalibratedOnFreshHosts(t *testing.T) {
	const beacons, fresh = 36, 60
	w := makeWorld(beacons+fresh, 11)
	m := w.mesh(t, beacons)
	trained, err := Train(context.Background(), m, TrainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLocator(m, trained, 2)
	in := map[float64]int{0.5: 0, 0.9: 0, 0.95: 0}
	right, better := 0, 0
	for i := beacons; i < beacons+fresh; i++ {
		e := locate(t, l, w.seen(i, beacons), Options{Brief: true})
		for p := range in {
			if e.Region(p).Contains(w.hosts[i].At) {
				in[p]++
			}
		}
		if e.Jurisdictions()[0].Country == w.hosts[i].Country {
			right++
		}
		nearest := 0
		for j := range beacons {
			if w.rtt[i][j] < w.rtt[i][nearest] {
				nearest = j
			}
		}
		if earth.GreatCircle(e.Best().At, w.hosts[i].At) <= earth.GreatCircle(w.hosts[nearest].At, w.hosts[i].At) {
			better++
		}
	}
	t.Logf("50 %%: %d, 90 %%: %d, 95 %%: %d of %d fresh hosts; country right %d; no worse than the nearest beacon %d", in[0.5], in[0.9], in[0.95], fresh, right, better)
	for p, n := range in {
		// Four standard deviations of both samples, the beacons that taught and the hosts that judge.
		slack := 4 * math.Sqrt(p*(1-p)*(1.0/beacons+1.0/fresh))
		if share := float64(n) / fresh; share < p-slack || share > p+slack+0.02 {
			t.Errorf("the %.0f %% region held %.1f %% of fresh hosts (seed 11)", p*100, share*100)
		}
	}
	if better < fresh*2/3 {
		t.Errorf("only %d of %d estimates were no worse than the nearest beacon", better, fresh)
	}
}

func TestRegionsAreWhatTheySay(t *testing.T) {
	w, l := small()
	for i := 24; i < 40; i++ {
		e := locate(t, l, w.seen(i, 24), Options{})
		mass := 0.0
		var all s2.CellUnion
		for _, p := range e.raster.pieces {
			mass += p.mass
			if p.mass < 0 || !(p.density >= 0) {
				t.Fatalf("piece %+v", p)
			}
		}
		if math.Abs(mass-1) > 1e-6 {
			t.Fatalf("pieces weigh %v", mass)
		}
		before := -1.0
		for _, p := range []float64{0.5, 0.9, 0.95} {
			r := e.Region(p)
			if a := r.AreaKM2(); a <= 0 || a < before {
				t.Fatalf("%v region has %v km², a smaller one %v", p, a, before)
			}
			before = r.AreaKM2()
			all = r.Cells()
			sum := 0.0
			for _, id := range all {
				sum += areaKM2(id)
				// A cell's middle is in the region, by either road.
				if !r.Contains(earth.LatLonOf(id.Point())) {
					t.Fatalf("%v is in the cells of the %v region and not in the region", id, p)
				}
			}
			if math.Abs(sum-r.AreaKM2()) > 0.02*sum {
				t.Fatalf("cells have %v km², the region %v", sum, r.AreaKM2())
			}
		}
		total := 0.0
		for _, j := range e.Jurisdictions() {
			total += j.P
		}
		if math.Abs(total-1) > 1e-3 || math.Abs(e.P(e.Jurisdictions()[0].Country)-e.Jurisdictions()[0].P) > 1e-12 {
			t.Fatalf("jurisdictions weigh %v", total)
		}
	}
}

func TestGeoJSONIsCutAtTheAntimeridian(t *testing.T) {
	_, l := small()
	// Fiji and New Zealand see everybody from far away, and the region spreads over the date line.
	var seen []Observation
	fiji := earth.LatLon{Lat: -17.7, Lon: 178}
	for j := range l.mesh.Len() {
		d := earth.GreatCircle(fiji, l.mesh.beacons[j].At).Kilometres()
		seen = append(seen, Observation{j, earth.RTTFromMillis(3 + d*0.021)})
	}
	data, err := locate(t, l, seen, Options{Prior: Uniform}).GeoJSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Features []struct {
			Geometry struct {
				Type        string
				Coordinates json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	east, west := false, false
	for _, f := range doc.Features {
		if f.Geometry.Type != "MultiPolygon" {
			continue
		}
		var polygons [][][][2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &polygons); err != nil {
			t.Fatal(err)
		}
		for _, p := range polygons {
			ring := p[0]
			if len(ring) != 5 || ring[0] != ring[4] {
				t.Fatalf("ring %v", ring)
			}
			for i := range 4 {
				if math.Abs(ring[i][0]-ring[i+1][0]) > 90 || math.Abs(ring[i][0]) > 180 || math.Abs(ring[i][1]) > 90 {
					t.Fatalf("ring %v crosses the map", ring)
				}
				east, west = east || ring[i][0] > 170, west || ring[i][0] < -170
			}
		}
	}
	if !east || !west {
		t.Error("the region does not reach both sides of the date line: the test tests nothing")
	}
}

func TestPriorsHaveTheirSay(t *testing.T) {
	w, l := small()
	e := locate(t, l, w.seen(33, 24), Options{Prior: Metros})
	if near := e.Best().Near; !strings.HasPrefix(near, "beacon ") && !strings.Contains(near, " ") {
		t.Errorf("under the metros' prior the best point is near %q", near)
	}
	for i := range e.q.found {
		if e.mass[i] > 1e-12 && e.q.found[i].kind != beaconSite {
			t.Fatal("the metros' prior believes in a place without a beacon")
		}
	}
	e = locate(t, l, w.seen(33, 24), Options{Prior: Land})
	for i := range e.q.found {
		if e.mass[i] > 1e-12 && e.q.found[i].kind < coarseCell {
			t.Fatal("the land's prior believes in places")
		}
	}
	if s := locate(t, l, w.seen(33, 24), Options{}).Sensitivity(); len(s) != 4 || s[0].Name != "fitted" || s[1].P <= 0 {
		t.Errorf("sensitivity %+v", s)
	}
	for _, name := range priorNames {
		if p, err := ParsePrior(name); err != nil || p.String() != name {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := ParsePrior("oracle"); !errors.Is(err, ErrPrior) {
		t.Error(err)
	}
}

// Where light in fibre could not have come from, nothing is believed; two beacons that rule out every place are reported.
func TestPhysicsRulesOut(t *testing.T) {
	w, l := small()
	e := locate(t, l, w.seen(35, 24), Options{})
	for i := range e.q.found {
		if n := vetoed(e.q.vetoes, e.q.found[i].at); n > e.q.allowed && e.q.found[i].kind != coarseCell {
			t.Fatalf("a candidate that %d beacons rule out", n)
		}
	}
	if e.Violated() != 0 {
		t.Errorf("violated %d in an honest world", e.Violated())
	}
	var impossible []Observation
	for j := range 24 {
		impossible = append(impossible, Observation{j, 1e6}) // one millisecond from everywhere
	}
	if e = locate(t, l, impossible, Options{}); e.Violated() < 2 {
		t.Errorf("a millisecond from everywhere violates %d", e.Violated())
	}
	text(t, e)
}

func TestRefusals(t *testing.T) {
	_, l := small()
	ok := earth.RTT(20e6)
	many := make([]Observation, 1_000_000)
	for _, c := range []struct {
		name string
		seen []Observation
		o    Options
		want error
	}{
		{"nothing", nil, Options{}, ErrNothing},
		{"a million", many, Options{}, ErrTooMany},
		{"zero", []Observation{{0, 0}}, Options{}, ErrRTT},
		{"negative", []Observation{{0, -1}}, Options{}, ErrRTT},
		{"an hour", []Observation{{0, 3600e9}}, Options{}, ErrRTT},
		{"twice", []Observation{{0, ok}, {0, ok}}, Options{}, ErrDuplicate},
		{"unknown", []Observation{{99, ok}}, Options{}, ErrUnknown},
		{"below zero", []Observation{{-1, ok}}, Options{}, ErrUnknown},
		{"of itself", []Observation{{3, ok}}, Options{Without: []int{3}}, ErrUnknown},
		{"without whom", []Observation{{3, ok}}, Options{Without: []int{24}}, ErrUnknown},
		{"prior", []Observation{{3, ok}}, Options{Prior: 9}, ErrPrior},
	} {
		if _, err := l.Locate(c.seen, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	here := Beacon{Name: "x", At: earth.LatLon{Lat: 50, Lon: 8}, Country: "DE"}
	none := func(i, j int) (earth.RTT, bool) { return 0, false }
	for _, c := range []struct {
		name string
		list []Beacon
		rtt  func(i, j int) (earth.RTT, bool)
		want error
	}{
		{"no beacon", nil, none, ErrBeacons},
		{"too many", make([]Beacon, MaxBeacons+1), none, ErrBeacons},
		{"off the Earth", []Beacon{{At: earth.LatLon{Lat: 91}}}, none, ErrBeacon},
		{"not a number", []Beacon{{At: earth.LatLon{Lat: math.NaN()}}}, none, ErrBeacon},
		{"country", []Beacon{{Country: "Germany"}}, none, ErrBeacon},
		{"zero round trip", []Beacon{here, here}, func(i, j int) (earth.RTT, bool) { return 0, true }, ErrRTT},
	} {
		if _, err := NewMesh(c.list, c.rtt); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(ctx, l.mesh, TrainOptions{}); !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled training: %v", err)
	}
}

// Any round trips are answered, whatever they are, with numbers that are numbers.
func TestAnyMeasurementIsAnswered(t *testing.T) {
	_, l := small()
	for i, seen := range [][]Observation{
		{{0, 1}}, {{0, maxRTT}}, {{5, 1}, {6, 1}, {7, 1}}, {{5, 1}, {6, maxRTT}}, {{0, 5e6}, {1, 400e6}, {2, 400e6}, {3, 400e6}},
	} {
		e := locate(t, l, seen, Options{})
		if s := text(t, e); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
			t.Errorf("case %d: %s", i, s)
		}
		if p := e.Best(); p.At.Validate() != nil || math.IsNaN(p.ExpectedKM) {
			t.Errorf("case %d: %+v", i, p)
		}
	}
}

// A constellation too small to learn from falls back on what is known of networks.
func TestTinyConstellations(t *testing.T) {
	w := makeWorld(12, 9)
	for n := 1; n <= 4; n++ {
		m := w.mesh(t, n)
		trained, err := Train(context.Background(), m, TrainOptions{})
		if err != nil {
			t.Fatal(err)
		}
		e := locate(t, NewLocator(m, trained, 1), w.seen(11, n), Options{})
		if e.Region(0.9).AreaKM2() <= 0 || len(e.Drivers()) != n {
			t.Errorf("%d beacons: %s", n, e.Text())
		}
	}
}

// Beacons that lie about their places degrade the estimate, and gracefully: the curve is printed.
func TestPoisonedCalibrationDegradesGracefully(t *testing.T) {
	const beacons, fresh = 24, 24
	w := makeWorld(beacons+fresh, 21)
	var clean float64
	for _, liars := range []int{0, 2, 4} {
		hosts := append([]Beacon(nil), w.hosts[:beacons]...)
		for i := range liars {
			hosts[i*5].At = w.hosts[(i*5+11)%beacons].At
		}
		m, err := NewMesh(hosts, func(i, j int) (earth.RTT, bool) { return w.rtt[i][j], true })
		if err != nil {
			t.Fatal(err)
		}
		trained, err := Train(context.Background(), m, TrainOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l := NewLocator(m, trained, 2)
		sum := 0.0
		for i := beacons; i < beacons+fresh; i++ {
			e := locate(t, l, w.seen(i, beacons), Options{Brief: true})
			sum += math.Log(earth.GreatCircle(e.Best().At, w.hosts[i].At).Kilometres()+50) / fresh
		}
		mean := math.Exp(sum) - 50
		t.Logf("%2d of %d beacons lie about their place: geometric mean error %.0f km", liars, beacons, mean)
		if liars == 0 {
			clean = mean
		} else if mean > 8*clean+1000 {
			t.Errorf("%d liars: error %.0f km, honest %.0f", liars, mean, clean)
		}
	}
}

func TestExplanationNamesTheNearest(t *testing.T) {
	w, l := small()
	e := locate(t, l, w.seen(26, 24), Options{})
	if len(e.Drivers()) != driversShown || e.Text() == "" {
		t.Fatal(e.Text())
	}
	for i, d := range e.Drivers() {
		if i > 0 && math.Abs(d.Nats) > math.Abs(e.Drivers()[i-1].Nats) {
			t.Error("drivers are not in order")
		}
	}
	if !strings.Contains(fmt.Sprint(e.Text()), "no proof") {
		t.Error("the text does not say what it is not")
	}
}

func BenchmarkLocate30(b *testing.B) {
	w := makeWorld(31, 2)
	m := w.mesh(b, 30)
	trained, err := Train(context.Background(), m, TrainOptions{})
	if err != nil {
		b.Fatal(err)
	}
	l := NewLocator(m, trained, 2)
	seen := w.seen(30, 30)
	for b.Loop() {
		if _, err := l.Locate(seen, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
