package atlas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Polygons of the user's are validated, not repaired: whoever reads another shape than was drawn should not be the one who guards a
// border. Every fault names its place. The format is RFC 7946: longitude before latitude, WGS84, edges straight in longitude and
// latitude, rings cut at the antimeridian. The polygons are one area together; those that share an edge join without a seam.

// The faults of a polygon file.
var (
	ErrJSON         = errors.New("not GeoJSON polygons")
	ErrPosition     = errors.New("not a position")
	ErrSwapped      = errors.New("latitude and longitude swapped")
	ErrUnclosed     = errors.New("ring is not closed")
	ErrDegenerate   = errors.New("ring is degenerate")
	ErrCrossing     = errors.New("polygon crosses itself")
	ErrAntimeridian = errors.New("polygon is not cut at the antimeridian")
	ErrHemisphere   = errors.New("polygon is larger than a hemisphere")
	ErrHole         = errors.New("hole is not in its shell")
	ErrDuplicateID  = errors.New("two features have one id")
	ErrTooLarge     = errors.New("polygon file is too large")
)

// Limits on a polygon file.
const (
	maxFile      = 32 << 20 // bytes
	maxPositions = 50_000
)

// polygons are the contents of a file.
type polygons struct {
	list  []polygon
	atSea bool // the file says that it means to lie at sea
}

// polygon is a shell and its holes, in degrees; rings are closed.
type polygon struct {
	where string
	rings [][]earth.LatLon
	low   earth.LatLon // corners of the bounding box
	high  earth.LatLon
}

// geometry is any object of GeoJSON.
type geometry struct {
	Type        string            `json:"type"`
	ID          json.RawMessage   `json:"id"`
	Features    []json.RawMessage `json:"features"`
	Geometry    json.RawMessage   `json:"geometry"`
	Geometries  []json.RawMessage `json:"geometries"`
	Coordinates json.RawMessage   `json:"coordinates"`
	CRS         json.RawMessage   `json:"crs"`
	Properties  struct {
		AtSea bool `json:"at_sea"`
	} `json:"properties"`
}

// reader collects polygons and what must be unique among them.
type polygonReader struct {
	out       polygons
	ids       map[string]string
	positions int
}

// readPolygons reads and validates a file.
func readPolygons(data []byte) (*polygons, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), maxFile)
	}
	if err := wellFormed(data); err != nil {
		return nil, err
	}
	r := &polygonReader{ids: map[string]string{}}
	if err := r.object(data, "", 0); err != nil {
		return nil, err
	}
	if len(r.out.list) == 0 {
		return nil, fmt.Errorf("%w: it has no polygon", ErrJSON)
	}
	for i := range r.out.list {
		if err := r.out.list[i].check(); err != nil {
			return nil, err
		}
	}
	return &r.out, nil
}

// wellFormed says at which line and column a file stops being JSON.
func wellFormed(data []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(data, &any)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := data[:min(int(syntax.Offset), len(data))]
		line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')-1
		return fmt.Errorf("%w: line %d, column %d: %w", ErrJSON, line, column, err)
	}
	return err
}

// maxNesting bounds collections in collections.
const maxNesting = 8

