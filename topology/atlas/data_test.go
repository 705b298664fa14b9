package atlas

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"math"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// freshWorld decodes the atlas anew, with empty trees.
func freshWorld(t testing.TB) *world {
	t.Helper()
	f, err := wire.Decode(embedded)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(f)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The embedded file is what encoding its own content gives, byte for byte, and fits its budget.
func TestEmbeddedFileIsCanonical(t *testing.T) {
	f, err := wire.Decode(embedded)
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, embedded) {
		t.Error("encoding the decoded atlas gives other bytes")
	}
	if len(embedded) > 4<<20 {
		t.Errorf("the atlas takes %d bytes, more than 4 MB", len(embedded))
	}
}

//go:embed testdata/capitals.csv
var capitalsCSV []byte

// Every capital stands in its country, give or take the accuracy.
func TestCapitals(t *testing.T) {
	r := csv.NewReader(bytes.NewReader(capitalsCSV))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 240 {
		t.Fatalf("%d capitals, %v", len(rows), err)
	}
	for _, row := range rows {
		lat, _ := strconv.ParseFloat(row[2], 64)
		lon, _ := strconv.ParseFloat(row[3], 64)
		p := earth.LatLon{Lat: lat, Lon: lon}
		// The Vatican is smaller than the data's error: Saint Peter's stands a hundred metres outside of it.
		if got, ok := LookupNear(p, SnapDistance); !ok || got.Country != row[0] && row[0] != "VA" {
			t.Errorf("%s at %v: %+v, want %s", row[1], p, got, row[0])
		}
		if near := CountriesTouching(s2.CellFromPoint(p.Point()).ID()); !slices.Contains(near, row[0]) {
			t.Errorf("%s at %v may be in %v, want %s among them", row[1], p, near, row[0])
		}
	}
}

// Every country of ISO 3166-1 is there (249 codes), and XK and ZZ.
func TestCountriesAreComplete(t *testing.T) {
	list, err := Countries()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 249+2 {
		t.Errorf("%d countries, want 249 of ISO 3166-1 with XK and ZZ", len(list))
	}
	for i, c := range list {
		if len(c.Code) != 2 || c.Name == "" || c.Name == "Unknown Region" || c.Subdivisions == 0 {
			t.Errorf("%+v is incomplete", c)
		}
		if i > 0 && list[i-1].Code >= c.Code {
			t.Errorf("%s stands after %s", c.Code, list[i-1].Code)
		}
		if subs, err := Subdivisions(c.Code); err != nil || len(subs) != c.Subdivisions {
			t.Errorf("%s: %d subdivisions, %v", c.Code, len(subs), err)
		}
	}
}

// Every code of the atlas can be written in an expression.
func TestEveryCodeParses(t *testing.T) {
	w := mustLoad(t)
	for code := range w.bySub {
		if e, err := parse(w, code, nil); err != nil || text(e) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// landArea integrates sin φ dλ along the edges of a set of atoms: its area in steradians. The south pole's share is added by counting
// from it (1 + sin φ), which is right for every atom because none holds the north pole.
func landArea(w *world, holds func(atom uint16) bool) float64 {
	sum := 0.0
	for _, e := range w.borders {
		l, r := holds(w.left[e]), holds(w.right[e])
		if l == r {
			continue
		}
		a, b := s2.LatLngFromPoint(w.points[e]), s2.LatLngFromPoint(w.points[e+1])
		d := math.Remainder(float64(b.Lng-a.Lng), 2*math.Pi) * (1 + math.Sin(float64(a.Lat+b.Lat)/2))
		if l {
			d = -d
		}
		sum += d
	}
	return sum
}

// The land covers 28.7 to 28.9 % of the sphere. The source leaves out the Caspian (0.073 %), which those figures count as land, and
// the lagoons and islets that simplifying loses: hence from 28.6.
func TestLandFraction(t *testing.T) {
	w := mustLoad(t)
	share := landArea(w, func(a uint16) bool { return a != 0 }) / (4 * math.Pi)
	if share < 0.286 || share > 0.289 {
		t.Errorf("land covers %.3f %% of the sphere, want 28.6..28.9", 100*share)
	}
}

// No atom is turned inside out.
func TestEveryAtomHasItsInsideInside(t *testing.T) {
	w := mustLoad(t)
	area := make([]float64, len(w.atoms))
	for _, e := range w.borders {
		a, b := s2.LatLngFromPoint(w.points[e]), s2.LatLngFromPoint(w.points[e+1])
		d := math.Remainder(float64(b.Lng-a.Lng), 2*math.Pi) * (1 + math.Sin(float64(a.Lat+b.Lat)/2))
		area[w.left[e]] -= d
		area[w.right[e]] += d
	}
	for i, a := range area[1:] {
		if !(a > 0) || a > 0.4 {
			t.Errorf("atom %s has %v sr", w.atoms[i+1].code, a)
		}
	}
}

// Areas of countries against published ones (UN Statistics Division, total area), within one per cent.
func TestAreas(t *testing.T) {
	for _, c := range []struct {
		region string
		km2    float64
	}{
		{"DE", 357_588}, {"CH", 41_291}, {"LS", 30_355}, {"JP", 377_930}, {"IS", 103_000}, {"US-TX", 695_660},
		{"cap(10,20,100km)", math.Pi * 100 * 100}, {"buffer(cap(10,20,100km),-50km)", math.Pi * 50 * 50},
	} {
		r, err := Parse(c.region, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.AreaKM2(); math.Abs(got/c.km2-1) > 0.015 {
			t.Errorf("%s has %.0f km², want %.0f", c.region, got, c.km2)
		}
	}
}

// A loaded atlas with a region in use stays within its budget of memory.
func TestMemory(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	w := freshWorld(t)
	after := heap()
	if used := int64(after) - int64(before); used > 60<<20 {
		t.Errorf("the atlas takes %d MB of memory when loaded", used>>20)
	}
	runtime.KeepAlive(w)
}

// A round zone holds its circle, and a zone is no larger than its author meant.
func TestZonesHoldTheirCircles(t *testing.T) {
	w := mustLoad(t)
	for i := range w.zones {
		z := &w.zones[i]
		if a := z.loop.Area(); a > 0.01 {
			t.Errorf("%s covers %v sr", z.name, a)
		}
		if z.radius == 0 {
			continue
		}
		for k := range 64 {
			edge := s2.PointOnLine(z.centre.point(), s2.Point{Vector: z.centre.point().Ortho()}, outerAngle(z.radius)*0.9999)
			edge = s2.Rotate(edge, z.centre.point(), s1.Angle(float64(k)/64*2*math.Pi))
			if !z.loop.ContainsPoint(edge) || !z.bound.ContainsPoint(edge) {
				t.Errorf("%s leaves out a part of its circle", z.name)
				break
			}
		}
	}
}
