package summary_test

import (
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
)

// set has for each country, f, count and seed ten cores, of which so many are proven.
func set(proven func(country, f, count string) int) *result.Set {
	s := &result.Set{Header: result.Header{Format: 1, Name: "try", Hash: "h", Build: "b", Of: 1, Keys: []string{"policy.permit", "policy.f", "constellation.count", "seed"},
		Drawing: result.Drawing{Share: 0.5}}}
	for _, country := range []string{"DE", "FR", "LU"} {
		for _, f := range []string{"0", "1"} {
			for _, n := range []string{"1", "2", "4", "8"} {
				for _, seed := range []string{"1", "2", "3"} {
					var t result.Tally
					for i := range 10 {
						x := result.Trial{Entitled: true, Judged: true}
						if i < proven(country, f, n) {
							x.Kind = verdict.Inside
						}
						t.Add(x)
					}
					s.Points = append(s.Points, result.Point{Values: []string{country, f, n, seed}, Series: []result.Series{{Tally: t}}})
				}
			}
		}
	}
	return s
}

func some(country, f, count string) int {
	n := map[string]int{"1": 1, "2": 3, "4": 5, "8": 9}[count]
	if f == "1" {
		n /= 2
	}
	if country == "LU" {
		n = 0
	}
	return n
}

// TestAxesAreChosen: numbers with most values along the axis, few values as curves, the rest as facets; and the experiment's own choice.
func TestAxesAreChosen(t *testing.T) {
	s := set(some)
	if got, want := summary.Choose(s), (summary.Axes{X: "constellation.count", By: "policy.f", Facet: "policy.permit"}); got != want {
		t.Errorf("%+v", got)
	}
	s.Header.Drawing.X = "policy.f"
	if got, want := summary.Choose(s), (summary.Axes{X: "policy.f", By: "policy.permit", Facet: "constellation.count"}); got != want {
		t.Errorf("%+v", got)
	}
}

// TestNeeds: the least number that proves half of the cores, or what comes nearest.
func TestNeeds(t *testing.T) {
	s := set(some)
	list, ok := summary.Needs(s, summary.Choose(s))
	if !ok || len(list) != 6 {
		t.Fatalf("%+v", list)
	}
	want := map[string]string{"DE 0": "4", "DE 1": "", "FR 0": "4", "FR 1": "", "LU 0": "", "LU 1": ""}
	for _, n := range list {
		if n.Value != want[n.Facet+" "+n.By] {
			t.Errorf("%+v", n)
		}
		if n.Facet == "DE" && n.By == "1" && (n.BestAt != "8" || n.Best.Share != 0.4) {
			t.Errorf("%+v", n)
		}
		if n.Facet == "LU" && n.Best.Share != 0 {
			t.Errorf("%+v", n)
		}
	}
}

// TestPoolingKeepsEveryTrial: seeds pooled, rows in the order of the points, nothing lost, and the intervals the same each time.
func TestPoolingKeepsEveryTrial(t *testing.T) {
	s := set(some)
	one, pooled := summary.Points(s), summary.Pooled(s)
	if len(one) != 72 || len(pooled) != 24 {
		t.Fatalf("%d rows, %d pooled", len(one), len(pooled))
	}
	var total int64
	share, _ := summary.ShareOf("proven")
	again := summary.Pooled(s)
	for i := range pooled {
		r := &pooled[i]
		total += r.Tally.Cores
		if !slices.Equal(r.Seeds, []string{"1", "2", "3"}) || len(r.Parts) != 3 || r.Interval(share) != again[i].Interval(share) {
			t.Errorf("%+v", r)
		}
	}
	if total != 720 {
		t.Errorf("%d trials", total)
	}
	collapsed := summary.Collapse(s, pooled, "policy.f")
	if len(collapsed) != 2 || collapsed[0].Tally.Cores != 360 || collapsed[0].Value(s, "policy.f") != "0" || collapsed[0].Value(s, "policy.permit") != "all" {
		t.Errorf("%+v", collapsed)
	}
}

// TestUnknownIsNoZero: a share of nothing is an empty cell.
func TestUnknownIsNoZero(t *testing.T) {
	s := set(some)
	table := summary.Table(s, summary.Pooled(s))
	at := table.Column("false_inside_share")
	if at < 0 || table.Rows[0][at].Known || table.Rows[0][table.Column("region_median_km2")].Known {
		t.Error("nobody stood outside, and no region was measured, but there is a value")
	}
	if c := table.Rows[0][table.Column("proven_share")]; !c.Known || c.Number != 0.1 {
		t.Errorf("%+v", c)
	}
}

// TestNumbers: what is a number along an axis.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]float64{"3": 3, "0.25": 0.25, "250us": 0.25, "2ms": 2} {
		if x, _, ok := summary.Number(text); !ok || x != want {
			t.Errorf("%s: %v, %v", text, x, ok)
		}
	}
	for _, text := range []string{"DE", "", "vacuum"} {
		if x, _, ok := summary.Number(text); ok {
			t.Errorf("%q is %v", text, x)
		}
	}
}
