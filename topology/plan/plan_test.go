package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/plan"
)

// gridLocator judges on a grid of points half a degree apart between 40..56 N and 0..20 E: a slow stand-in that shares no
// code with the real one. A point is allowed when the bounds of at most f domains exclude it.
type gridLocator struct {
	f      int
	permit func(earth.LatLon) bool
}

const gridStep = 0.5

func (g gridLocator) Radius(rtt earth.RTT) (earth.Metres, error) {
	return earth.Metres(float64(rtt) / 2e9 * float64(earth.Light)), nil
}

func (g gridLocator) Margin(at earth.LatLon) (earth.Metres, error) {
	least := 2 * earth.SemiMajor
	for lat := 40.0; lat <= 56; lat += gridStep {
		for lon := 0.0; lon <= 20; lon += gridStep {
			if p := (earth.LatLon{Lat: lat, Lon: lon}); !g.permit(p) {
				least = min(least, earth.Chord(at.ECEF(0), p.ECEF(0)))
			}
		}
	}
	return least, nil
}

func (g gridLocator) Locate(at earth.LatLon, measured []plan.Measurement) (plan.Outcome, error) {
	var out plan.Outcome
	cells, good := 0, true
	for lat := 40.0; lat <= 56; lat += gridStep {
		for lon := 0.0; lon <= 20; lon += gridStep {
			p := earth.LatLon{Lat: lat, Lon: lon}
			x := p.ECEF(0)
			against := map[string]bool{}
			for _, m := range measured {
				if r, _ := g.Radius(m.RTT); earth.Chord(m.Site.At.ECEF(0), x) > r {
					against[m.Site.Domains[0]] = true
				}
			}
			if len(against) > g.f {
				continue
			}
			cells++
			out.AreaKM2 += gridStep * gridStep * 111 * 111 * math.Cos(lat*math.Pi/180)
			out.Reach = max(out.Reach, earth.Chord(at.ECEF(0), x))
			good = good && g.permit != nil && g.permit(p)
		}
	}
	out.Inside = cells > 0 && good
	return out, nil
}

func delay(t testing.TB, stretch float64, access earth.RTT) plan.Delay {
	t.Helper()
	d, err := plan.Stretched(stretch, access)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func randomSites(rng *rand.Rand, n int) []plan.Site {
	sites := make([]plan.Site, n)
	for i := range sites {
		sites[i] = plan.Site{
			ID: fmt.Sprintf("s%02d", i), Name: fmt.Sprint("Site ", i), Domains: []string{fmt.Sprint("d", i%(n/2+1))},
			At: earth.LatLon{Lat: 44 + rng.Float64()*8, Lon: 4 + rng.Float64()*12},
		}
	}
	return sites
}

// bruteCommittee tries every subset.
func bruteCommittee(t *testing.T, f *plan.Fleet, at earth.LatLon, m int) float64 {
	best := math.Inf(1)
	for mask := range 1 << len(f.Sites) {
		var sites []plan.Site
		var chosen []plan.Measurement
		for i := range f.Sites {
			if mask>>i&1 == 1 {
				sites = append(sites, f.Sites[i])
				chosen = append(chosen, plan.Measurement{Site: &f.Sites[i], RTT: f.Delay(at, f.Sites[i].At)})
			}
		}
		if len(sites) != m || plan.Domains(sites) < 2*f.F+1 {
			continue
		}
		out, err := f.Locator.Locate(at, chosen)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, out.AreaKM2)
	}
	return best
}

