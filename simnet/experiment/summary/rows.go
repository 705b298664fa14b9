package summary

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/table"
)

// SeedKey is the key of the seed among what is varied; it always comes last.
const SeedKey = "seed"

// Row is one line of results: the tallies of one point, or of one combination of values over all seeds.
type Row struct {
	Values []string       // of the keys without the seed
	Seeds  []string       // one, or all that were pooled
	Series string         // a method of the estimate, or empty
	Tally  result.Tally   // all seeds together
	Parts  []result.Tally // by seed
	False  []string       // "point 3 core 17", the first false accepts
	salt   string
}

// Keys returns what is varied besides the seed.
func Keys(s *result.Set) []string { return s.Header.Keys[:len(s.Header.Keys)-1] }

// Points returns a row for each point and series.
func Points(s *result.Set) (rows []Row) {
	for at, p := range s.Points {
		last := len(p.Values) - 1
		for _, series := range p.Series {
			row := Row{Values: p.Values[:last], Seeds: p.Values[last:], Series: series.Name, Tally: series.Tally, Parts: []result.Tally{series.Tally}}
			for _, core := range p.False {
				row.False = append(row.False, fmt.Sprintf("--point %d --core %d", at, core))
			}
			row.salt = s.Header.Hash + " " + strings.Join(p.Values, "\x00") + "\x00" + series.Name
			rows = append(rows, row)
		}
	}
	return rows
}

// Pooled returns a row for each combination of values and series, all seeds together, in the order of the points.
func Pooled(s *result.Set) (rows []Row) {
	index := map[string]int{}
	for _, one := range Points(s) {
		key := strings.Join(one.Values, "\x00") + "\x00" + one.Series
		at, ok := index[key]
		if !ok {
			at = len(rows)
			index[key] = at
			rows = append(rows, Row{Values: one.Values, Series: one.Series, salt: s.Header.Hash + " " + key})
		}
		r := &rows[at]
		r.Seeds = append(r.Seeds, one.Seeds...)
		r.Parts = append(r.Parts, one.Tally)
		r.Tally.Merge(one.Tally)
		r.False = append(r.False, one.False...)
	}
	return rows
}

// Share is a metric that is a share of a count.
type Share struct {
	Name  string // of the column
	Label string // for people
	Of    func(t *result.Tally) (k, n int64)
}

// Shares lists the metrics in the order of the columns.
var Shares = []Share{
	{"proven", "cores proven inside, of those that stand there", func(t *result.Tally) (int64, int64) { return t.Proven, t.Entitled }},
	{"false_inside", "false accepts, of cores that stand outside", func(t *result.Tally) (int64, int64) { return t.FalseInside, max(t.Intruders, t.FalseInside) }},
	{"false_outside", "called Outside, of cores that stand inside", func(t *result.Tally) (int64, int64) { return t.FalseOutside, t.Entitled }},
	{"detected", "trials that raised an alarm, of attacked trials", func(t *result.Tally) (int64, int64) { return t.Detected, t.Attacked }},
	{"alarms", "trials that raised an alarm, of honest trials", func(t *result.Tally) (int64, int64) { return t.Alarms, t.Cores - t.Attacked }},
	{"missed", "regions without the core's true place", func(t *result.Tally) (int64, int64) { return t.Missed, t.Cores - t.Unanswered }},
	{"country", "hosts placed in their own country", func(t *result.Tally) (int64, int64) { return t.Country, t.Targets }},
	{"held_90", "90 % regions that hold the host", func(t *result.Tally) (int64, int64) { return t.Within90, t.Claimed90 }},
}

// ShareOf returns the metric of a name.
func ShareOf(name string) (Share, bool) {
	i := slices.IndexFunc(Shares, func(s Share) bool { return s.Name == name })
	if i < 0 {
		return Share{}, false
	}
	return Shares[i], true
}

// Interval returns a share of the row with its 95 % interval.
func (r *Row) Interval(s Share) result.Interval {
	k, n := make([]int64, len(r.Parts)), make([]int64, len(r.Parts))
	for i := range r.Parts {
		k[i], n[i] = s.Of(&r.Parts[i])
	}
	h := fnv.New64a()
	h.Write([]byte(r.salt + "\x00" + s.Name))
	return result.Pool(k, n, rand.New(rand.NewPCG(h.Sum64(), 1)))
}

