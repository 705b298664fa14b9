package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"io"
	"maps"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/ursa-virtual/ursa/topology/picture"
)

// By is what a drawing of usage tells apart.
type By string

// What can be told apart.
const (
	ByJurisdiction By = "jurisdiction"
	ByTenant       By = "tenant"
	ByCore         By = "core"
)

// What a drawing may be refused for.
var (
	ErrFormat = errors.New("monitor: a drawing is svg or png")
	ErrBy     = errors.New("monitor: a drawing tells apart by jurisdiction, tenant or core")
	ErrEmpty  = errors.New("monitor: no release was opened, so there is nothing to draw")
)

func (b By) of(r Row) string {
	switch b {
	case ByJurisdiction:
		return r.Touches
	case ByTenant:
		return r.Tenant
	case ByCore:
		return r.Core[:min(len(r.Core), 8)]
	}
	return ""
}

// maxSeries is how many are drawn apart; the smaller ones are drawn as one.
const maxSeries = 8

// series are the units of each name over all periods, the greatest first.
func series(rows []Row, by By) (periods, names []string, units map[string][]float64) {
	seen, total := map[string]bool{}, map[string]uint64{}
	for _, r := range rows {
		seen[r.Period] = true
		total[by.of(r)] += r.Units
	}
	periods = slices.Sorted(maps.Keys(seen))
	names = slices.SortedFunc(maps.Keys(total), func(a, b string) int { return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b)) })
	rest := "other"
	if len(names) > maxSeries {
		names = append(names[:maxSeries-1:maxSeries-1], rest)
	}
	units = map[string][]float64{}
	for _, n := range names {
		units[n] = make([]float64, len(periods))
	}
	for _, r := range rows {
		name := by.of(r)
		if units[name] == nil {
			name = rest
		}
		at, _ := slices.BinarySearch(periods, r.Period)
		units[name][at] += float64(r.Units)
	}
	return periods, names, units
}

// palette has a colour for each series, apart for the colour-blind (Okabe and
// Ito: Color Universal Design, 2008).
var palette = []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{230, 159, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
	color.RGBA{86, 180, 233, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{240, 228, 66, 255}, color.RGBA{120, 120, 120, 255}}

// Chart draws the units released over time as stacked bars, as svg or png.
func (r Report) Chart(w io.Writer, format string, by By) error {
	if by != ByJurisdiction && by != ByTenant && by != ByCore {
		return ErrBy
	}
	if f := picture.Format(format); f != picture.SVG && f != picture.PNG {
		return fmt.Errorf("%w, not %q", ErrFormat, format)
	}
	rows := slices.DeleteFunc(slices.Clone(r.Usage), func(r Row) bool { return r.Grants == 0 })
	if len(rows) == 0 {
		return ErrEmpty
	}
	periods, names, units := series(rows, by)
	const width, height = 24 * vg.Centimeter, 12 * vg.Centimeter
	p := picture.New(fmt.Sprintf("units released, by %s", by), "period (UTC)", "units (ms of CPU time)")
	p.Legend.Top = true
	var below *plotter.BarChart
	for i, name := range names {
		bars, err := plotter.NewBarChart(plotter.Values(units[name]), vg.Length(min(40, 500/float64(len(periods)))))
		if err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
		bars.Color, bars.LineStyle.Width = palette[i%len(palette)], 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		p.Legend.Add(name, bars)
	}
	p.NominalX(thinned(periods)...)
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.05/(1-0.044*float64(len(names))) // room for the legend
	if err := picture.Write(w, picture.Format(format), p, width, height); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}

// thinned keeps at most a dozen labels.
func thinned(periods []string) []string {
	out := slices.Clone(periods)
	step := (len(periods) + 11) / 12
	for i := range out {
		if i%step != 0 {
			out[i] = ""
		}
	}
	return out
}
