package world_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// anyFile draws a file that the reader must accept: all that a synthetic world can have, at extremes too.
func anyFile(t *rapid.T) world.File {
	f := world.File{Format: 1, Name: "any", Seed: new(rapid.Uint64().Draw(t, "seed"))}
	access := rapid.SampledFrom([]world.Access{world.DataCentre, world.Wired, world.Wifi, world.Cellular, world.Satellite})
	ids := []string{"a", "b", "c", "d"}
	near := rapid.Bool().Draw(t, "near")
	for i, id := range ids {
		p := world.PlaceSpec{ID: id, Access: access.Draw(t, "access"), Operator: rapid.SampledFrom([]string{"", "acme"}).Draw(t, "operator"),
			Country: rapid.SampledFrom([]string{"", "DE", "FR"}).Draw(t, "country")}
		p.Lat, p.Lon = rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		if near && i > 0 {
			p.Lat, p.Lon = f.Places.List[0].Lat*(1-float64(i)*1e-7), f.Places.List[0].Lon
		}
		if rapid.Bool().Draw(t, "populated") {
			p.Population = new(rapid.Int64Range(0, 1e7).Draw(t, "people"))
		}
		f.Places.List = append(f.Places.List, p)
	}
	f.Places.Homes = []world.HomesSpec{{City: "*", Count: 1, Access: access.Draw(t, "home")}}
	f.Routes = anyRoutes(t)
	if rapid.Bool().Draw(t, "delayed") {
		f.Access = []world.AccessSpec{{Class: world.Wired, Delay: new(time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "delay"))), Scatter: new(rapid.Float64Range(0, 3).Draw(t, "scatter"))}}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "media") {
		f.Media = append(f.Media, anyMedium(t, i))
	}
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		f.Changes = append(f.Changes, world.ChangeSpec{Between: []string{rapid.SampledFrom(append(ids, "*")).Draw(t, "from"), rapid.SampledFrom(ids).Draw(t, "to")},
			At: time.Hour, Adds: time.Duration(rapid.Int64Range(-10e9, 10e9).Draw(t, "adds")), OneWay: new(rapid.Bool().Draw(t, "one way"))})
	}
	if rapid.Bool().Draw(t, "wanders") {
		f.Wander = &world.WanderSpec{Every: time.Minute, Share: 0.5, MedianMS: rapid.Float64Range(0, 1000).Draw(t, "wander"), Sigma: 3}
	}
	if rapid.Bool().Draw(t, "congested") {
		day := slices.Repeat([]float64{rapid.Float64Range(0, 1000).Draw(t, "factor")}, 24)
		f.Congestion = []world.CongestionSpec{{Clock: "local", Hours: day, Loss: day}}
	}
	return f
}

func anyRoutes(t *rapid.T) world.RoutesSpec {
	law := func(name string) *world.LawSpec {
		switch rapid.IntRange(0, 2).Draw(t, name) {
		case 0:
			return nil
		case 1:
			return &world.LawSpec{ScaleMS: new(rapid.Float64Range(0.001, 1000).Draw(t, "scale")), Power: new(rapid.Float64Range(0, 2).Draw(t, "power")),
				Sigma: new(rapid.Float64Range(0, 3).Draw(t, "sigma")), Tail: new(rapid.Float64Range(0, 10).Draw(t, "tail")), Stretch: new(rapid.Float64Range(1, 20).Draw(t, "stretch"))}
		}
		low := rapid.Float64Range(1e-6, 1).Draw(t, "low")
		node := rapid.Float64Range(0, 1).Draw(t, "node")
		return &world.LawSpec{Table: &world.TableSpec{Levels: []float64{0.1, 0.5, 0.9}, Node: node, Corridor: (1 - node) / 2,
			Rows: []world.RowSpec{{LightMS: 1, Excess: []float64{low, low, 1}}, {LightMS: 50, Excess: []float64{low, 10, 1e5}}}}}
	}
	out := world.RoutesSpec{Public: law("public"), Backbone: law("backbone"), Homes: law("homes")}
	if rapid.Bool().Draw(t, "asymmetric") {
		out.Asymmetry = &world.AsymmetrySpec{MedianMS: rapid.Float64Range(0, 1000).Draw(t, "asymmetry"), Sigma: new(rapid.Float64Range(0, 5).Draw(t, "its sigma")), Most: new(rapid.Float64Range(0, 1).Draw(t, "most"))}
	}
	if rapid.Bool().Draw(t, "queued") {
		out.Queues = &world.QueuesSpec{Scatter: rapid.Float64Range(0, 3).Draw(t, "queues"), Tail: new(rapid.Float64Range(0, 10).Draw(t, "their tail"))}
	}
	return out
}