func TestCommitteeAgainstAllSubsets(t *testing.T) {
	optimal := 0
	const worlds = 10
	for seed := range uint64(worlds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f := int(seed % 2)
		fleet := &plan.Fleet{Sites: randomSites(rng, 8), F: f, Delay: delay(t, 2, 1e6), Locator: gridLocator{f: f}}
		at := earth.LatLon{Lat: 48, Lon: 10}
		m := 3 + f
		got, err := plan.ChooseCommittee(context.Background(), fleet, at, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Members) != m || got.Domains < 2*f+1 {
			t.Fatalf("seed %d: %d members of %d domains", seed, len(got.Members), got.Domains)
		}
		best := bruteCommittee(t, fleet, at, m)
		if got.Outcome.AreaKM2 < best*0.9999 {
			t.Fatalf("seed %d: %v is smaller than the best of all subsets, %v", seed, got.Outcome.AreaKM2, best)
		}
		if got.Outcome.AreaKM2 <= best*1.01 {
			optimal++
		} else if got.Outcome.AreaKM2 > best*1.3 {
			t.Errorf("seed %d: %v km², the best of all subsets has %v", seed, got.Outcome.AreaKM2, best)
		}
	}
	if optimal < worlds*7/10 {
		t.Errorf("the local optimum was the best in %d of %d worlds", optimal, worlds)
	}
}

