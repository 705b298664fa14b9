package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/golang/geo/r1"
	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Land is what a chart draws below everything, as [lon, lat] in degrees; longitudes go on beyond 180 where the chart does.
type Land struct {
	Areas   [][][2]float64 // rings, to be filled by the even-odd rule
	Borders [][][2]float64 // open lines: coasts and borders
}

// LandOutlines returns the land that a chart shows, for Chart.Land, thinned to what can be seen. What several states claim is land with
// an outline of its own.
func (c Chart) LandOutlines() (Land, error) {
	f := c.frame()
	seen := f.grown(0.02)
	cover := s2.RegionCoverer{MaxLevel: 8, MaxCells: 200}
	countries := atlas.CountriesTouching(cover.Covering(seen.rect())...)
	if len(countries) == 0 {
		return Land{}, nil
	}
	var land Land
	rings, err := outlines(strings.Join(countries, "+")) // together: no country alone has what is disputed
	if err != nil {
		return Land{}, err
	}
	for _, ring := range rings {
		for _, turn := range seen.turns(lonRange(ring)) {
			if area := f.thin(seen.cut(turned(ring, turn))); len(area) > 3 {
				land.Areas = append(land.Areas, area)
			}
		}
	}
	for _, country := range countries {
		if rings, err = outlines(country); err != nil {
			return Land{}, err
		}
		for _, ring := range rings {
			for _, turn := range seen.turns(lonRange(ring)) {
				land.Borders = append(land.Borders, f.thinned(seen.lines(ring, turn))...)
			}
		}
	}
	return land, nil
}

// outlines returns the rings of a region.
func outlines(region string) ([][][2]float64, error) {
	land, err := atlas.Parse(region, atlas.Options{})
	if err != nil {
		return nil, fmt.Errorf("outline of %s: %w", region, err)
	}
	geo, err := land.GeoJSON()
	if err != nil {
		return nil, fmt.Errorf("outline of %s: %w", region, err)
	}
	rings, err := ringsOf(geo)
	if err != nil {
		return nil, fmt.Errorf("outline of %s: %w", region, err)
	}
	return rings, nil
}

// rect is the window on the sphere.
func (w window) rect() s2.Rect {
	const degree = math.Pi / 180
	rect := s2.Rect{Lat: r1.Interval{Lo: math.Max(-90, w.south) * degree, Hi: math.Min(90, w.north) * degree}, Lng: s1.FullInterval()}
	if w.east-w.west < 360 {
		rect.Lng = s1.IntervalFromEndpoints(math.Remainder(w.west, 360)*degree, math.Remainder(w.east, 360)*degree)
	}
	return rect
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

// turned is a line that many degrees further east.
func turned(line [][2]float64, by float64) [][2]float64 {
	if by == 0 {
		return line
	}
	out := slices.Clone(line)
	for i := range out {
		out[i][0] += by
	}
	return out
}

// thin drops points nearer than about a pixel to the one before; the ends stay.
func (f frame) thin(line [][2]float64) [][2]float64 {
	var out [][2]float64
	for i, p := range line {
		if n := len(out); n > 0 && i < len(line)-1 && math.Hypot(f.x(p[0])-f.x(out[n-1][0]), f.y(p[1])-f.y(out[n-1][1])) < 0.9 {
			continue
		}
		out = append(out, p)
	}
	return out
}

// thinned thins each line and drops those too small to see.
func (f frame) thinned(lines [][][2]float64) (out [][][2]float64) {
	for _, line := range lines {
		if thin := f.thin(line); len(thin) > 2 || len(thin) == 2 && math.Hypot(f.x(thin[0][0])-f.x(thin[1][0]), f.y(thin[0][1])-f.y(thin[1][1])) > 1 {
			out = append(out, thin)
		}
	}
	return out
}