func anyMedium(t *rapid.T, i int) world.MediumSpec {
	m := world.MediumSpec{Name: fmt.Sprint("m", i), Kind: rapid.SampledFrom([]string{"hollow-core", "microwave", "satellite-laser", "fibre"}).Draw(t, "kind")}
	if rapid.Bool().Draw(t, "perfect") { // vacuum along the great circle: what the mean sphere would make faster than light
		m.Index, m.Stretch, m.HeightKM, m.ExtraMS = new(1.0), new(1.0), new(0.0), new(0.0)
	}
	if rapid.Bool().Draw(t, "share") {
		m.Share = new(rapid.Float64Range(0, 1).Draw(t, "share of pairs"))
	} else {
		m.Between = []string{"a", "b", "c"}
	}
	return m
}

// The promise over any file: whatever it says, and at whatever hour, no direction is below light along the chord, directions add up,
// and no queue takes time away.
func TestPhysicsHoldsInAnyFile(t *testing.T) {
	fast := 0
	rapid.Check(t, func(t *rapid.T) {
		f := anyFile(t)
		w, err := f.World()
		if err != nil {
			t.Fatal(err)
		}
		places := w.Places()
		at := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "at"))
		for i, a := range places {
			for _, b := range places[:i] {
				n := checkAnyPair(t, w, a, b, at)
				if fast += n; n > 0 && len(f.Media) == 0 {
					t.Errorf("%s to %s: faster than fibre without a medium", a.ID, b.ID)
				}
			}
			wait := w.WaitAt(a, at)
			if q := wait.Quantile(rapid.Float64Range(0, 0.9999).Draw(t, "p")); q < 0 || wait.Loss < 0 || wait.Loss > 1 {
				t.Errorf("%s waits %v and loses %v", a.ID, q, wait.Loss)
			}
		}
	})
	if fast == 0 {
		t.Error("no pair was faster than fibre: the hard case did not happen")
	}
}

// checkAnyPair returns 1 when the pair is faster than light in fibre.
func checkAnyPair(t *rapid.T, w *world.World, a, b world.Place, at time.Duration) int {
	chord := float64(earth.Chord(a.ECEF(), b.ECEF())) / float64(earth.Light) * 1e9
	rtt, ok := w.MinRTT(a, b)
	back, _ := w.MinRTT(b, a)
	there, _ := w.OneWay(a, b)
	here, _ := w.OneWay(b, a)
	if !ok || rtt != back || there+here != rtt.Duration() || float64(min(there, here)) < chord {
		t.Errorf("%s to %s: %v, back %v, directions %v and %v, light %.0f ns", a.ID, b.ID, rtt, back, there, here, chord)
	}
	if wait := w.WaitBetween(a, b, at); wait.Factor < 0 || wait.Quantile(0.99) < 0 || wait.Quantile(0.99) > 1000*time.Millisecond {
		t.Errorf("%s to %s: waits %v times as long, %v", a.ID, b.ID, wait.Factor, wait.Quantile(0.99))
	}
	then, _ := w.OneWayAt(a, b, at)
	again, _ := w.OneWayAt(b, a, at)
	whole, ok := w.MinRTTAt(a, b, at)
	if !ok || float64(min(then, again)) < chord || whole.Duration() != then+again {
		t.Errorf("%s to %s after %v: %v there, %v back, %v whole, light %.0f ns", a.ID, b.ID, at, then, again, whole, chord)
	}
	if float64(rtt) < 2e9*float64(earth.GreatCircle(a.At, b.At))*world.FibreIndex/float64(earth.Light) {
		return 1
	}
	return 0
}

