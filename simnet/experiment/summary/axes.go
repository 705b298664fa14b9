package summary

import (
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
)

func millis(value string) (float64, string, bool) {
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, "", false
	}
	return float64(d) / float64(time.Millisecond), "ms", true
}

// Axes says how a set is drawn: X along the axis, one curve for each value of By, one row of the table of needs for each value of Facet.
// Any of them may be empty: nothing of the kind is varied.
type Axes struct{ X, By, Facet string }

// Choose takes the axes that the experiment names, and for the others: along the axis what is a number and takes most values, then
// curves for what takes fewest values, then facets for what is left.
func Choose(s *result.Set) Axes {
	a := Axes{s.Header.Drawing.X, s.Header.Drawing.By, s.Header.Drawing.Facet}
	left := func(numeric bool) (keys []string) {
		for _, k := range Keys(s) {
			if k != a.X && k != a.By && k != a.Facet && len(Distinct(s, k)) > 1 && (!numeric || allNumbers(s, k)) {
				keys = append(keys, k)
			}
		}
		slices.SortStableFunc(keys, func(x, y string) int { return len(Distinct(s, x)) - len(Distinct(s, y)) })
		return keys
	}
	if k := left(true); a.X == "" && len(k) > 0 {
		a.X = k[len(k)-1]
	}
	if k := left(false); a.By == "" && len(k) > 0 {
		a.By = k[0]
	}
	if k := left(false); a.Facet == "" && len(k) > 0 {
		a.Facet = k[len(k)-1]
	}
	return a
}

// Distinct lists the values of a key, in the order in which they first occur.
func Distinct(s *result.Set, key string) (values []string) {
	at := slices.Index(s.Header.Keys, key)
	if at < 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, p := range s.Points {
		if v := p.Values[at]; !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	return values
}

func allNumbers(s *result.Set, key string) bool {
	return !slices.ContainsFunc(Distinct(s, key), func(v string) bool { _, _, ok := Number(v); return !ok })
}

// Value returns the row's value of a key; for the empty key the empty word.
func (r *Row) Value(s *result.Set, key string) string {
	if at := slices.Index(Keys(s), key); at >= 0 {
		return r.Values[at]
	}
	return ""
}

// Name names a row by all its values but those of the keys given, for a legend.
func (r *Row) Name(s *result.Set, but ...string) string {
	var parts []string
	if r.Series != "" {
		parts = append(parts, r.Series)
	}
	for i, k := range Keys(s) {
		if !slices.Contains(but, k) && len(Distinct(s, k)) > 1 {
			parts = append(parts, Short(k)+" "+r.Values[i])
		}
	}
	return strings.Join(parts, ", ")
}

// Short is a key as people say it: f of policy.f, adversary of adversary.name, beacons of constellation.count.
func Short(key string) string {
	switch key {
	case "adversary.name":
		return "adversary"
	case "constellation.count":
		return "beacons"
	case "cores.count":
		return "cores"
	}
	return strings.ReplaceAll(key[strings.LastIndexByte(key, '.')+1:], "_", " ")
}

// Collapse adds up the rows that agree in the keys given and in their series, whatever their other values.
func Collapse(s *result.Set, rows []Row, keep ...string) (out []Row) {
	index := map[string]int{}
	for _, r := range rows {
		key := r.Series
		for i, k := range Keys(s) {
			if slices.Contains(keep, k) {
				key += "\x00" + r.Values[i]
			}
		}
		at, ok := index[key]
		if !ok {
			at = len(out)
			index[key] = at
			values := slices.Clone(r.Values)
			for i, k := range Keys(s) {
				if !slices.Contains(keep, k) {
					values[i] = "all"
				}
			}
			out = append(out, Row{Values: values, Series: r.Series, salt: s.Header.Hash + " " + key})
		}
		o := &out[at]
		o.Tally.Merge(r.Tally)
		o.Parts = append(o.Parts, r.Parts...)
		for _, seed := range r.Seeds {
			if !slices.Contains(o.Seeds, seed) {
				o.Seeds = append(o.Seeds, seed)
			}
		}
	}
	return out
}

// Need is how much of X proves a facet for one value of By: the least value from which on the wanted share of cores is proven.
type Need struct {
	Facet, By string
	Value     string // the least value of X that suffices; empty when none of those tried does
	Best      result.Interval
	BestAt    string // where the largest share was proven
}

// Needs reads the table of needs off a set; false when there is no X, or it is no number.
func Needs(s *result.Set, a Axes) ([]Need, bool) {
	if a.X == "" || !allNumbers(s, a.X) {
		return nil, false
	}
	proven, _ := ShareOf("proven")
	rows := Collapse(s, Pooled(s), a.X, a.By, a.Facet)
	var out []Need
	for _, facet := range orOne(Distinct(s, a.Facet)) {
		for _, by := range orOne(Distinct(s, a.By)) {
			n := Need{Facet: facet, By: by}
			for i := range rows {
				r := &rows[i]
				if r.Value(s, a.Facet) != facet || r.Value(s, a.By) != by {
					continue
				}
				x := r.Interval(proven)
				if x.Known && (!n.Best.Known || x.Share > n.Best.Share) {
					n.Best, n.BestAt = x, r.Value(s, a.X)
				}
				if n.Value == "" && x.Known && x.Share >= s.Header.Drawing.Share {
					n.Value = r.Value(s, a.X)
				}
			}
			if n.Best.Known {
				out = append(out, n)
			}
		}
	}
	return out, len(out) > 0
}

func orOne(values []string) []string {
	if len(values) == 0 {
		return []string{""}
	}
	return values
}
