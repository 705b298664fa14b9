package plan

import (
	"encoding/json"
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Feature is an RFC 7946 feature.
type Feature struct {
	Type       string         `json:"type"`
	Geometry   Geometry       `json:"geometry"`
	Properties map[string]any `json:"properties"`
}

// Geometry is a Point ([lon, lat]) or a Polygon (rings of [lon, lat], the shell counter-clockwise), in degrees.
type Geometry struct {
	Type        string `json:"type"`
	Coordinates any    `json:"coordinates"`
}

// Collection is an RFC 7946 feature collection.
type Collection struct {
	Type     string    `json:"type"`
	Features []Feature `json:"features"`
}

func collection(features ...[]Feature) Collection {
	c := Collection{Type: "FeatureCollection", Features: []Feature{}}
	for _, f := range features {
		c.Features = append(c.Features, f...)
	}
	return c
}

func lonLat(p earth.LatLon) [2]float64 { return [2]float64{p.Lon, p.Lat} }

func point(p earth.LatLon, properties map[string]any) Feature {
	return Feature{"Feature", Geometry{"Point", lonLat(p)}, properties}
}

func siteFeatures(kind string, sites []Site) []Feature {
	out := make([]Feature, len(sites))
	for i, s := range sites {
		out[i] = point(s.At, map[string]any{"kind": kind, "id": s.ID, "name": s.Name, "domains": s.Domains})
	}
	return out
}

// feature draws a cell as a polygon and a place as a point.
func (a Assessment) feature() Feature {
	properties := map[string]any{"kind": "sample", "name": a.Name, "weight": a.Weight, "proven": a.Inside, "area_km2": a.AreaKM2}
	if a.Cell == 0 {
		return point(a.At, properties)
	}
	return Feature{"Feature", Geometry{"Polygon", [][][2]float64{cellRing(s2.CellID(a.Cell))}}, properties}
}

// cellRing returns the corners of a cell below level 0 as a closed ring on the map. Antimeridian and poles run along edges of such
// cells: a corner on the antimeridian takes the side on which the cell lies, a corner at a pole becomes an edge along the map's rim.
func cellRing(id s2.CellID) [][2]float64 {
	c := s2.CellFromCellID(id)
	flat := func(p s2.Point) [2]float64 {
		at := earth.LatLonOf(p)
		if p.Y == 0 && p.X < 0 {
			at.Lon = math.Copysign(180, c.Center().Y)
		}
		return lonLat(at)
	}
	var ring [][2]float64
	for k := range 4 {
		p := c.Vertex(k)
		if p.X != 0 || p.Y != 0 {
			ring = append(ring, flat(p))
			continue
		}
		lat := math.Copysign(90, p.Z)
		ring = append(ring, [2]float64{flat(c.Vertex((k + 3) % 4))[0], lat}, [2]float64{flat(c.Vertex((k + 1) % 4))[0], lat})
	}
	return append(ring, ring[0])
}

// Collection returns the committee as GeoJSON: the claimed place and the members.
func (c Committee) Collection() Collection {
	out := collection([]Feature{point(c.At, map[string]any{"kind": "claim", "area_km2": c.Outcome.AreaKM2, "proven": c.Outcome.Inside})})
	for _, m := range c.Members {
		f := siteFeatures("member", []Site{*m.Site})[0]
		f.Properties["rtt_ns"] = m.RTT
		out.Features = append(out.Features, f)
	}
	return out
}

// Collection returns the samples as GeoJSON, with the sites given.
func (c *Coverage) Collection(sites []Site) Collection {
	samples := make([]Feature, len(c.Samples))
	for i, a := range c.Samples {
		samples[i] = a.feature()
	}
	return collection(samples, siteFeatures("beacon", sites))
}

// Collection returns the samples as they are with all picks, the sites given and the picks in order.
func (e *Extension) Collection(sites []Site) Collection {
	out := e.After.Collection(sites)
	for i, p := range e.Picks {
		f := siteFeatures("pick", []Site{p.Site})[0]
		f.Properties["rank"] = i + 1
		f.Properties["gain"] = p.Gain
		out.Features = append(out.Features, f)
	}
	return out
}

// JSON returns the collection as one line.
func (c Collection) JSON() ([]byte, error) {
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}
