package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// leastKM is where the axis begins: nearer pairs are drawn there.
const (
	leastKM, mostKM = 10.0, 20_020.0
	steps           = 120 // of a drawn curve
)

// Scatter draws every round trip against the claimed distance on logarithmic axes: the pairs of convicted nodes red, of suspected ones
// orange, the speed classes, and the model's curves. With a beacon's id only its pairs are drawn, with its own bestline and with
// the curves shifted by its own offset. m may be nil: no curves then.
func Scatter(w io.Writer, f Format, set *dataset.Set, r audit.Report, m *model.Model, beacon string) error {
	only := -1
	title := set.Name
	if beacon != "" {
		i, ok := set.Index(beacon)
		if !ok {
			return fmt.Errorf("%w: %q", ErrUnknown, beacon)
		}
		only, title = i, fmt.Sprintf("%s: %s %s", set.Name, set.Nodes[i].Name, set.Nodes[i].Country)
	}
	p := picture.New(title, "claimed distance, km (great circle, log scale)", "round trip, ms (log scale)")
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = decades{}, decades{}
	p.Legend.Top, p.Legend.Left = true, true
	s := spotsOf(set, r, only, maxDots(f))
	for _, layer := range []struct {
		name   string
		at     plotter.XYs
		colour color.NRGBA
		radius vg.Length
	}{{"pairs", s.quiet, color.NRGBA{quiet.R, quiet.G, quiet.B, 0x70}, 0.9}, {"of a suspected node", s.suspected, warn, 1.3}, {"of a convicted node", s.convicted, bad, 1.3}} {
		if len(layer.at) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(layer.at)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: layer.colour, Radius: layer.radius, Shape: draw.CircleGlyph{}}
		p.Add(dots)
		p.Legend.Add(layer.name, dots)
	}
	if err := lines(p, m, beacon); err != nil {
		return err
	}
	p.X.Min, p.X.Max = leastKM, mostKM
	p.Y.Min, p.Y.Max = s.least, s.most
	return picture.Write(w, f, p, 24*vg.Centimeter, 15*vg.Centimeter)
}

// lines draws the speed classes and the model.
func lines(p *plot.Plot, m *model.Model, beacon string) error {
	type line struct {
		name   string
		ms     func(km float64) float64
		colour color.Color
		width  vg.Length
		dashes []vg.Length
	}
	light := func(class earth.SpeedClass) func(float64) float64 {
		return func(km float64) float64 { return 2e6 * km / float64(class.Speed()) }
	}
	list := []line{{"light in vacuum", light(earth.Vacuum), ink, 1, nil}, {"fibre class, 0.69 c", light(earth.Fibre), ink, 1, []vg.Length{5, 3}}}
	if m != nil {
		offset := 0.0
		var own *model.Bestline
		for _, b := range m.Beacons {
			if b.ID == beacon {
				offset, own = b.OffsetMS, b.Bestline
			}
		}
		for _, q := range []struct {
			name   string
			p      float64
			dashes []vg.Length
		}{{"model, 2.5 %", 0.025, []vg.Length{2, 2}}, {"model, median", 0.5, nil}, {"model, 97.5 %", 0.975, []vg.Length{2, 2}}} {
			list = append(list, line{q.name, func(km float64) float64 {
				d := model.Kilometres(km)
				return max(model.Floor(d).Millis(), m.Curve.Quantile(q.p, d).Millis()+offset)
			}, green, 1.4, q.dashes})
		}
		if own != nil {
			list = append(list, line{"bestline", func(km float64) float64 { return own.Intercept + own.Slope*km }, bad, 1.2, nil})
		}
	}
	for _, l := range list {
		at := make(plotter.XYs, 0, steps+1)
		for i := range steps + 1 {
			km := leastKM * math.Pow(mostKM/leastKM, float64(i)/steps)
			if ms := l.ms(km); ms > 0 {
				at = append(at, plotter.XY{X: km, Y: ms})
			}
		}
		drawn, err := plotter.NewLine(at)
		if err != nil {
			return err
		}
		drawn.LineStyle = draw.LineStyle{Color: l.colour, Width: l.width, Dashes: l.dashes}
		p.Add(drawn)
		p.Legend.Add(l.name, drawn)
	}
	return nil
}

// spots are the pairs by colour, and the range of round trips.
type spots struct {
	quiet, suspected, convicted plotter.XYs
	least, most                 float64
}

func spotsOf(set *dataset.Set, r audit.Report, only, maxDots int) spots {
	rank := make([]int, set.Len()) // 1 suspected, 2 convicted
	for _, a := range r.Suspected {
		rank[a.Index] = 1
	}
	for _, a := range r.Convicted {
		rank[a.Index] = 2
	}
	stride := r.Pairs/maxDots + 1
	if only >= 0 {
		stride = 1
	}
	s := spots{least: 0.5, most: 500}
	n := 0
	for i, a := range set.Nodes {
		for j := range i {
			rtt, ok := set.RTT(i, j)
			if !ok || only >= 0 && i != only && j != only {
				continue
			}
			km := earth.GreatCircle(a.At, set.Nodes[j].At).Kilometres()
			at := plotter.XY{X: max(leastKM, km), Y: rtt.Millis()}
			s.least, s.most = min(s.least, at.Y*0.8), max(s.most, at.Y*1.2)
			n++
			switch {
			case max(rank[i], rank[j]) == 2:
				s.convicted = append(s.convicted, at)
			case max(rank[i], rank[j]) == 1:
				s.suspected = append(s.suspected, at)
			case n%stride == 0 || 2e6*km/float64(r.Class.Speed()) > at.Y:
				s.quiet = append(s.quiet, at)
			}
		}
	}
	return s
}

// decades marks 1, 2 and 5 of each power of ten.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(least, most float64) (ticks []plot.Tick) {
	for power := math.Pow(10, math.Floor(math.Log10(least))); power <= most; power *= 10 {
		for _, k := range []float64{1, 2, 5} {
			if v := k * power; v >= least && v <= most {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
			}
		}
	}
	return ticks
}
