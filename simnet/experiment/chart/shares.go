package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
)

// titles of the shares that are drawn against what is varied.
var titles = []struct{ metric, title string }{
	{"proven", "Share of cores that are proven"},
	{"false_inside", "Share of cores outside that are accepted"},
	{"detected", "Share of attacks that raise an alarm"},
	{"country", "Share of hosts placed in their own country"},
}

// shares draws each metric against the axis, one curve for each value of By and each series.
func shares(s *result.Set) (out []*Picture, err error) {
	a := summary.Choose(s)
	if a.X == "" {
		return nil, nil
	}
	rows := summary.Collapse(s, summary.Pooled(s), a.X, a.By)
	for _, t := range titles {
		metric, _ := summary.ShareOf(t.metric)
		lines := curves(s, rows, a, metric)
		if len(lines) == 0 || t.metric != "proven" && t.metric != "country" && flat(lines) {
			continue
		}
		p, err := against(s, a, metric, t.title, lines)
		if err != nil {
			return nil, err
		}
		caption := "95 % intervals: Wilson over trials, and a bootstrap over seeds where there are three or more. Curves stand a hair apart so that all bars are seen."
		if a.Facet != "" {
			caption += fmt.Sprintf(" All values of %s together.", summary.Short(a.Facet))
		}
		out = append(out, &Picture{Name: t.metric, Caption: caption, plot: p, width: width, height: height})
	}
	return out, nil
}

// point is one value with its interval.
type point struct {
	x float64
	y result.Interval
}

// line is one curve.
type line struct {
	name string
	at   []point
}

// curves groups the rows into lines, in the order in which they occur.
func curves(s *result.Set, rows []summary.Row, a summary.Axes, metric summary.Share) (lines []line) {
	words := summary.Distinct(s, a.X)
	for i := range rows {
		r := &rows[i]
		y := r.Interval(metric)
		if !y.Known {
			continue
		}
		name := r.Series
		if a.By != "" {
			if name != "" {
				name += ", "
			}
			name += summary.Short(a.By) + " " + r.Value(s, a.By)
		}
		at := slices.IndexFunc(lines, func(l line) bool { return l.name == name })
		if at < 0 {
			at = len(lines)
			lines = append(lines, line{name: name})
		}
		x, _, ok := summary.Number(r.Value(s, a.X))
		if !ok {
			x = float64(slices.Index(words, r.Value(s, a.X)))
		}
		lines[at].at = append(lines[at].at, point{x, y})
	}
	return lines[:min(len(lines), maxCurves)]
}

// flat says whether nothing but zero would be drawn.
func flat(lines []line) bool {
	for _, l := range lines {
		for _, p := range l.at {
			if p.y.Share > 0 {
				return false
			}
		}
	}
	return true
}

func against(s *result.Set, a summary.Axes, metric summary.Share, title string, lines []line) (*plot.Plot, error) {
	words := summary.Distinct(s, a.X)
	label, numeric := summary.Short(a.X), true
	for _, w := range words {
		_, unit, ok := summary.Number(w)
		numeric = numeric && ok
		if unit != "" && ok {
			label = summary.Short(a.X) + ", " + unit
		}
	}
	p := blank(s.Header.Name+": "+title, label, metric.Label)
	lo, hi, top := extent(lines)
	aside := besides(lines, lo, hi, numeric)
	for i, l := range lines {
		xy, bars := plotter.XYs{}, plotter.YErrors{}
		for _, q := range l.at {
			xy = append(xy, plotter.XY{X: aside(q.x, i), Y: q.y.Share})
			bars = append(bars, struct{ Low, High float64 }{q.y.Share - q.y.Low, q.y.High - q.y.Share})
		}
		if err := curve(p, xy, i, l.name, false); err != nil {
			return nil, err
		}
		e, err := plotter.NewYErrorBars(struct {
			plotter.XYs
			plotter.YErrors
		}{xy, bars})
		if err != nil {
			return nil, err
		}
		e.Color, _ = hue(i)
		e.Width, e.CapWidth = vg.Points(0.8), vg.Points(4)
		p.Add(e)
	}
	axis(p, words, numeric, lo, hi)
	p.Y.Min, p.Y.Max = 0, max(0.01, (1.08+0.05*float64(len(lines)))*top) // room for the legend
	p.Y.Tick.Marker = shareTicks{}
	return p, nil
}

// shareTicks marks shares, which end at 1 even where the picture goes on.
type shareTicks struct{ plot.DefaultTicks }

// Ticks implements plot.Ticker.
func (s shareTicks) Ticks(least, most float64) []plot.Tick {
	return slices.DeleteFunc(s.DefaultTicks.Ticks(least, most), func(t plot.Tick) bool { return t.Value > 1+1e-9 })
}

// extent is the range of X and the highest end of an error bar.
func extent(lines []line) (lo, hi, top float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, q := range l.at {
			lo, hi, top = min(lo, q.x), max(hi, q.x), max(top, q.y.High)
		}
	}
	return lo, hi, top
}

// besides moves the points of the curves aside by a hair, so that error bars at one value do not hide each other: all curves together by
// at most a fiftieth of the picture, and by a quarter of the way to the next value.
func besides(lines []line, lo, hi float64, numeric bool) func(x float64, curve int) float64 {
	to, from := func(x float64) float64 { return x }, func(x float64) float64 { return x }
	if logarithmic(numeric, lo, hi) {
		to, from = math.Log, math.Exp
	}
	var at []float64
	for _, l := range lines {
		for _, q := range l.at {
			at = append(at, to(q.x))
		}
	}
	slices.Sort(at)
	room := 0.02 * (to(hi) - to(lo))
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap > 0 {
			room = min(room, gap/4)
		}
	}
	return func(x float64, curve int) float64 {
		if len(lines) < 2 {
			return x
		}
		return from(to(x) + room*(float64(curve)/float64(len(lines)-1)-0.5))
	}
}

// logarithmic says whether an axis is drawn by its logarithm: numbers that span more than a factor of 15.
func logarithmic(numeric bool, lo, hi float64) bool { return numeric && lo > 0 && hi/lo > 15 }

// axis lays the X axis: words at their places, numbers as they are, or by their logarithm.
func axis(p *plot.Plot, words []string, numeric bool, lo, hi float64) {
	p.Legend.Top, p.Legend.Left = true, false
	var ticks []plot.Tick
	for i, w := range words {
		x, _, ok := summary.Number(w)
		if !numeric || !ok {
			x = float64(i)
		}
		ticks = append(ticks, plot.Tick{Value: x, Label: w})
	}
	place := func(x float64) float64 { return x }
	if logarithmic(numeric, lo, hi) {
		place = math.Log
	}
	if numeric {
		thinLabels(ticks, place, (place(hi)-place(lo))/18)
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	if logarithmic(numeric, lo, hi) {
		p.X.Scale = plot.LogScale{}
		p.X.Min, p.X.Max = lo/1.1, hi*1.1
		return
	}
	pad := max(0.03*(hi-lo), 1e-6)
	p.X.Min, p.X.Max = lo-pad, hi+pad
}

// thinLabels takes the labels off ticks that stand too near to the last one that kept its own.
func thinLabels(ticks []plot.Tick, place func(float64) float64, room float64) {
	slices.SortFunc(ticks, func(a, b plot.Tick) int { return cmp.Compare(a.Value, b.Value) })
	last := math.Inf(-1)
	for i := range ticks {
		if at := place(ticks[i].Value); at-last < room {
			ticks[i].Label = ""
		} else {
			last = at
		}
	}
}
