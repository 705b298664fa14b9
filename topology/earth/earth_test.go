package earth_test

import (
	"math"
	"testing"

	"github.com/golang/geo/s2"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Published pairs: the axes are exact by definition.
func TestECEFKnownPoints(t *testing.T) {
	for _, c := range []struct {
		name string
		at   earth.LatLon
		h    earth.Metres
		want earth.ECEF
	}{
		{"equator at Greenwich", earth.LatLon{Lat: 0, Lon: 0}, 0, earth.ECEF{X: 6378137}},
		{"equator at 90 E, 100 m up", earth.LatLon{Lat: 0, Lon: 90}, 100, earth.ECEF{Y: 6378237}},
		{"north pole", earth.LatLon{Lat: 90, Lon: 0}, 0, earth.ECEF{Z: 6356752.314245}},
		{"south pole", earth.LatLon{Lat: -90, Lon: 0}, 10, earth.ECEF{Z: -6356762.314245}},
	} {
		if got := c.at.ECEF(c.h); earth.Chord(got, c.want) > 1e-5 {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func anyLatLon(t *rapid.T, label string) earth.LatLon {
	return earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, label+" lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, label+" lon")}
}

func anyHeight(t *rapid.T, label string) earth.Metres {
	return earth.Metres(rapid.Float64Range(float64(earth.MinHeight), float64(earth.MaxHeight)).Draw(t, label))
}

func TestECEFRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, h := anyLatLon(t, "p"), anyHeight(t, "h")
		x := p.ECEF(h)
		q, g := x.LatLon()
		if d := earth.Chord(x, q.ECEF(g)); d > 1e-3 {
			t.Fatalf("%v at %v came back %v m away", p, h, float64(d))
		}
		if err := x.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

// The promise of the package: a column encloses what stands over its cell, whatever the cell, the height and the observer.
func TestColumnEncloses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyLatLon(t, "inside")
		level := rapid.IntRange(0, 30).Draw(t, "level")
		cell := s2.CellIDFromLatLng(s2.LatLngFromDegrees(in.Lat, in.Lon)).Parent(level)
		x := in.ECEF(anyHeight(t, "height"))
		far := anyLatLon(t, "observer").ECEF(anyHeight(t, "observer height"))
		near := in.ECEF(anyHeight(t, "near observer height"))
		column := earth.ColumnOf(cell)
		for _, o := range []earth.ECEF{far, near} {
			d := earth.Chord(o, x)
			if lo := column.MinChord(o); lo > d {
				t.Fatalf("MinChord %v > true %v (level %d)", float64(lo), float64(d), level)
			}
			if hi := column.MaxChord(o); hi < d {
				t.Fatalf("MaxChord %v < true %v (level %d)", float64(hi), float64(d), level)
			}
		}
	})
}

// The test above must be able to fail: a column thinner by a tenth is caught at the cell's corners.
func TestColumnIsTight(t *testing.T) {
	loose := 0
	for level := 2; level <= 20; level++ {
		cell := s2.CellFromCellID(s2.CellIDFromLatLng(s2.LatLngFromDegrees(50.11, 8.68)).Parent(level))
		column := earth.ColumnOf(cell.ID())
		centre := earth.LatLonOf(cell.Center()).ECEF(0)
		farthest := earth.Metres(0)
		for i := range 4 {
			farthest = max(farthest, earth.Chord(centre, earth.LatLonOf(cell.Vertex(i)).ECEF(0)))
		}
		if farthest < 0.9*column.Thick() {
			loose++
		}
	}
	if loose > 2 {
		t.Errorf("%d of 19 columns are more than a tenth thicker than their cells", loose)
	}
}

func TestCellAreaCoversTheEarth(t *testing.T) {
	total := 0.0
	for face := range 6 {
		id := s2.CellIDFromFace(face)
		for c := id.ChildBeginAtLevel(5); c != id.ChildEndAtLevel(5); c = c.Next() {
			total += earth.CellArea(c)
		}
	}
	const want = 510_065_621.7 // km², area of the WGS84 ellipsoid (TR8350.2)
	if math.Abs(total-want)/want > 1e-3 {
		t.Errorf("cells add up to %.0f km², the ellipsoid has %.0f", total, want)
	}
}

func TestValidateRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, p := range []earth.LatLon{{Lat: nan}, {Lon: nan}, {Lat: 90.001}, {Lat: -91}, {Lon: 180.5}, {Lon: inf}, {Lat: -inf}} {
		if p.Validate() == nil {
			t.Errorf("%v accepted", p)
		}
	}
	for _, p := range []earth.ECEF{{}, {X: nan}, {X: inf}, {X: 6378137 + 20e3}, {Z: 6378137 + 1}, {X: -7e6}} {
		if p.Validate() == nil {
			t.Errorf("%v accepted", p)
		}
	}
}

func TestSpeedClass(t *testing.T) {
	for _, c := range []earth.SpeedClass{earth.Vacuum, earth.Fibre} {
		if back, err := earth.ParseSpeedClass(c.String()); err != nil || back != c {
			t.Errorf("%v came back as %v, %v", c, back, err)
		}
	}
	if _, err := earth.ParseSpeedClass("warp"); err == nil {
		t.Error("warp accepted")
	}
	if earth.SpeedClass(0).Valid() || earth.SpeedClass(0).Speed() != earth.Light {
		t.Error("an unset class must be invalid and must reckon with light")
	}
}
