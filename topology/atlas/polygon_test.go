package atlas

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/golang/geo/s2"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/earth"
)

func polygonText(rings ...string) string {
	return `{"type":"Polygon","coordinates":[` + strings.Join(rings, ",") + `]}`
}

const box = `[[8,50],[9,50],[9,51],[8,51],[8,50]]`

// Every fault names its place, and nothing is repaired.
func TestPolygonFaults(t *testing.T) {
	for _, c := range []struct {
		name, in string
		kind     error
		says     string
	}{
		{"no JSON", `{`, ErrJSON, "unexpected end"},
		{"an array", `[1,2]`, ErrJSON, ""},
		{"a point", `{"type":"Point","coordinates":[8,50]}`, ErrJSON, "no area"},
		{"no coordinates", `{"type":"Polygon"}`, ErrJSON, ""},
		{"empty collection", `{"type":"FeatureCollection","features":[]}`, ErrJSON, "no polygon"},
		{"a null geometry", `{"type":"Feature","geometry":null}`, ErrJSON, "no area"},
		{"no ring", polygonText(), ErrJSON, "without rings"},
		{"a coordinate system", `{"type":"Polygon","crs":{"type":"name"},"coordinates":[` + box + `]}`, ErrJSON, "WGS84"},
		{"too deep", strings.Repeat(`{"type":"GeometryCollection","geometries":[`, 20) + polygonText(box) + strings.Repeat(`]}`, 20), ErrJSON, "nested"},
		{"one number", polygonText(`[[8],[9,50],[9,51],[8]]`), ErrPosition, "ring 0, position 0"},
		{"words", polygonText(`[[8,50],[9,"x"],[9,51],[8,50]]`), ErrPosition, "position 1"},
		{"infinite", polygonText(`[[8,50],[9,1e999],[9,51],[8,50]]`), ErrPosition, "position 1"},
		{"NaN", polygonText("[[8,50],\n[9,NaN],[9,51],[8,50]]"), ErrJSON, "line 2, column 4"},
		{"longitude 181", polygonText(`[[8,50],[181,50],[9,51],[8,50]]`), ErrPosition, "position 1"},
		{"swapped, beyond the pole", polygonText(`[[50,8],[50,98],[51,9],[50,8]]`), ErrSwapped, "position 1"},
		{"unclosed", polygonText(`[[8,50],[9,50],[9,51],[8,51]]`), ErrUnclosed, "[8,50] and ends at [8,51]"},
		{"two corners", polygonText(`[[8,50],[9,50],[8,50]]`), ErrDegenerate, "3 positions"},
		{"empty ring", polygonText(`[]`), ErrDegenerate, "0 positions"},
		{"a repeated position", polygonText(`[[8,50],[9,50],[9,50],[9,51],[8,50]]`), ErrDegenerate, "positions 1 and 2"},
		{"a bow tie", polygonText(`[[8,50],[9,51],[9,50],[8,51],[8,50]]`), ErrCrossing, "[8,50] to [9,51]"},
		{"a spike", polygonText(`[[8,50],[9,50],[9,52],[9,51],[8,51],[8,50]]`), ErrCrossing, "ring 0"},
		{"touching itself", polygonText(`[[8,50],[10,50],[9,51],[10,52],[8,52],[9,51],[8,50]]`), ErrCrossing, "touches"},
		{"a corner on an edge", polygonText(`[[8,50],[10,50],[10,52],[9,50],[8,52],[8,50]]`), ErrCrossing, "touches"},
		{"a hole across the shell", polygonText(box, `[[8.5,50.5],[9.5,50.5],[9.5,50.7],[8.5,50.5]]`), ErrCrossing, "ring 1"},
		{"a hole outside", polygonText(box, `[[18.5,50.5],[18.6,50.5],[18.6,50.7],[18.5,50.5]]`), ErrHole, "outside"},
		{"a hole in a hole", polygonText(box, `[[8.1,50.1],[8.9,50.1],[8.9,50.9],[8.1,50.1]]`, `[[8.5,50.2],[8.6,50.2],[8.6,50.3],[8.5,50.2]]`), ErrHole, "ring 1"},
		{"across the antimeridian", polygonText(`[[179,10],[-179,10],[-179,11],[179,11],[179,10]]`), ErrAntimeridian, "[179,10] to [-179,10]"},
		{"most of the Earth", polygonText(`[[-180,-80],[0,-80],[180,-80],[180,80],[0,80],[-180,80],[-180,-80]]`), ErrHemisphere, "%"},
		{"one id twice", `{"type":"FeatureCollection","features":[{"type":"Feature","id":7,"geometry":` + polygonText(box) +
			`},{"type":"Feature","id":7,"geometry":` + polygonText(box) + `}]}`, ErrDuplicateID, "feature 1: id 7"},
		{"in the third feature", `{"type":"FeatureCollection","features":[` + strings.Repeat(`{"type":"Feature","geometry":`+polygonText(box)+`},`, 2) +
			`{"type":"Feature","geometry":` + polygonText(`[[8,50],[9,51],[9,50],[8,51],[8,50]]`) + `}]}`, ErrCrossing, "feature 2: ring 0"},
		{"in the second polygon", `{"type":"MultiPolygon","coordinates":[[` + box + `],[[[8,50],[9,50],[9,51],[8,51]]]]}`, ErrUnclosed, "polygon 1: ring 0"},
		{"too many positions", polygonText("[" + strings.Repeat("[8,50],[9,50],", 30_000) + "[8,50]]"), ErrTooLarge, "ring 0"},
	} {
		_, err := readPolygons([]byte(c.in))
		if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.kind, c.says)
		}
	}
}

