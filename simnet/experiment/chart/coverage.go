package chart

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
	"github.com/ursa-virtual/ursa/topology/picture"
	"github.com/ursa-virtual/ursa/topology/plan"
)

// maxSpots is how many cores a map shows; an SVG holds each as an element.
const maxSpots = 1500

var coastGrey = color.NRGBA{0xa8, 0xb2, 0xb8, 0xff}

// states says how each is drawn; the first is drawn lowest.
var states = []struct {
	state  result.State
	name   string
	colour color.NRGBA
}{
	{result.Rejected, "outside, refused", color.NRGBA{0x8a, 0x93, 0x9b, 0xff}},
	{result.Unproven, "inside, not proven", color.NRGBA{0xd5, 0x5e, 0x00, 0xff}},
	{result.Proven, "inside, proven", color.NRGBA{0x00, 0x72, 0xb2, 0xff}},
	{result.FalseAccept, "outside, ACCEPTED", color.NRGBA{0xff, 0x00, 0x00, 0xff}},
}

// coverage draws the cores of the last point that kept any: sweeps usually go from little to much.
func coverage(s *result.Set) ([]*Picture, error) {
	at := -1
	for i := range s.Points {
		if len(s.Points[i].Spots) > 0 {
			at = i
		}
	}
	if at < 0 {
		return nil, nil
	}
	spots := thinned(s.Points[at].Spots)
	p := picture.New(s.Header.Name+": Where a core is proven ("+label(s, at)+")", "longitude", "latitude")
	box, err := ground(p, spots)
	if err != nil {
		return nil, err
	}
	for _, st := range states {
		xy := plotter.XYs{}
		for _, c := range spots {
			if c.State == st.state {
				xy = append(xy, plotter.XY{X: box.lon(float64(c.Lon4) / 1e4), Y: float64(c.Lat4) / 1e4})
			}
		}
		if len(xy) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(xy)
		if err != nil {
			return nil, err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: st.colour, Radius: vg.Points(1.8), Shape: draw.CircleGlyph{}}
		p.Add(dots)
		p.Legend.Add(fmt.Sprintf("%s: %d", st.name, len(xy)), dots)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = box.west, box.east, box.south, box.north
	p.X.Tick.Marker, p.Y.Tick.Marker = degrees(box.west, box.east), degrees(box.south, box.north)
	p.Legend.Top, p.Legend.Left = false, true
	w := 20 * vg.Centimeter
	tall := min(max(float64(box.north-box.south)/max(0.2, math.Cos((box.north+box.south)/2*math.Pi/180))/(box.east-box.west), 0.4), 1.2)
	return []*Picture{{Name: "map", Caption: "Cores of one point: " + label(s, at) + ".", plot: p, width: w, height: w*vg.Length(tall) + 2*vg.Centimeter}}, nil
}

// thinned keeps every nth spot, so that the rest still shows all of the area.
func thinned(spots []result.Spot) []result.Spot {
	step := (len(spots) + maxSpots - 1) / maxSpots
	if step <= 1 {
		return spots
	}
	var out []result.Spot
	for i, c := range spots {
		if i%step == 0 || c.State == result.FalseAccept {
			out = append(out, c)
		}
	}
	return out
}

// label names a point by its values.
func label(s *result.Set, at int) string {
	text := ""
	for i, k := range s.Header.Keys {
		if i > 0 {
			text += ", "
		}
		text += summary.Short(k) + " " + s.Points[at].Values[i]
	}
	return text
}

type box struct{ west, east, south, north float64 }

// lon is a longitude as the frame counts: beyond 180 when the frame crosses the antimeridian.
func (b box) lon(lon float64) float64 {
	if lon < b.west {
		return lon + 360
	}
	return lon
}

// ground draws the coasts below the spots and returns the frame around them.
func ground(p *plot.Plot, spots []result.Spot) (b box, err error) {
	about := plan.Chart{Data: plan.Collection{Type: "FeatureCollection"}}
	for _, c := range spots {
		about.Data.Features = append(about.Data.Features, plan.Feature{Type: "Feature",
			Geometry:   plan.Geometry{Type: "Point", Coordinates: [2]float64{float64(c.Lon4) / 1e4, float64(c.Lat4) / 1e4}},
			Properties: map[string]any{"kind": "sample"}})
	}
	b.west, b.east, b.south, b.north = about.Bounds()
	land, err := about.LandOutlines()
	if err != nil {
		return b, err
	}
	for _, outline := range land.Borders {
		xy := make(plotter.XYs, len(outline))
		for i, at := range outline {
			xy[i] = plotter.XY{X: at[0], Y: at[1]}
		}
		coast, err := plotter.NewLine(xy)
		if err != nil {
			return b, err
		}
		coast.LineStyle = draw.LineStyle{Color: coastGrey, Width: vg.Points(0.5)}
		p.Add(coast)
	}
	return b, nil
}

// degrees marks an axis in steps that people count in.
func degrees(least, most float64) plot.Ticker {
	for _, step := range []float64{1, 2, 5, 10, 20} {
		if (most-least)/step <= 10 {
			return picture.Every(step, "°")
		}
	}
	return picture.Every(30, "°")
}
