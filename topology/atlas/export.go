package atlas

import (
	"encoding/json"
	"fmt"

	"github.com/golang/geo/s2"
)

// exportCells bounds how many cells GeoJSON draws of a region that is not made of named areas alone.
const exportCells = 4_000

type exportFeature struct {
	Type       string         `json:"type"`
	Properties map[string]any `json:"properties"`
	Geometry   exportGeometry `json:"geometry"`
}

type exportGeometry struct {
	Type        string       `json:"type"`
	Coordinates [][][]lonLat `json:"coordinates"`
}

// GeoJSON draws the region as a FeatureCollection (RFC 7946) for a map. A combination of named areas is drawn by its lines: one
// feature with role "in", and one with role "disputed" for the atoms that only some claimants would put in it. Anything else is drawn
// in cells: those that are In, and those that straddle the Border. Zones in dispute are drawn apart, with role "zone".
func (r *Region) GeoJSON() ([]byte, error) {
	props := func(role string) map[string]any {
		return map[string]any{"role": role, "region": r.text, "hash": fmt.Sprintf("%x", r.Hash()), "accuracy_m": float64(r.opt.Accuracy), "source": r.w.version}
	}
	var out []exportFeature
	add := func(role string, polygons [][][]lonLat) {
		if len(polygons) > 0 {
			out = append(out, exportFeature{"Feature", props(role), exportGeometry{Type: "MultiPolygon", Coordinates: polygons}})
		}
	}
	if isNamed(r.expr) {
		read := r.w.read(r.expr, Strict)
		add("in", r.w.draw(read.low))
		add("disputed", r.w.draw(read.low.not(read.high)))
		for _, z := range read.cut {
			if zone := &r.w.zones[z]; r.w.meets(zone, read.low) {
				p := props("zone")
				p["name"], p["claimants"] = zone.name, r.w.names(zone.countries)
				ring := zone.loop.Vertices()
				out = append(out, exportFeature{"Feature", p, exportGeometry{Type: "MultiPolygon", Coordinates: nest(flatten([][]s2.Point{ring}, false))}})
			}
		}
	} else {
		in, border := r.cells()
		add("in", in)
		add("border", border)
	}
	return json.Marshal(map[string]any{"type": "FeatureCollection", "features": out})
}

// not returns the members of b that are not in a.
func (a atomSet) not(b atomSet) atomSet {
	out := make(atomSet, len(a))
	for i := range a {
		out[i] = b[i] &^ a[i]
	}
	return out
}

// draw returns the polygons of a set of atoms.
func (w *world) draw(set atomSet) [][][]lonLat {
	onRim := set.has(w.atomAt(s2.PointFromLatLng(s2.LatLngFromDegrees(0, 180))))
	return nest(flatten(w.walkRings(set), onRim))
}

// meets says whether a zone may share land with a set: whether a corner, the centre or an edge of the set is in it.
func (w *world) meets(z *zone, set atomSet) bool {
	if set.has(w.atomAt(z.bound.Center())) {
		return true
	}
	for _, v := range z.loop.Vertices() {
		if set.has(w.atomAt(v)) {
			return true
		}
	}
	return false
}

// cells returns the cells of the region, divided until there are enough of them.
func (r *Region) cells() (in, border [][][]lonLat) {
	var level []s2.CellID
	for face := range 6 {
		level = append(level, s2.CellIDFromFace(face))
	}
	square := func(id s2.CellID) [][][]lonLat {
		var ring []s2.Point
		for i := range 4 {
			ring = append(ring, s2.CellFromCellID(id).Vertex(i))
		}
		return nest(flatten([][]s2.Point{ring}, false))
	}
	for len(level) > 0 {
		last := len(level) > exportCells || level[0].Level() >= 16
		var next []s2.CellID
		for _, id := range level {
			switch c := r.Class(id); {
			case c == In:
				in = append(in, square(id)...)
			case c == Border && last:
				border = append(border, square(id)...)
			case c == Border:
				kids := id.Children()
				next = append(next, kids[:]...)
			}
		}
		level = next
	}
	return in, border
}
