package chart

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
)

// distributions draws cumulative distributions of errors and of areas, one curve for each value of By (or of X when there is none) and
// each series.
func distributions(s *result.Set) (out []*Picture, err error) {
	a := summary.Choose(s)
	by := a.By
	if by == "" {
		by = a.X
	}
	rows := summary.Collapse(s, summary.Pooled(s), by)
	note := ""
	if last := summary.Distinct(s, by); len(rows) > maxCurves && len(last) > 0 { // the end of what is varied, rather than some of all
		at := last[len(last)-1]
		rows = slices.DeleteFunc(rows, func(r summary.Row) bool { return r.Value(s, by) != at })
		note = fmt.Sprintf(" Of %s only %s is drawn.", summary.Short(by), at)
	}
	for _, d := range []struct {
		name, title, x string
		of             func(t *result.Tally) *result.Histogram
	}{
		{"error", "Distribution of errors", "error, km (log scale)", func(t *result.Tally) *result.Histogram { return &t.ErrorKM }},
		{"region", "Distribution of regions", "area of the region, km² (log scale)", func(t *result.Tally) *result.Histogram { return &t.RegionKM2 }},
	} {
		p := blank(s.Header.Name+": "+d.title, d.x, "share of cores at most so")
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		lo, hi, drawn := math.Inf(1), math.Inf(-1), 0
		for i := range rows[:min(len(rows), maxCurves)] {
			steps := d.of(&rows[i].Tally).CDF()
			if len(steps) == 0 {
				continue
			}
			lo, hi = min(lo, steps[0].X), max(hi, steps[len(steps)-1].X)
			xy := plotter.XYs{{X: steps[0].X * 0.96, Y: 0}}
			for _, step := range steps {
				xy = append(xy, plotter.XY{X: step.X, Y: step.Y})
			}
			name := rows[i].Series
			if by != "" {
				if name != "" {
					name += ", "
				}
				name += summary.Short(by) + " " + rows[i].Value(s, by)
			}
			if err := curve(p, xy, i, name, true); err != nil {
				return nil, err
			}
			drawn++
		}
		if drawn == 0 {
			continue
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lo*0.9, hi*1.1, 0, 1
		p.Legend.Top, p.Legend.Left = true, true
		out = append(out, &Picture{Name: d.name, Caption: "Read off bins of 3.7 %." + note, plot: p, width: width, height: height})
	}
	return out, nil
}