func TestPolygonsAccepted(t *testing.T) {
	for name, in := range map[string]string{
		"counter-clockwise":           polygonText(box),
		"clockwise":                   polygonText(`[[8,50],[8,51],[9,51],[9,50],[8,50]]`),
		"with heights":                polygonText(`[[8,50,100],[9,50,100],[9,51,100],[8,50,100]]`),
		"a hole touching the shell":   polygonText(box, `[[8,50],[8.5,50.2],[8.5,50.5],[8,50]]`),
		"two holes touching":          polygonText(box, `[[8.1,50.1],[8.5,50.2],[8.5,50.5],[8.1,50.1]]`, `[[8.5,50.5],[8.9,50.6],[8.7,50.9],[8.5,50.5]]`),
		"cut at the antimeridian":     `{"type":"MultiPolygon","coordinates":[[[[179,10],[180,10],[180,11],[179,11],[179,10]]],[[[-180,10],[-179,10],[-179,11],[-180,11],[-180,10]]]]}`,
		"around the pole":             polygonText(`[[-180,80],[-90,80],[0,80],[90,80],[180,80],[180,90],[-180,90],[-180,80]]`),
		"ids that differ by type":     `{"type":"FeatureCollection","features":[{"type":"Feature","id":7,"geometry":` + polygonText(box) + `},{"type":"Feature","id":"7","geometry":` + polygonText(box) + `}]}`,
		"properties of another shape": `{"type":"Feature","properties":{"name":"x","at_sea":false},"geometry":` + polygonText(box) + `}`,
	} {
		if _, err := readPolygons([]byte(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func parseFile(t testing.TB, content string) (*Region, error) {
	t.Helper()
	return Parse("file(x)", Options{ReadFile: func(string) ([]byte, error) { return []byte(content), nil }})
}

// A box by Paris written the wrong way round lies off Somalia: all of it at sea, and all of it on land when swapped.
func TestSwappedPolygon(t *testing.T) {
	wrong := `[[48,2.2],[48,2.9],[48.5,2.9],[48.5,2.2],[48,2.2]]`
	if _, err := parseFile(t, polygonText(wrong)); !errors.Is(err, ErrSwapped) || !errors.Is(err, ErrFile) {
		t.Errorf("swapped: %v", err)
	}
	if _, err := parseFile(t, `{"type":"Feature","properties":{"at_sea":true},"geometry":`+polygonText(wrong)+`}`); err != nil {
		t.Errorf("meant to be at sea: %v", err)
	}
	if _, err := parseFile(t, polygonText(`[[2.2,48],[2.9,48],[2.9,48.5],[2.2,48.5],[2.2,48]]`)); err != nil {
		t.Errorf("the right way round: %v", err)
	}
}

func TestFileRegion(t *testing.T) {
	for _, c := range []struct {
		name, in string
		p        earth.LatLon
		want     Class
	}{
		{"inside", polygonText(box), earth.LatLon{Lat: 50.5, Lon: 8.5}, In},
		{"outside", polygonText(box), earth.LatLon{Lat: 50.5, Lon: 9.5}, Out},
		{"on the rim", polygonText(box), earth.LatLon{Lat: 50.5, Lon: 9}, Border},
		{"in a hole", polygonText(box, `[[8.1,50.1],[8.9,50.1],[8.9,50.9],[8.1,50.9],[8.1,50.1]]`), earth.LatLon{Lat: 50.5, Lon: 8.5}, Out},
		{"where two polygons overlap", `{"type":"MultiPolygon","coordinates":[[` + box + `],[[[8.4,50.4],[9.4,50.4],[9.4,50.6],[8.4,50.6],[8.4,50.4]]]]}`, earth.LatLon{Lat: 50.5, Lon: 8.7}, In},
		{"where two polygons join", `{"type":"MultiPolygon","coordinates":[[` + box + `],[[[9,50],[10,50],[10,51],[9,51],[9,50]]]]}`, earth.LatLon{Lat: 50.5, Lon: 9}, In},
		{"where two polygons join, one clockwise", `{"type":"MultiPolygon","coordinates":[[` + box + `],[[[9,50],[9,51],[10,51],[10,50],[9,50]]]]}`, earth.LatLon{Lat: 50.5, Lon: 9}, In},
		{"on the antimeridian, cut as it should be", `{"type":"MultiPolygon","coordinates":[[[[179,10],[180,10],[180,11],[179,11],[179,10]]],[[[-180,10],[-179,10],[-179,11],[-180,11],[-180,10]]]]}`, earth.LatLon{Lat: 10.5, Lon: 180}, In},
		{"at the pole", polygonText(`[[-180,80],[-90,80],[0,80],[90,80],[180,80],[180,90],[-180,90],[-180,80]]`), earth.LatLon{Lat: 89.9, Lon: 33}, In},
		// A box of ten degrees at 60 N: the parallel runs south of the geodesic by 11 km.
		{"just below the parallel", polygonText(`[[0,50],[10,50],[10,60],[0,60],[0,50]]`), earth.LatLon{Lat: 59.99, Lon: 5}, In},
		{"just above the parallel", polygonText(`[[0,50],[10,50],[10,60],[0,60],[0,50]]`), earth.LatLon{Lat: 60.01, Lon: 5}, Out},
	} {
		r, err := parseFile(t, c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := r.ClassPoint(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// star draws a simple polygon: corners around a centre in the order of their bearing.
func star(t *rapid.T) (string, []earth.LatLon) {
	lat, lon := rapid.Float64Range(-60, 60).Draw(t, "lat"), rapid.Float64Range(-150, 150).Draw(t, "lon")
	n := rapid.IntRange(3, 12).Draw(t, "corners")
	var ring []earth.LatLon
	var parts []string
	for i := range n {
		r := rapid.Float64Range(0.5, 9).Draw(t, "radius")
		a := 2 * math.Pi * float64(i) / float64(n)
		v := earth.LatLon{Lat: lat + r*math.Sin(a), Lon: lon + r*math.Cos(a)}
		ring = append(ring, v)
		parts = append(parts, show(v))
	}
	return polygonText("[" + strings.Join(append(parts, parts[0]), ",") + "]"), append(ring, ring[0])
}

// A polygon against the definition: a point is inside by the even-odd rule in the plane. Cells are judged by points in them.
func TestPolygonAgainstThePlane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, ring := star(t)
		p, err := readPolygons([]byte(in))
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		region := &Region{root: p.node()}
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 0))
		seen := map[Class]int{}
		for range 40 {
			v := ring[r.IntN(len(ring))]
			near := jump(r, v.Point(), math.Pow(10, -5+4*r.Float64()))
			id := s2.CellFromPoint(near).ID().Parent(4 + r.IntN(16))
			class := region.Class(id)
			seen[class]++
			for range 6 {
				v := earth.LatLonOf(inCell(r, id))
				if in := inRing(ring, v); class == In && !in || class == Out && in {
					t.Fatalf("seed %d: cell %v is %v, and %v is inside: %v", seed, id.ToToken(), class, v, in)
				}
			}
		}
	})
}

func FuzzPolygons(f *testing.F) {
	f.Add(polygonText(box))
	f.Add(`{"type":"FeatureCollection","features":[{"type":"Feature","id":1,"geometry":` + polygonText(box, `[[8.1,50.1],[8.9,50.1],[8.9,50.9],[8.1,50.1]]`) + `}]}`)
	f.Add(`{"type":"MultiPolygon","coordinates":[[` + box + `],[[[-180,10],[-179,10],[-179,11],[-180,10]]]]}`)
	f.Add(polygonText(`[[8,50],[9,51],[9,50],[8,51],[8,50]]`))
	f.Add(polygonText(`[[-180,-90],[180,-90],[0,90],[-180,-90]]`))
	f.Fuzz(func(t *testing.T, in string) {
		p, err := readPolygons([]byte(in))
		if err != nil {
			return
		}
		region := &Region{root: p.node()}
		for _, poly := range p.list {
			for _, v := range poly.rings[0] {
				if c := region.ClassPoint(v); c == Out {
					t.Fatalf("%s: corner %v is out", in, v)
				}
			}
		}
	})
}

// What the atlas draws, it accepts.
func TestDrawnRegionsAreValid(t *testing.T) {
	for _, text := range []string{"LU", "ZA", "FJ", "RU", "US", "AQ", "NZ", "* minus LS", "EU27 & cap(48.2,16.4,300km)", "buffer(CH,-10km)"} {
		r, err := Parse(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		drawn, err := r.GeoJSON()
		if err != nil {
			t.Fatal(err)
		}
		if os.Getenv("URSA_KEEP") != "" {
			_ = os.WriteFile(os.Getenv("URSA_KEEP")+"/"+strings.ReplaceAll(text, " ", "_")+".json", drawn, 0o644)
		}
		if _, err := readPolygons(drawn); err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrHemisphere) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
