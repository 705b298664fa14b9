package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
)

// fill makes the table of results, without the columns that no row has a value in.
func (c *content) fill(s *result.Set, rows []summary.Row) {
	c.Keys = summary.Keys(s)
	methods := slices.ContainsFunc(rows, func(r summary.Row) bool { return r.Series != "" })
	if methods {
		c.Keys = append(slices.Clone(c.Keys), "method")
	}
	var columns []column
	for _, col := range allColumns() {
		if slices.ContainsFunc(rows, func(r summary.Row) bool { return col.of(&r) != "" }) {
			columns = append(columns, col)
			c.Columns = append(c.Columns, col.title)
		}
	}
	for i := range rows {
		r := &rows[i]
		l := line{Values: slices.Clone(r.Values), Bad: r.Tally.FalseInside > 0}
		if methods {
			l.Values = append(l.Values, r.Series)
		}
		for _, col := range columns {
			l.Cells = append(l.Cells, col.of(r))
		}
		c.Lines = append(c.Lines, l)
		c.Cores += r.Tally.Cores + r.Tally.Targets
		c.FalseTotal += r.Tally.FalseInside
		c.False = append(c.False, r.False[:min(len(r.False), max(0, 5-len(c.False)))]...)
	}
	c.Kept, c.Verdict = Expected(s)
}

// Expected says whether an experiment's expectation was met, and in words.
func Expected(s *result.Set) (met bool, words string) {
	var total int64
	for _, r := range summary.Points(s) {
		total += r.Tally.FalseInside
	}
	switch s.Header.Expect {
	case "sound":
		return total == 0, fmt.Sprintf("%d false accepts, expected none: the assumptions of the verdict hold in these worlds", total)
	case "false-accepts":
		return total > 0, fmt.Sprintf("%d false accepts, expected some: these worlds break an assumption of the verdict", total)
	}
	return true, fmt.Sprintf("%d false accepts", total)
}

type column struct {
	title string
	of    func(*summary.Row) string
}

func allColumns() []column {
	out := []column{{"cores", func(r *summary.Row) string { return plain(r.Tally.Cores + r.Tally.Targets) }},
		{"false accepts", func(r *summary.Row) string {
			if r.Tally.Cores == 0 {
				return ""
			}
			return fmt.Sprint(r.Tally.FalseInside)
		}}}
	for _, m := range summary.Shares {
		out = append(out, column{strings.ReplaceAll(m.Name, "_", " ") + ", %", func(r *summary.Row) string { return percent(r.Interval(m)) }})
	}
	for _, q := range []struct {
		title string
		of    func(t *result.Tally) *result.Histogram
	}{
		{"region km², median (p90)", func(t *result.Tally) *result.Histogram { return &t.RegionKM2 }},
		{"error km, median (p90)", func(t *result.Tally) *result.Histogram { return &t.ErrorKM }},
	} {
		out = append(out, column{q.title, func(r *summary.Row) string {
			m, ok := q.of(&r.Tally).Quantile(0.5)
			if !ok {
				return ""
			}
			p90, _ := q.of(&r.Tally).Quantile(0.9)
			return fmt.Sprintf("%s (%s)", short(m), short(p90))
		}})
	}
	return out
}

func plain(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// short prints three digits.
func short(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.*g", 3, x)
}

// percent prints "62.4 [60.1, 64.6]"; nothing when nothing was counted.
func percent(x result.Interval) string {
	if !x.Known {
		return ""
	}
	return fmt.Sprintf("%.1f [%.1f, %.1f]", 100*x.Share, 100*x.Low, 100*x.High)
}

// needs makes the table of how much of X proves each facet.
func (c *content) needs(s *result.Set) {
	a := summary.Choose(s)
	list, ok := summary.Needs(s, a)
	if !ok || a.Facet == "" {
		return
	}
	c.Share = fmt.Sprintf("%.0f %%", 100*s.Header.Drawing.Share)
	c.NeedKeys = []string{summary.Short(a.Facet)}
	by := summary.Distinct(s, a.By)
	for _, v := range by {
		c.NeedKeys = append(c.NeedKeys, fmt.Sprintf("%s at %s %s", summary.Short(a.X), summary.Short(a.By), v))
	}
	if len(by) == 0 {
		c.NeedKeys = append(c.NeedKeys, summary.Short(a.X))
	}
	for _, facet := range summary.Distinct(s, a.Facet) {
		l := line{Values: []string{facet}}
		for _, n := range list {
			if n.Facet != facet {
				continue
			}
			if n.Value != "" {
				l.Cells = append(l.Cells, n.Value)
			} else {
				l.Cells = append(l.Cells, fmt.Sprintf("none; %.0f %% at %s", 100*n.Best.Share, n.BestAt))
			}
		}
		c.Needs = append(c.Needs, l)
	}
}
