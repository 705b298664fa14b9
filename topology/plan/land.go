package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

// LandOutlines returns the outlines of the countries that a chart shows, for Chart.Land: rings of [lon, lat] in degrees, thinned to what can
// be seen.
func (c Chart) LandOutlines() ([][][2]float64, error) {
	f := c.frame()
	south := f.north - (f.height-chartHead-chartMargin)/f.scaleY
	east := f.west + (chartWidth-2*chartMargin)/f.scaleX
	rect := s2.RectFromLatLng(s2.LatLngFromDegrees(south, f.west))
	for lon := f.west; lon < east; lon += 10 { // step by step, so that AddPoint never takes the short way round
		rect = rect.Union(s2.RectFromLatLng(s2.LatLngFromDegrees(south, lon)).AddPoint(s2.LatLngFromDegrees(f.north, math.Min(east, lon+10))))
	}
	cover := s2.RegionCoverer{MaxLevel: 8, MaxCells: 200}
	var rings [][][2]float64
	for _, country := range atlas.CountriesTouching(cover.Covering(rect)...) {
		land, err := atlas.Parse(country, atlas.Options{})
		if err != nil {
			return nil, fmt.Errorf("outline of %s: %w", country, err)
		}
		geo, err := land.GeoJSON()
		if err != nil {
			return nil, fmt.Errorf("outline of %s: %w", country, err)
		}
		outlines, err := ringsOf(geo)
		if err != nil {
			return nil, fmt.Errorf("outline of %s: %w", country, err)
		}
		for _, ring := range outlines {
			if thin := f.thin(ring); thin != nil {
				rings = append(rings, thin)
			}
		}
	}
	return rings, nil
}

// ringsOf reads the rings of the multipolygons of a feature collection.
func ringsOf(geo []byte) ([][][2]float64, error) {
	var collection struct {
		Features []struct {
			Geometry struct {
				Type        string
				Coordinates json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(geo, &collection); err != nil {
		return nil, err
	}
	var rings [][][2]float64
	for _, f := range collection.Features {
		if !strings.EqualFold(f.Geometry.Type, "MultiPolygon") {
			continue
		}
		var polygons [][][][2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &polygons); err != nil {
			return nil, err
		}
		for _, p := range polygons {
			rings = append(rings, p...)
		}
	}
	return rings, nil
}

// thin drops points nearer than about a pixel to the one before, and whole rings that are off the page or too small to see.
func (f frame) thin(ring [][2]float64) [][2]float64 {
	var out [][2]float64
	visible := false
	for _, p := range ring {
		x, y := f.x(p[0]), f.y(p[1])
		visible = visible || x >= 0 && x <= f.width && y >= 0 && y <= f.height
		if n := len(out); n > 0 && math.Hypot(x-f.x(out[n-1][0]), y-f.y(out[n-1][1])) < 0.8 {
			continue
		}
		out = append(out, p)
	}
	if !visible || len(out) < 4 {
		return nil
	}
	return out
}
