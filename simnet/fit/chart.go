package fit

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/ursa-virtual/ursa/topology/picture"
)

// dots of a drawn curve.
const dots = 60

// colours of the bins, the nearest first.
var colours = []color.NRGBA{{0x1b, 0x6c, 0xa8, 0xff}, {0x2a, 0x8c, 0x55, 0xff}, {0x8a, 0x9a, 0x1c, 0xff}, {0xd9, 0x8e, 0x04, 0xff}, {0xc1, 0x50, 0x1f, 0xff},
	{0xc1, 0x12, 0x1f, 0xff}, {0x9b, 0x2f, 0x86, 0xff}, {0x5c, 0x3d, 0x9e, 0xff}, {0x44, 0x55, 0x66, 0xff}, {0x20, 0x24, 0x28, 0xff}}

// Chart draws the cumulative distributions of round trips in each distance bin, measured as lines and simulated as dashes, as "svg" or
// "png". The same report gives the same bytes.
func (r *Report) Chart(w io.Writer, format string) error {
	if f := picture.Format(format); f != picture.SVG && f != picture.PNG {
		return fmt.Errorf("%w: a drawing as %q; use svg or png", ErrOptions, format)
	}
	p := picture.New(fmt.Sprintf("%s: held-out pairs (lines) and the fitted world (dashes)", r.Data), "round trip, ms (log scale)", "share of pairs at most so")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(ticks())
	p.Legend.Left, p.Legend.Top = true, true
	last := r.Final()
	p.X.Min, p.X.Max = math.Inf(1), 0
	for i, b := range last.Bins {
		measured, simulated := last.inBin(b, r.test)
		for k, sample := range [][]float64{measured, simulated} {
			curve := make(plotter.XYs, 0, dots+1)
			for s := range dots + 1 {
				share := 0.005 + 0.99*float64(s)/dots
				curve = append(curve, plotter.XY{X: quantile(sample, share), Y: share})
			}
			p.X.Min, p.X.Max = math.Min(p.X.Min, curve[0].X), math.Max(p.X.Max, curve[dots].X)
			line, err := plotter.NewLine(curve)
			if err != nil {
				return err
			}
			line.Color, line.Width = colours[i%len(colours)], vg.Points(1.3)
			if k == 1 {
				line.Dashes = []vg.Length{4, 3}
			} else {
				p.Legend.Add(fmt.Sprintf("%.0f-%.0f km, KS %.3f", b.FromKM, b.ToKM, b.KS), line)
			}
			p.Add(line)
		}
	}
	return picture.Write(w, picture.Format(format), p, 24*vg.Centimeter, 15*vg.Centimeter)
}

// ticks are round numbers of milliseconds.
func ticks() []plot.Tick {
	var out []plot.Tick
	for decade := 0.1; decade < 2000; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			out = append(out, plot.Tick{Value: m * decade, Label: fmt.Sprintf("%.3g", m*decade)})
		}
	}
	return out
}

// inBin returns the round trips of a bin, measured and simulated, sorted.
func (l Likeness) inBin(b Bin, test []pair) (measured, simulated []float64) {
	for i, p := range test {
		if p.km >= b.FromKM && p.km < b.ToKM {
			measured = append(measured, p.rtt)
			for k := i; k < len(l.samples); k += len(test) {
				simulated = append(simulated, l.samples[k])
			}
		}
	}
	return sorted(measured), sorted(simulated)
}
