package region_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func bound(name string, at earth.LatLon, radius earth.Metres, domains ...string) region.Bound {
	if len(domains) == 0 {
		domains = []string{name}
	}
	return region.Bound{Beacon: name, Domains: domains, Centre: at.ECEF(0), Radius: radius}
}

func TestSearchRefuses(t *testing.T) {
	nan := math.NaN()
	paris, rome := earth.LatLon{Lat: 48.86, Lon: 2.35}, earth.LatLon{Lat: 41.9, Lon: 12.5}
	for _, c := range []struct {
		name   string
		bounds []region.Bound
		f      int
		opt    region.Options
		want   error
	}{
		{"f below zero", nil, -1, region.Options{}, region.ErrFaulty},
		{"f too large", nil, region.MaxFaulty + 1, region.Options{}, region.ErrFaulty},
		{"a million bounds", make([]region.Bound, 1_000_000), 0, region.Options{}, region.ErrTooMany},
		{"no name", []region.Bound{bound("", paris, 1e5, "d")}, 0, region.Options{}, region.ErrBeacon},
		{"endless name", []region.Bound{bound(strings.Repeat("x", 1000), paris, 1e5, "d")}, 0, region.Options{}, region.ErrBeacon},
		{"no domain", []region.Bound{{Beacon: "a", Centre: paris.ECEF(0), Radius: 1}}, 0, region.Options{}, region.ErrDomain},
		{"empty domain", []region.Bound{bound("a", paris, 1e5, "")}, 0, region.Options{}, region.ErrDomain},
		{"domain twice", []region.Bound{bound("a", paris, 1e5, "d", "d")}, 0, region.Options{}, region.ErrDomain},
		{"a crowd of domains", []region.Bound{bound("a", paris, 1e5, "1", "2", "3", "4", "5")}, 0, region.Options{}, region.ErrDomain},
		{"two bounds of one beacon", []region.Bound{bound("a", paris, 1e5), bound("a", rome, 1e5)}, 0, region.Options{}, region.ErrDuplicate},
		{"beacon at the Earth's centre", []region.Bound{{Beacon: "a", Domains: []string{"d"}, Radius: 1}}, 0, region.Options{}, region.ErrCentre},
		{"beacon in orbit", []region.Bound{{Beacon: "a", Domains: []string{"d"}, Centre: paris.ECEF(400e3), Radius: 1}}, 0, region.Options{}, region.ErrCentre},
		{"position NaN", []region.Bound{{Beacon: "a", Domains: []string{"d"}, Centre: earth.ECEF{X: nan}, Radius: 1}}, 0, region.Options{}, region.ErrCentre},
		{"zero radius", []region.Bound{bound("a", paris, 0)}, 0, region.Options{}, region.ErrRadius},
		{"negative radius", []region.Bound{bound("a", paris, -1)}, 0, region.Options{}, region.ErrRadius},
		{"radius NaN", []region.Bound{bound("a", paris, earth.Metres(nan))}, 0, region.Options{}, region.ErrRadius},
		{"radius infinite", []region.Bound{bound("a", paris, earth.Metres(math.Inf(1)))}, 0, region.Options{}, region.ErrRadius},
		{"detail negative", nil, 0, region.Options{Detail: -1}, region.ErrDetail},
		{"detail absurd", nil, 0, region.Options{Detail: 1 << 30}, region.ErrDetail},
	} {
		if r, err := region.Search(c.bounds, c.f, c.opt); !errors.Is(err, c.want) || r != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestNoBoundsIsTheWholeEarth(t *testing.T) {
	r := search(t, nil, 0)
	if r.Empty() || !r.Contains(earth.LatLon{Lat: -90}) || !r.Contains(earth.LatLon{Lat: 3, Lon: 180}) {
		t.Error("not the whole Earth")
	}
	if km2 := r.AreaKM2(); math.Abs(km2-510_065_622) > 1 {
		t.Errorf("%.0f km²", km2)
	}
	if rel, _ := r.Compare(ball{earth.LatLon{}.ECEF(0), 1e6}); rel != region.Mixed {
		t.Error(rel)
	}
}

// With one bound and f = 1 that bound may lie: it says nothing.
func TestAsManyFaultyAsBoundsSaysNothing(t *testing.T) {
	one := []region.Bound{bound("a", earth.LatLon{Lat: 50, Lon: 8}, 1e5)}
	if km2 := search(t, one, 1).AreaKM2(); km2 < 510e6 {
		t.Errorf("%.0f km²", km2)
	}
	if km2 := search(t, one, 0).AreaKM2(); km2 < math.Pi*1e4 || km2 > 1.25*math.Pi*1e4 {
		t.Errorf("%.0f km² for a disc of 100 km", km2)
	}
}

func TestContradictingBoundsAreEmpty(t *testing.T) {
	two := []region.Bound{bound("a", earth.LatLon{Lat: 50, Lon: 8}, 1e5), bound("b", earth.LatLon{Lat: -33, Lon: 151}, 1e5)}
	r := search(t, two, 0)
	if rel, _ := r.Compare(ball{two[0].Centre, 2e7}); !r.Empty() || rel != region.Empty || r.AreaKM2() != 0 {
		t.Errorf("%v: an empty region must not be within anything", rel)
	}
	if r := search(t, two, 1); !r.Contains(earth.LatLon{Lat: 50, Lon: 8}) || !r.Contains(earth.LatLon{Lat: -33, Lon: 151}) {
		t.Error("with one liar both places are possible")
	}
}

// Beacons in several domains: three bounds that exclude a place are one fault when one domain is common to all, and more when not.
func TestBlameAcrossDomains(t *testing.T) {
	here, there := earth.LatLon{Lat: 50, Lon: 8}, earth.LatLon{Lat: -33, Lon: 151}
	for _, c := range []struct {
		name    string
		domains [][]string
		f       int
		allowed bool
	}{
		{"one vendor behind all", [][]string{{"op1", "vendor"}, {"op2", "vendor"}, {"op3", "vendor"}}, 1, true},
		{"no common domain", [][]string{{"op1", "v1"}, {"op2", "v2"}, {"op3", "v3"}}, 2, false},
		{"the same with three faults", [][]string{{"op1", "v1"}, {"op2", "v2"}, {"op3", "v3"}}, 3, true},
		{"a chain needs its middle", [][]string{{"a", "b"}, {"b", "c"}, {"c", "d"}}, 1, false},
		{"a chain is met by two", [][]string{{"a", "b"}, {"b", "c"}, {"c", "d"}}, 2, true},
		{"a triangle is not met by one", [][]string{{"a", "b"}, {"b", "c"}, {"c", "a"}}, 1, false},
	} {
		var bounds []region.Bound
		for i, d := range c.domains {
			bounds = append(bounds, bound(fmt.Sprint("b", i), here, 1e5, d...))
		}
		if got := search(t, bounds, c.f).Contains(there); got != c.allowed {
			t.Errorf("%s, f = %d: place excluded by all is allowed = %v", c.name, c.f, got)
		}
	}
}

var corners = []struct {
	name string
	at   earth.LatLon
}{
	{"north pole", earth.LatLon{Lat: 90}},
	{"south pole", earth.LatLon{Lat: -90}},
	{"near the north pole", earth.LatLon{Lat: 89.9, Lon: 170}},
	{"Fiji, on the antimeridian", earth.LatLon{Lat: -17, Lon: 179.9}},
	{"Svalbard", earth.LatLon{Lat: 78.2, Lon: 15.6}},
	{"null island", earth.LatLon{}},
	{"corner of the cube", earth.LatLon{Lat: 35.2644, Lon: 45}},
	{"edge of the cube", earth.LatLon{Lat: 10, Lon: -135}},
}

type feature struct {
	Type     string
	Geometry struct {
		Type        string
		Coordinates [][][][2]float64
	}
}

// The outline on the map is the region: cells lie in it, their neighbours outside the region do not; rings are simple, closed and turn
// the right way; nothing leaves ±180 and ±90.
func TestGeoJSONIsTheRegion(t *testing.T) {
	for _, c := range corners {
		for _, radius := range []earth.Metres{3e3, 200e3, 1500e3, 6000e3} {
			hole := bound("far", earth.LatLon{Lat: -c.at.Lat, Lon: c.at.Lon - 180 + 1e-9}, 12_756e3-radius/20)
			if hole.Centre.Validate() != nil {
				continue
			}
			r := search(t, []region.Bound{bound("near", c.at, radius), hole}, 0)
			checkOutline(t, fmt.Sprintf("%s, %v", c.name, radius), r)
			_, refined := r.Compare(ball{c.at.ECEF(0), radius * 2})
			checkOutline(t, fmt.Sprintf("%s, %v, refined", c.name, radius), refined)
		}
	}
	checkOutline(t, "whole Earth", search(t, nil, 0))
	for seed := range uint64(12) {
		w := newWorld(seed, 6, 1, false)
		checkOutline(t, fmt.Sprintf("world %d", seed), search(t, w.bounds, 1))
	}
}

func checkOutline(t *testing.T, name string, r *region.Region) {
	t.Helper()
	var f feature
	if err := json.Unmarshal(r.GeoJSON(), &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	rings := 0
	for _, polygon := range f.Geometry.Coordinates {
		for i, ring := range polygon {
			rings++
			checkRing(t, name, ring, i == 0)
		}
	}
	cells := r.Cells()
	for _, id := range cells {
		for _, probe := range append(id.AllNeighbors(id.Level()), id) {
			if probe.Level() == 0 {
				continue
			}
			p := earth.LatLonOf(probe.Point())
			if in := cells.ContainsCellID(probe); in != covers(f, p) && (in || !cells.IntersectsCellID(probe)) {
				t.Fatalf("%s: cell %v at %v: in the region %v, in the outline %v", name, probe, p, in, !in)
			}
		}
	}
	if (rings == 0) != r.Empty() {
		t.Fatalf("%s: %d rings", name, rings)
	}
}

func checkRing(t *testing.T, name string, ring [][2]float64, shell bool) {
	t.Helper()
	if len(ring) < 4 || ring[0] != ring[len(ring)-1] {
		t.Fatalf("%s: ring of %d points is not closed", name, len(ring))
	}
	seen := map[[2]float64]bool{}
	area := 0.0
	for i, p := range ring[1:] {
		if seen[p] || math.Abs(p[0]) > 180 || math.Abs(p[1]) > 90 || math.Abs(p[0]-ring[i][0]) > 91 {
			t.Fatalf("%s: bad point %v after %v", name, p, ring[i])
		}
		seen[p] = true
		area += ring[i][0]*p[1] - p[0]*ring[i][1]
	}
	if (area > 0) != shell {
		t.Fatalf("%s: ring turns the wrong way", name)
	}
}

func covers(f feature, p earth.LatLon) bool {
	in := false
	for _, polygon := range f.Geometry.Coordinates {
		for _, ring := range polygon {
			for i := range len(ring) - 1 {
				a, b := ring[i], ring[i+1]
				if (a[1] > p.Lat) != (b[1] > p.Lat) && p.Lon < (b[0]-a[0])*(p.Lat-a[1])/(b[1]-a[1])+a[0] {
					in = !in
				}
			}
		}
	}
	return in
}

func TestRegionAtTheCorners(t *testing.T) {
	for _, c := range corners {
		for _, radius := range []earth.Metres{100, 3e3, 200e3, 6000e3} {
			r := search(t, []region.Bound{bound("a", c.at, radius)}, 0)
			if !r.Contains(c.at) {
				t.Errorf("%s, %v: the centre is not in the region", c.name, radius)
			}
			lo, hi := r.Reach(c.at.ECEF(0))
			if lo > radius || hi < radius {
				t.Errorf("%s, %v: the region reaches %v..%v", c.name, radius, lo, hi)
			}
			if rel, _ := r.Compare(ball{c.at.ECEF(0), 1.2*radius + 12e3}); rel != region.Within {
				t.Errorf("%s, %v: %v in a ball a fifth larger", c.name, radius, rel)
			}
		}
	}
}

func TestContainsRefusesNonsense(t *testing.T) {
	r := search(t, nil, 0)
	for _, p := range []earth.LatLon{{Lat: math.NaN()}, {Lat: 91}, {Lon: 181}, {Lon: math.Inf(1)}} {
		if r.Contains(p) {
			t.Errorf("%v is somewhere", p)
		}
	}
}

func TestCellsIsACopy(t *testing.T) {
	r := search(t, []region.Bound{bound("a", earth.LatLon{Lat: 50, Lon: 8}, 1e5)}, 0)
	before := r.Cells()
	mine := r.Cells()
	for i := range mine {
		mine[i] = s2.CellIDFromFace(0)
	}
	if !slices.Equal(r.Cells(), before) {
		t.Error("a caller could change the region")
	}
}