// Every file that can be made survives writing and reading.
func TestAnyFileRoundtrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFile(t)
		text, err := f.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := world.Parse("x", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		more, err := again.Marshal()
		if err != nil || string(more) != string(text) {
			t.Fatalf("%v\n%s\nbecame\n%s", err, text, more)
		}
	})
}

// A perfect medium is light in vacuum along the straight line, to the nanosecond, and a real one is in between.
func TestMedia(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: media
seed: 1
places: {builtin: true}
media:
  - {name: ideal, kind: microwave, index: 1, stretch: 1, extra_ms: 0, between: [oslo, tunis]}
  - {name: south, kind: microwave, index: 1, stretch: 1, extra_ms: 0, between: [quito, lima]}
  - {name: towers, kind: microwave, between: [chicago, new-york]}
  - {name: core, kind: hollow-core, between: [paris, madrid]}
  - {name: sky, kind: satellite-laser, between: [london, sydney, frankfurt, mainz]}
  - {name: rare, kind: hollow-core, share: 0.2}
`)
	plain := builtin(t, 1, world.Public)
	faster, all := 0, 0
	places := w.Places()[:150]
	for i, a := range places {
		for _, b := range places[:i] {
			rtt, _ := w.MinRTT(a, b)
			usual, _ := plain.MinRTT(a, b)
			if rtt > usual {
				t.Fatalf("%s to %s: a faster medium made it slower", a, b)
			}
			if all++; rtt < usual {
				faster++
			}
		}
	}
	if share := float64(faster) / float64(all); share < 0.17 || share > 0.21 {
		t.Errorf("%.3f of all pairs are faster, 0.2 have the medium", share)
	}
	for _, c := range []struct {
		a, b   string
		lo, hi float64 // of the round trip over light in vacuum along the great circle, from 1 less what the mean sphere is short
	}{{"oslo", "tunis", 0.994, 1.006}, {"quito", "lima", 0.994, 1.006}, {"chicago", "new-york", 1.0, 1.03}, {"paris", "madrid", 1.09, 1.16}, {"london", "sydney", 1.2, 1.4}} {
		a, b := find(t, w, c.a), find(t, w, c.b)
		rtt, _ := w.MinRTT(a, b)
		vacuum := 2e9 * float64(earth.GreatCircle(a.At, b.At)) / float64(earth.Light)
		if r := float64(rtt) / vacuum; r < c.lo || r > c.hi || float64(rtt) < light(a, b) {
			t.Errorf("%s to %s: %.4f times light, want %.3f to %.3f", c.a, c.b, r, c.lo, c.hi)
		}
	}
}

// A satellite leads up, along and down: nothing else, when it is ideal.
func TestSatellites(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: satellites
seed: 1
places: {builtin: true}
media: [{name: sky, kind: satellite-laser, stretch: 1, extra_ms: 0, height_km: 600, between: [london, sydney, frankfurt, mainz]}]
`)
	a, b := find(t, w, "london"), find(t, w, "sydney")
	ground := float64(earth.GreatCircle(a.At, b.At))
	want := 2e9 * (ground*(1+600e3/6_371_008.8) + 2*600e3) / float64(earth.Light)
	if rtt := must(w.MinRTT(a, b)); math.Abs(float64(rtt)-want) > 2 {
		t.Errorf("%v, want %.0f ns", rtt, want)
	}
	c, d := find(t, w, "frankfurt"), find(t, w, "mainz")
	if rtt := must(w.MinRTT(c, d)); rtt < 8e6 {
		t.Errorf("%v to the next town: up and down alone take 8 ms", rtt)
	}
}