func TestCommitteeRefuses(t *testing.T) {
	sites := randomSites(rand.New(rand.NewPCG(1, 1)), 6)
	good := plan.Fleet{Sites: sites, F: 1, Delay: delay(t, 2, 0), Locator: gridLocator{f: 1}}
	at := earth.LatLon{Lat: 48, Lon: 10}
	same := slices.Clone(sites)
	for i := range same {
		same[i].Domains = []string{"one operator"}
	}
	for _, c := range []struct {
		name   string
		change func(*plan.Fleet)
		at     earth.LatLon
		m      int
		want   error
	}{
		{"fewer than 2f+1", func(*plan.Fleet) {}, at, 2, plan.ErrMembers},
		{"more than there are", func(*plan.Fleet) {}, at, 7, plan.ErrMembers},
		{"one operator behind all", func(f *plan.Fleet) { f.Sites = same }, at, 3, plan.ErrDomains},
		{"nowhere", func(*plan.Fleet) {}, earth.LatLon{Lat: 200}, 3, plan.ErrPlace},
		{"a site without id", func(f *plan.Fleet) { f.Sites = append(slices.Clone(sites), plan.Site{Domains: []string{"d"}}) }, at, 3, plan.ErrSite},
		{"a site without domain", func(f *plan.Fleet) { f.Sites = append(slices.Clone(sites), plan.Site{ID: "x"}) }, at, 3, plan.ErrSite},
		{"a site twice", func(f *plan.Fleet) { f.Sites = append(slices.Clone(sites), sites[0]) }, at, 3, plan.ErrSite},
		{"f below zero", func(f *plan.Fleet) { f.F = -1 }, at, 3, plan.ErrFaulty},
		{"no model", func(f *plan.Fleet) { f.Delay = nil }, at, 3, plan.ErrNoSites},
		{"too many", func(f *plan.Fleet) { f.Sites = make([]plan.Site, plan.MaxSites+1) }, at, 3, plan.ErrTooLarge},
	} {
		fleet := good
		c.change(&fleet)
		if _, err := plan.ChooseCommittee(context.Background(), &fleet, c.at, c.m, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := plan.Stretched(0.9, 0); !errors.Is(err, plan.ErrStretch) {
		t.Errorf("faster than light: %v", err)
	}
	if _, err := plan.Stretched(math.NaN(), 0); !errors.Is(err, plan.ErrStretch) {
		t.Errorf("NaN: %v", err)
	}
	if _, err := plan.Stretched(2, -1); !errors.Is(err, plan.ErrAccess) {
		t.Errorf("negative access: %v", err)
	}
}

// box is an area of whole S2 cells for tests: In when the cell's corners are in a box of degrees well inside, Out when far.
type box struct{ south, north, west, east float64 }

func (b box) holds(p earth.LatLon) bool {
	return p.Lat >= b.south && p.Lat <= b.north && p.Lon >= b.west && p.Lon <= b.east
}

func (b box) Class(id s2.CellID) atlas.Class {
	rect := s2.RectFromLatLng(s2.LatLngFromDegrees(b.south, b.west)).AddPoint(s2.LatLngFromDegrees(b.north, b.east))
	cell := s2.CellFromCellID(id).RectBound()
	switch {
	case rect.Contains(cell):
		return atlas.In
	case !rect.Intersects(cell):
		return atlas.Out
	}
	return atlas.Border
}

var land = box{46, 50, 6, 12}

func TestSamplesCoverTheArea(t *testing.T) {
	samples, err := plan.Samples(land, 200)
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, s := range samples {
		total += s.Weight
	}
	want := 111.2 * 111.2 * 4 * 6 * math.Cos(48*math.Pi/180)
	if len(samples) < 150 || math.Abs(total-want) > 0.12*want {
		t.Errorf("%d samples of %.0f km², the box has %.0f", len(samples), total, want)
	}
	for _, n := range []int{0, -1, plan.MaxSamples} {
		if _, err := plan.Samples(land, n); !errors.Is(err, plan.ErrTooLarge) {
			t.Errorf("%d samples: %v", n, err)
		}
	}
	if _, err := plan.Samples(nowhere{}, 10); !errors.Is(err, plan.ErrSamples) {
		t.Errorf("an empty region: %v", err)
	}
}

type anywhere struct{}

func (anywhere) Class(s2.CellID) atlas.Class { return atlas.In }

type nowhere struct{}

func (nowhere) Class(s2.CellID) atlas.Class { return atlas.Out }

func smallSamples(t *testing.T) []plan.Sample {
	t.Helper()
	samples, err := plan.Samples(land, 30)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// More delay never covers more, and neither does a larger f.
func TestCoverageShrinksWithDelay(t *testing.T) {
	sites := randomSites(rand.New(rand.NewPCG(5, 1)), 14)
	samples := smallSamples(t)
	share := func(f int, access earth.RTT) float64 {
		fleet := &plan.Fleet{Sites: sites, F: f, Delay: delay(t, 1.3, access), Locator: gridLocator{f, land.holds}}
		c, err := plan.Cover(context.Background(), fleet, samples, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Share()
	}
	near, far, faulty := share(0, 0), share(0, 1_000_000), share(1, 0)
	if near <= 0 || near >= 1 || far > near || faulty > near || far == near && faulty == near {
		t.Errorf("share %v at once, %v after a millisecond, %v with a liar", near, far, faulty)
	}
}

// The shortcut of Extend is sound: every pick's claim is what Cover says of the enlarged fleet.
func TestExtendAgreesWithCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	all := randomSites(rng, 14)
	samples := smallSamples(t)
	for f := range 2 {
		fleet := &plan.Fleet{Sites: all[:4], F: f, Delay: delay(t, 1.3, 0), Locator: gridLocator{f, land.holds}}
		calls, last := 0, 0
		e, err := plan.Extend(context.Background(), fleet, all[4:], 4, samples, func(done, total int) {
			calls++
			last = total - done
		})
		if err != nil {
			t.Fatal(err)
		}
		if calls == 0 || last != 0 {
			t.Errorf("progress was told %d times and ended %d short", calls, last)
		}
		grown := *fleet
		grown.Sites = slices.Clone(fleet.Sites)
		proven := e.Before.Proven
		for i, p := range e.Picks {
			grown.Sites = append(grown.Sites, p.Site)
			proven += p.Gain
			c, err := plan.Cover(context.Background(), &grown, samples, nil)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(c.Proven-p.Proven) > 1e-6*c.Total || math.Abs(proven-p.Proven) > 1e-6*c.Total {
				t.Errorf("f = %d, pick %d: said %.0f, Cover says %.0f", f, i, p.Proven, c.Proven)
			}
		}
		if len(e.Picks) == 0 || e.After.Proven <= e.Before.Proven {
			t.Errorf("f = %d: %d picks prove %.0f after %.0f", f, len(e.Picks), e.After.Proven, e.Before.Proven)
		}
	}
}

// The first pick is the best of all candidates, by trying each.
func TestFirstPickIsTheBest(t *testing.T) {
	all := randomSites(rand.New(rand.NewPCG(9, 1)), 12)
	samples := smallSamples(t)
	for f := range 2 {
		fleet := &plan.Fleet{Sites: all[:4], F: f, Delay: delay(t, 1.3, 0), Locator: gridLocator{f, land.holds}}
		e, err := plan.Extend(context.Background(), fleet, all[4:], 1, samples, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all[4:] {
			grown := *fleet
			grown.Sites = append(slices.Clone(fleet.Sites), s)
			c, err := plan.Cover(context.Background(), &grown, samples, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Proven > e.Picks[0].Proven+1e-6 {
				t.Errorf("f = %d: %s proves %.0f, the pick %s proves %.0f", f, s.ID, c.Proven, e.Picks[0].Site.ID, e.Picks[0].Proven)
			}
		}
	}
}

func TestPlansEndWithTheirContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	fleet := &plan.Fleet{Sites: randomSites(rand.New(rand.NewPCG(1, 1)), 6), Delay: delay(t, 2, 0), Locator: gridLocator{}}
	if _, err := plan.Cover(ctx, fleet, smallSamples(t), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cover: %v", err)
	}
	if _, err := plan.Extend(ctx, fleet, fleet.Sites, 99, smallSamples(t), nil); !errors.Is(err, plan.ErrPicks) {
		t.Errorf("extend: %v", err)
	}
}

func TestCollectionsAndChart(t *testing.T) {
	all := randomSites(rand.New(rand.NewPCG(9, 1)), 8)
	all[0].Name = `<script>alert("&")</script>`
	fleet := &plan.Fleet{Sites: all[:4], Delay: delay(t, 1.3, 0), Locator: gridLocator{0, land.holds}}
	e, err := plan.Extend(context.Background(), fleet, all[4:], 2, smallSamples(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	data := e.Collection(fleet.Sites)
	line, err := data.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Type     string
		Features []struct {
			Geometry struct{ Type string }
		}
	}
	if err := json.Unmarshal(line, &back); err != nil || back.Type != "FeatureCollection" || len(back.Features) != len(e.After.Samples)+4+len(e.Picks) {
		t.Errorf("%v: %d features", err, len(back.Features))
	}
	var svg bytes.Buffer
	chart := plan.Chart{Title: "A & B", Caption: "<c>", Data: data}
	if chart.Land, err = chart.LandOutlines(); err != nil || len(chart.Land.Areas) < 3 || len(chart.Land.Borders) < 3 {
		t.Fatalf("%d outlines of land in central Europe, %v", len(chart.Land.Areas), err)
	}
	if n, err := chart.WriteTo(&svg); err != nil || n != int64(svg.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, svg.Len(), err)
	}
	if strings.Contains(svg.String(), "<script>") {
		t.Error("a name became markup")
	}
	for _, want := range []string{`viewBox="0 0 1200 `, "<title>A &amp; B</title>", ">beacon</text>", ">new site, numbered as chosen</text>", " km at "} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %q on the map", want)
		}
	}
	for d := xml.NewDecoder(&svg); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}

func TestCellsAtTheRimOfTheMap(t *testing.T) {
	samples, err := plan.Samples(anywhere{}, 90)
	if err != nil {
		t.Fatal(err)
	}
	fleet := &plan.Fleet{Sites: randomSites(rand.New(rand.NewPCG(1, 1)), 3), Delay: delay(t, 2, 0), Locator: gridLocator{}}
	c, err := plan.Cover(context.Background(), fleet, samples, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Collection(nil).Features {
		ring := f.Geometry.Coordinates.([][][2]float64)[0]
		area := 0.0
		for i, p := range ring[1:] {
			if math.Abs(p[0]-ring[i][0]) > 91 || math.Abs(p[0]) > 180 || math.Abs(p[1]) > 90 {
				t.Fatalf("ring %v jumps", ring)
			}
			area += ring[i][0]*p[1] - p[0]*ring[i][1]
		}
		if area <= 0 || ring[0] != ring[len(ring)-1] {
			t.Fatalf("ring %v is not closed counter-clockwise", ring)
		}
	}
}