// counted lists the plain counts.
var counted = []struct {
	name string
	of   func(t *result.Tally) int64
}{
	{"cores", func(t *result.Tally) int64 { return t.Cores }},
	{"entitled", func(t *result.Tally) int64 { return t.Entitled }},
	{"proven", func(t *result.Tally) int64 { return t.Proven }},
	{"intruders", func(t *result.Tally) int64 { return t.Intruders }},
	{"false_inside", func(t *result.Tally) int64 { return t.FalseInside }},
	{"false_outside", func(t *result.Tally) int64 { return t.FalseOutside }},
	{"attacked", func(t *result.Tally) int64 { return t.Attacked }},
	{"detected", func(t *result.Tally) int64 { return t.Detected }},
	{"alarms", func(t *result.Tally) int64 { return t.Alarms }},
	{"inside", func(t *result.Tally) int64 { return t.Inside }},
	{"outside", func(t *result.Tally) int64 { return t.Outside }},
	{"undetermined", func(t *result.Tally) int64 { return t.Undetermined }},
	{"inconsistent", func(t *result.Tally) int64 { return t.Inconsistent }},
	{"unanswered", func(t *result.Tally) int64 { return t.Unanswered }},
	{"missed", func(t *result.Tally) int64 { return t.Missed }},
	{"targets", func(t *result.Tally) int64 { return t.Targets }},
	{"country", func(t *result.Tally) int64 { return t.Country }},
}

// sizes lists the quantiles.
var sizes = []struct {
	name string
	of   func(t *result.Tally) *result.Histogram
	q    float64
}{
	{"region_median_km2", func(t *result.Tally) *result.Histogram { return &t.RegionKM2 }, 0.5},
	{"region_p90_km2", func(t *result.Tally) *result.Histogram { return &t.RegionKM2 }, 0.9},
	{"error_median_km", func(t *result.Tally) *result.Histogram { return &t.ErrorKM }, 0.5},
	{"error_p90_km", func(t *result.Tally) *result.Histogram { return &t.ErrorKM }, 0.9},
}

// Table makes a table of rows. Every row names the experiment, its hash, the build and its seeds.
func Table(s *result.Set, rows []Row) *table.Table {
	t := &table.Table{Meta: map[string]string{"experiment": s.Header.Name, "hash": s.Header.Hash, "build": s.Header.Build, "about": s.Header.About}}
	for _, name := range slices.Concat([]string{"experiment", "hash", "build"}, Keys(s), []string{SeedKey, "series"}) {
		t.Columns = append(t.Columns, table.Column{Name: name})
	}
	for _, c := range counted {
		t.Columns = append(t.Columns, table.Column{Name: c.name, Kind: table.Count})
	}
	for _, m := range Shares {
		for _, end := range []string{"_share", "_low", "_high"} {
			t.Columns = append(t.Columns, table.Column{Name: m.Name + end, Kind: table.Number})
		}
	}
	for _, m := range sizes {
		t.Columns = append(t.Columns, table.Column{Name: m.name, Kind: table.Number})
	}
	for i := range rows {
		t.Rows = append(t.Rows, cells(s, &rows[i]))
	}
	return t
}

func cells(s *result.Set, r *Row) []table.Cell {
	out := []table.Cell{table.Of(s.Header.Name), table.Of(s.Header.Hash), table.Of(s.Header.Build)}
	for _, v := range r.Values {
		out = append(out, table.Of(v))
	}
	out = append(out, table.Of(strings.Join(r.Seeds, " ")), table.Of(r.Series))
	for _, c := range counted {
		out = append(out, table.OfCount(c.of(&r.Tally)))
	}
	for _, m := range Shares {
		x := r.Interval(m)
		out = append(out, table.OfNumber(x.Share, x.Known), table.OfNumber(x.Low, x.Known), table.OfNumber(x.High, x.Known))
	}
	for _, m := range sizes {
		x, known := m.of(&r.Tally).Quantile(m.q)
		out = append(out, table.OfNumber(x, known))
	}
	return out
}

// Number reads a value as a number, for an axis: a plain number, or a time in milliseconds. ok is false for words.
func Number(value string) (x float64, unit string, ok bool) {
	if x, err := strconv.ParseFloat(value, 64); err == nil {
		return x, "", true
	}
	return millis(value)
}