// Hosts of one operator reach each other over its backbone, and the rest of the world as everybody does.
func TestBackbones(t *testing.T) {
	w, err := world.Load("../../docs/experiments/worlds/clouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := world.Open("../../docs/experiments/worlds/clouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f.Routes.Public = &world.LawSpec{Profile: "cloud"}
	cloud, err := f.World()
	if err != nil {
		t.Fatal(err)
	}
	east, far, other := find(t, w, "east-de"), find(t, w, "east-jp"), find(t, w, "west-sg")
	if x, y := must(w.MinRTT(east, far)), must(cloud.MinRTT(east, far)); x != y {
		t.Errorf("within an operator %v, by the law of backbones %v", x, y)
	}
	if x, y := must(w.MinRTT(east, other)), must(cloud.MinRTT(east, other)); x == y {
		t.Errorf("between operators %v, as if it were one", x)
	}
}

// Whatever hosts and countries decide, the excess of all pairs is the table's distribution; and pairs that share a host are as alike as
// the table says.
func TestTableKeepsItsQuantiles(t *testing.T) {
	for _, shares := range [][2]float64{{0, 0}, {0.6, 0}, {0, 0.6}, {0.4, 0.4}, {0.5, 0.5}} {
		below := [3]int{}
		pairs, alike, couples := 0, 0.0, 0
		for seed := range uint64(40) {
			w := load(t, fmt.Sprintf(`
ursa_world: 1
name: table
seed: %d
places: {builtin: true, countries: [DE, FR, GB, IT, ES, PL, SE, US, JP, BR, IN, AU]}
routes: {public: {table: {levels: [0.01, 0.1, 0.5, 0.9, 0.99], node_share: %v, corridor_share: %v, rows: [{light_ms: 10, excess_ms: [1, 10, 50, 90, 99]}]}}}
`, seed, shares[0], shares[1]))
			places := w.Places()
			hub := make([]float64, 0, len(places)) // of the first place: above the median or below
			for i, a := range places {
				for _, b := range places[:i] {
					if a.Country == b.Country {
						continue
					}
					excess := must(w.MinRTT(a, b)).Millis() - 2e3*float64(earth.GreatCircle(a.At, b.At))*world.FibreIndex/float64(earth.Light)
					for k, q := range []float64{10, 50, 90} {
						if excess < q {
							below[k]++
						}
					}
					pairs++
					if b.ID == places[0].ID {
						hub = append(hub, sign(excess-50))
					}
				}
			}
			for i, x := range hub {
				for _, y := range hub[:i] {
					alike += x * y
					couples++
				}
			}
		}
		for k, want := range []float64{0.1, 0.5, 0.9} {
			if got := float64(below[k]) / float64(pairs); math.Abs(got-want) > 0.02+0.04*want*(1-want) {
				t.Errorf("shares %v: %.3f of the pairs below the quantile %v", shares, got, want)
			}
		}
		// Signs of normal deviates with correlation r agree as 2/pi·asin r (Sheppard). Two pairs of a host share half its Node.
		if got, want := alike/float64(couples), 2/math.Pi*math.Asin(shares[0]/2); math.Abs(got-want) > 0.15 {
			t.Errorf("shares %v: pairs of one host are alike by %.3f, want about %.3f", shares, got, want)
		}
	}
}

func sign(x float64) float64 {
	if x < 0 {
		return -1
	}
	return 1
}

func must(rtt earth.RTT, ok bool) earth.RTT {
	if !ok {
		return -1
	}
	return rtt
}

func load(t testing.TB, text string) *world.World {
	t.Helper()
	f, err := world.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.World()
	if err != nil {
		t.Fatal(err)
	}
	return w
}
