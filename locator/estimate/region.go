package estimate

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Region is where a core stands with a stated probability: the densest cells that together have it. It is a guess about the world,
// not what the bounds allow; the latter is locator/region's.
type Region struct {
	r      *raster
	pieces []piece
	level  float64
}

// Region returns the smallest region that holds the core with probability p, within 0 and 1, after calibration: over the beacons,
// each located by the others, the region of this level held a share p.
func (e *Estimate) Region(p float64) *Region {
	level := e.l.t.levels.at(max(0, min(1, p)))
	return &Region{e.raster, e.raster.until(level), level}
}

// AreaKM2 returns the area in km².
func (r *Region) AreaKM2() float64 {
	sum := 0.0
	for _, p := range r.pieces {
		sum += p.mass / p.density
	}
	return sum
}

// Mass returns the posterior probability in the region before calibration. Where it is far above the probability that was asked for,
// the posterior is surer than it should be.
func (r *Region) Mass() float64 {
	sum := 0.0
	for _, p := range r.pieces {
		sum += p.mass
	}
	return min(1, sum)
}

// Contains says whether a place lies in the region.
func (r *Region) Contains(at earth.LatLon) bool {
	if at.Validate() != nil {
		return false
	}
	id := r.r.cellOf(vecOf(at))
	return slices.ContainsFunc(r.pieces, func(p piece) bool { return p.id == id })
}

// Cells returns the region as a normalised S2 cell union.
func (r *Region) Cells() s2.CellUnion {
	var out s2.CellUnion
	for _, p := range r.pieces {
		if p.id.Level() == metroLevel {
			out = append(out, p.id)
		} else {
			out = r.appendRest(out, p.id)
		}
	}
	out.Normalize()
	return out
}

// appendRest adds a cell without the metro cells in it, which are pieces of their own.
func (r *Region) appendRest(out s2.CellUnion, id s2.CellID) s2.CellUnion {
	i, _ := slices.BinarySearch(r.r.metros, id.RangeMin())
	switch {
	case i == len(r.r.metros) || r.r.metros[i] > id.RangeMax():
		return append(out, id)
	case id.Level() >= metroLevel:
		return out
	}
	for _, child := range id.Children() {
		out = r.appendRest(out, child)
	}
	return out
}

// coordinates is a MultiPolygon of RFC 7946: longitude before latitude.
type coordinates [][][][2]float64

func polygons(cells s2.CellUnion) coordinates {
	out := make(coordinates, 0, len(cells))
	for _, id := range cells {
		out = append(out, [][][2]float64{outline(id)})
	}
	return out
}

// outline returns a cell's corners as a closed ring, counter-clockwise. Cells of level one and more never cross the antimeridian: it
// runs along cell borders; a corner on it takes the side of the cell, as does a corner at a pole.
func outline(id s2.CellID) [][2]float64 {
	cell := s2.CellFromCellID(id)
	middle := earth.LatLonOf(cell.Center()).Lon
	ring := make([][2]float64, 0, 5)
	for k := range 5 {
		p := earth.LatLonOf(cell.Vertex(k % 4))
		if math.Abs(p.Lat) > 90-1e-9 {
			p.Lon = middle
		}
		if math.Abs(p.Lon) > 180-1e-9 {
			p.Lon = math.Copysign(180, middle)
		}
		ring = append(ring, [2]float64{round(p.Lon, 1e5), round(p.Lat, 1e5)})
	}
	return ring
}

func round(v, scale float64) float64 { return math.Round(v*scale) / scale }

// geoFeature is a GeoJSON feature.
type geoFeature struct {
	Type       string         `json:"type"`
	Properties map[string]any `json:"properties"`
	Geometry   geometry       `json:"geometry"`
}

type geometry struct {
	Type        string `json:"type"`
	Coordinates any    `json:"coordinates"`
}

// GeoJSON draws the 95, 90 and 50 % regions, the larger below the smaller, and the best point, as a FeatureCollection (RFC 7946).
func (e *Estimate) GeoJSON() ([]byte, error) {
	var list []geoFeature
	for _, p := range []float64{0.95, 0.9, 0.5} {
		r := e.Region(p)
		list = append(list, geoFeature{"Feature", map[string]any{"role": "region", "probability": p, "area_km2": math.Round(r.AreaKM2()), "prior": e.prior.String()},
			geometry{"MultiPolygon", polygons(r.Cells())}})
	}
	best := e.Best()
	list = append(list, geoFeature{"Feature", map[string]any{"role": "best", "near": best.Near, "expected_km": math.Round(best.ExpectedKM)},
		geometry{"Point", [2]float64{round(best.At.Lon, 1e5), round(best.At.Lat, 1e5)}}})
	return json.Marshal(struct {
		Type     string       `json:"type"`
		Features []geoFeature `json:"features"`
	}{"FeatureCollection", list})
}
