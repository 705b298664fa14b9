package main

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

// The source writes degrees with five decimals; reading them as integers makes equality of vertices exact.
const sourceQuantum = 100_000

// piece is one polygon of a feature: a shell and its holes, each ring with the piece's interior on its left.
type piece struct {
	country, code, name string
	rings               [][]wire.Vertex // closed: the last vertex repeats the first
}

type feature struct {
	Properties struct {
		Country string `json:"iso_a2"`
		Unit    string `json:"gu_a3"`
		Code    string `json:"iso_3166_2"`
		Name    string `json:"name"`
		Admin   string `json:"admin"`
	}
	Geometry struct {
		Type        string
		Coordinates json.RawMessage
	}
}

func readSource(data []byte) ([]piece, error) {
	var collection struct{ Features []feature }
	if err := json.Unmarshal(data, &collection); err != nil {
		return nil, err
	}
	var out []piece
	for i, f := range collection.Features {
		polygons, err := f.polygons()
		if err != nil {
			return nil, fmt.Errorf("feature %d (%s): %w", i, f.Properties.Code, err)
		}
		for _, p := range polygons {
			rings := make([][]wire.Vertex, len(p))
			for j, ring := range p {
				if rings[j], err = readRing(ring, j > 0); err != nil {
					return nil, fmt.Errorf("feature %d (%s) ring %d: %w", i, f.Properties.Code, j, err)
				}
			}
			out = append(out, pieceOf(f, rings))
		}
	}
	return out, nil
}

func (f feature) polygons() (out [][][][2]float64, err error) {
	switch f.Geometry.Type {
	case "Polygon":
		out = make([][][][2]float64, 1)
		return out, json.Unmarshal(f.Geometry.Coordinates, &out[0])
	case "MultiPolygon":
		return out, json.Unmarshal(f.Geometry.Coordinates, &out)
	}
	return nil, fmt.Errorf("geometry %q is neither Polygon nor MultiPolygon", f.Geometry.Type)
}

// readRing quantises a ring, drops repeated vertices and turns it so that the interior is on the left: shells run
// counter-clockwise, holes clockwise. The sign of the planar area decides, which is exact for the source because it cuts its
// rings at the antimeridian and draws Antarctica down to latitude -90.
func readRing(ring [][2]float64, hole bool) ([]wire.Vertex, error) {
	var out []wire.Vertex
	twice := 0.0
	for i, c := range ring {
		v := wire.Vertex{Lon: int32(math.Round(c[0] * sourceQuantum)), Lat: int32(math.Round(c[1] * sourceQuantum))}
		if math.Abs(float64(v.Lon)-c[0]*sourceQuantum) > 1e-3 || math.Abs(float64(v.Lat)-c[1]*sourceQuantum) > 1e-3 {
			return nil, fmt.Errorf("vertex %d has more than five decimals: %v", i, c)
		}
		if len(out) == 0 || out[len(out)-1] != v {
			out = append(out, v)
		}
		if i > 0 {
			twice += ring[i-1][0]*c[1] - c[0]*ring[i-1][1]
		}
	}
	if len(out) < 4 || out[0] != out[len(out)-1] {
		return nil, fmt.Errorf("%d vertices, or not closed", len(out))
	}
	if (twice > 0) == hole {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out, nil
}

// ringArea returns the area enclosed by a ring in square metres, good enough to tell an islet from an island.
func ringArea(ring []wire.Vertex) float64 {
	const metre = 111_195.0 / sourceQuantum
	low, high, twice := ring[0].Lat, ring[0].Lat, 0.0
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		low, high = min(low, b.Lat), max(high, b.Lat)
		twice += float64(a.Lon-ring[0].Lon)*float64(b.Lat-ring[0].Lat) - float64(b.Lon-ring[0].Lon)*float64(a.Lat-ring[0].Lat)
	}
	middle := (float64(low) + float64(high)) / 2 / sourceQuantum
	return math.Abs(twice/2) * metre * metre * math.Cos(middle*math.Pi/180)
}