func (r *polygonReader) object(data []byte, where string, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%w: %sobjects nested more than %d deep", ErrJSON, where, maxNesting)
	}
	var g geometry
	if err := json.Unmarshal(data, &g); err != nil {
		return fmt.Errorf("%w: %s%w", ErrJSON, where, err)
	}
	if len(g.CRS) > 0 && !bytes.Equal(g.CRS, []byte("null")) {
		return fmt.Errorf("%w: %sit names a coordinate system; RFC 7946 knows WGS84 alone", ErrJSON, where)
	}
	switch g.Type {
	case "FeatureCollection":
		for i, f := range g.Features {
			if err := r.object(f, fmt.Sprintf("%sfeature %d: ", where, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	case "Feature":
		r.out.atSea = r.out.atSea || g.Properties.AtSea
		if err := r.claimID(g.ID, where); err != nil {
			return err
		}
		return r.object(g.Geometry, where, depth+1)
	case "GeometryCollection":
		for i, m := range g.Geometries {
			if err := r.object(m, fmt.Sprintf("%sgeometry %d: ", where, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	case "Polygon":
		return r.polygon(g.Coordinates, where)
	case "MultiPolygon":
		var list []json.RawMessage
		if err := json.Unmarshal(g.Coordinates, &list); err != nil {
			return fmt.Errorf("%w: %scoordinates: %w", ErrJSON, where, err)
		}
		for i, m := range list {
			if err := r.polygon(m, fmt.Sprintf("%spolygon %d: ", where, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: %stype %q is no area: want Polygon, MultiPolygon, Feature or FeatureCollection", ErrJSON, where, clip(g.Type))
}

func (r *polygonReader) claimID(id json.RawMessage, where string) error {
	if len(id) == 0 || bytes.Equal(id, []byte("null")) {
		return nil
	}
	if first, ok := r.ids[string(id)]; ok {
		return fmt.Errorf("%w: %sid %s was already that of %s", ErrDuplicateID, where, clip(string(id)), first)
	}
	r.ids[string(id)] = where
	return nil
}

func (r *polygonReader) polygon(data []byte, where string) error {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("%w: %scoordinates: %w", ErrJSON, where, err)
	}
	if len(raw) == 0 {
		return fmt.Errorf("%w: %sa polygon without rings", ErrJSON, where)
	}
	p := polygon{where: where}
	for i, positions := range raw {
		at := fmt.Sprintf("%sring %d", where, i)
		if r.positions += len(positions); r.positions > maxPositions {
			return fmt.Errorf("%w: %s: more than %d positions: simplify it", ErrTooLarge, at, maxPositions)
		}
		ring, err := readRing(positions, at)
		if err != nil {
			return err
		}
		p.rings = append(p.rings, ring)
	}
	r.out.list = append(r.out.list, p)
	return nil
}

func readRing(positions []json.RawMessage, at string) ([]earth.LatLon, error) {
	ring := make([]earth.LatLon, 0, len(positions))
	for j, raw := range positions {
		p, err := readPosition(raw)
		if err != nil {
			return nil, fmt.Errorf("%w (%s, position %d)", err, at, j)
		}
		if j > 0 && p == ring[j-1] {
			return nil, fmt.Errorf("%w: %s: positions %d and %d are one, %s", ErrDegenerate, at, j-1, j, show(p))
		}
		if atPole := j > 0 && p.Lat == ring[j-1].Lat && math.Abs(p.Lat) == 90; j > 0 && !atPole && math.Abs(p.Lon-ring[j-1].Lon) > 180 {
			return nil, fmt.Errorf("%w: %s: from position %d to %d it jumps from %s to %s: cut it there (RFC 7946, 3.1.9)",
				ErrAntimeridian, at, j-1, j, show(ring[j-1]), show(p))
		}
		ring = append(ring, p)
	}
	if len(ring) > 0 && ring[0] != ring[len(ring)-1] {
		return nil, fmt.Errorf("%w: %s begins at %s and ends at %s: repeat the first position", ErrUnclosed, at, show(ring[0]), show(ring[len(ring)-1]))
	}
	if len(ring) < 4 {
		return nil, fmt.Errorf("%w: %s has %d positions: want at least three corners and the first again", ErrDegenerate, at, len(ring))
	}
	return ring, nil
}

func readPosition(raw json.RawMessage) (earth.LatLon, error) {
	var c []json.Number
	if err := json.Unmarshal(raw, &c); err != nil || len(c) < 2 || len(c) > 3 {
		return earth.LatLon{}, fmt.Errorf("%w: %s: want [longitude, latitude]", ErrPosition, clip(string(raw)))
	}
	lon, errLon := strconv.ParseFloat(string(c[0]), 64)
	lat, errLat := strconv.ParseFloat(string(c[1]), 64)
	p := earth.LatLon{Lat: lat, Lon: lon}
	if errLon != nil || errLat != nil || math.IsNaN(lat) || math.IsNaN(lon) {
		return p, fmt.Errorf("%w: %s is not two numbers", ErrPosition, clip(string(raw)))
	}
	if math.Abs(lat) > 90 && math.Abs(lat) <= 180 && math.Abs(lon) <= 90 {
		return p, fmt.Errorf("%w: latitude %v: GeoJSON writes [longitude, latitude]", ErrSwapped, lat)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPosition, err)
	}
	return p, nil
}

// show prints a position as GeoJSON does, so that it can be searched for in the file.
func show(p earth.LatLon) string { return "[" + number(p.Lon) + "," + number(p.Lat) + "]" }
