package chart

import (
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"
	"sync"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// Map draws the claims of a set on a plate carrée: the accused in colour with lines to the peers that contradict them, and a dashed line
// to where each most likely stands.
func Map(w io.Writer, f Format, set *dataset.Set, r audit.Report) error {
	p := picture.New(fmt.Sprintf("%s: %d convicted (red), %d suspected (orange); lines: contradictions at %s speed; dashed: likely place",
		set.Name, len(r.Convicted), len(r.Suspected), r.Speed), "longitude", "latitude")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -180, 180, -60, 85
	p.X.Tick.Marker, p.Y.Tick.Marker = picture.Every(30, "°"), picture.Every(30, "°")
	if err := coasts(p); err != nil {
		return err
	}
	m := mapping{p, set}
	claims := make(plotter.XYs, set.Len())
	for i, n := range set.Nodes {
		claims[i] = xy(n.At)
	}
	if err := m.dots(claims, quiet, 1.6); err != nil {
		return err
	}
	for _, list := range []struct {
		of     []audit.Accused
		colour color.Color
	}{{r.Suspected, warn}, {r.Convicted, bad}} {
		for _, a := range list.of {
			if err := m.accused(a, list.colour); err != nil {
				return err
			}
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -180, 180, -60, 85
	return picture.Write(w, f, p, 30*vg.Centimeter, 13.5*vg.Centimeter)
}

type mapping struct {
	p   *plot.Plot
	set *dataset.Set
}

func xy(p earth.LatLon) plotter.XY { return plotter.XY{X: p.Lon, Y: p.Lat} }

func (m mapping) dots(at plotter.XYs, colour color.Color, radius vg.Length) error {
	if len(at) == 0 {
		return nil
	}
	s, err := plotter.NewScatter(at)
	if err != nil {
		return err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: radius, Shape: draw.CircleGlyph{}}
	m.p.Add(s)
	return nil
}

// accused draws one node. Lines are straight on the map: they join, they are no routes.
func (m mapping) accused(a audit.Accused, colour color.Color) error {
	at := m.set.Nodes[a.Index].At
	for _, e := range a.Evidence {
		if j, ok := m.set.Index(e.Peer); ok {
			if err := stroke(m.p, plotter.XYs{xy(at), xy(m.set.Nodes[j].At)}, colour, 0.4, nil); err != nil {
				return err
			}
		}
	}
	if a.Near != "" {
		likely := earth.LatLon{Lat: a.LikelyLat, Lon: a.LikelyLon}
		if err := stroke(m.p, plotter.XYs{xy(at), xy(likely)}, colour, 1.4, []vg.Length{4, 2}); err != nil {
			return err
		}
		s, err := plotter.NewScatter(plotter.XYs{xy(likely)})
		if err != nil {
			return err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: 4, Shape: draw.RingGlyph{}}
		m.p.Add(s)
	}
	if err := m.dots(plotter.XYs{xy(at)}, colour, 3); err != nil {
		return err
	}
	name, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{xy(at)}, Labels: []string{a.Name}})
	if err != nil {
		return err
	}
	name.Offset = vg.Point{X: 4, Y: 3}
	name.TextStyle[0].Font, name.TextStyle[0].Color = picture.Font(9), colour
	if at.Lon > 150 { // a name to the right would leave the map
		name.Offset.X, name.TextStyle[0].XAlign = -name.Offset.X, draw.XRight
	}
	m.p.Add(name)
	return nil
}

// stroke adds a line.
func stroke(p *plot.Plot, at plotter.XYs, colour color.Color, width vg.Length, dashes []vg.Length) error {
	l, err := plotter.NewLine(at)
	if err != nil {
		return err
	}
	l.LineStyle = draw.LineStyle{Color: colour, Width: width, Dashes: dashes}
	p.Add(l)
	return nil
}

// coastStep is how far apart the points of a drawn coast are at least, in degrees: a third of a millimetre on the drawing.
const coastStep = 0.4

// coasts draws the land.
func coasts(p *plot.Plot) error {
	rings, err := land()
	if err != nil {
		return err
	}
	for _, ring := range rings {
		if err := stroke(p, ring, faint, 0.6, nil); err != nil {
			return err
		}
	}
	return nil
}

// land is all countries as one region, without the borders between them; the atlas needs some tenths of a second for it, once.
var land = sync.OnceValues(func() (rings []plotter.XYs, err error) {
	countries, err := atlas.Countries()
	if err != nil {
		return nil, err
	}
	var codes []string
	for _, c := range countries {
		codes = append(codes, c.Code)
	}
	world, err := atlas.Parse(strings.Join(codes, "+"), atlas.Options{})
	if err != nil {
		return nil, err
	}
	text, err := world.GeoJSON()
	if err != nil {
		return nil, err
	}
	var drawn struct {
		Features []struct {
			Geometry struct {
				Coordinates [][][][2]float64 `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	if err := json.Unmarshal(text, &drawn); err != nil {
		return nil, err
	}
	for _, f := range drawn.Features {
		for _, polygon := range f.Geometry.Coordinates {
			for _, ring := range polygon {
				rings = append(rings, thin(ring))
			}
		}
	}
	return rings, nil
})

func thin(ring [][2]float64) plotter.XYs {
	var out plotter.XYs
	for i, v := range ring {
		if n := len(out); n == 0 || i == len(ring)-1 || math.Abs(v[0]-out[n-1].X)+math.Abs(v[1]-out[n-1].Y) > coastStep {
			out = append(out, plotter.XY{X: v[0], Y: v[1]})
		}
	}
	return out
}
