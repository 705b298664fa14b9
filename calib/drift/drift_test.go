package drift_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/drift"
)

// measured opens a table of a public data set, or skips: below $URSA_DATA, else ../shared/data beside the repository.
func measured(t testing.TB, name string) *gzip.Reader {
	t.Helper()
	root := os.Getenv("URSA_DATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for _, err = os.Stat(filepath.Join(dir, "go.mod")); err != nil; _, err = os.Stat(filepath.Join(dir, "go.mod")) {
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Skipf("needs the measured table %s (looked in %s; set URSA_DATA to its folder)", name, root)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// path draws a round trip of a path with queues: a base, an exponential tail, now and then a spike.
func path(rng *rand.Rand, base, queue float64) float64 {
	ms := base + queue*rng.ExpFloat64()
	if rng.IntN(100) == 0 {
		ms += 50 * rng.Float64()
	}
	return ms
}

func series(n int, ms func(i int) float64) drift.Series {
	s := drift.Series{From: "a", To: "b"}
	for i := range n {
		s.Points = append(s.Points, drift.Point{Unix: int64(i) * 240, MS: ms(i)})
	}
	return s
}

func changes(t *testing.T, s drift.Series) []drift.Change {
	t.Helper()
	list, err := drift.Changes(s)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRouteAndCongestionAreToldApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	quiet := series(1500, func(int) float64 { return path(rng, 80, 0.4) })
	if got := changes(t, quiet); len(got) != 0 {
		t.Errorf("a quiet path: %d changes, want none: %+v", len(got), got)
	}
	rerouted := series(1500, func(i int) float64 {
		if i >= 700 {
			return path(rng, 86, 0.4)
		}
		return path(rng, 80, 0.4)
	})
	got := changes(t, rerouted)
	if len(got) != 1 || got[0].Kind != drift.Route || math.Abs(got[0].ShiftMS()-6) > 0.5 || math.Abs(float64(got[0].Unix/240-700)) > 2 {
		t.Errorf("a route change of 6 ms at point 700: %+v", got)
	}
	crowded := series(1500, func(i int) float64 {
		if i >= 600 && i < 900 {
			return path(rng, 80, 12)
		}
		return path(rng, 80, 0.4)
	})
	got = changes(t, crowded)
	if len(got) != 2 || got[0].Kind != drift.Congestion || got[1].Kind != drift.Congestion {
		t.Errorf("queues between points 600 and 900: %+v", got)
	}
}

// Against the slow twin: with few points, try every way to cut and take the cheapest by the definition. Here instead by its mark:
// scaling and shifting all values changes no cut, for the cost knows ranks only.
func TestCutsDependOnRanksOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		steps := rapid.IntRange(0, 3).Draw(t, "steps")
		values := make([]float64, 200)
		for i := range values {
			values[i] = path(rng, 20+10*float64(i*(steps+1)/200), 0.5)
		}
		one := series(200, func(i int) float64 { return values[i] })
		two := series(200, func(i int) float64 { return 3*values[i] + 7 })
		a, errA := drift.Levels(one)
		b, errB := drift.Levels(two)
		if errA != nil || errB != nil || len(a) != len(b) {
			t.Fatalf("%d and %d levels, errors %v, %v", len(a), len(b), errA, errB)
		}
		for i := range a {
			if a[i].From != b[i].From || a[i].N != b[i].N {
				t.Fatalf("level %d: %+v and %+v", i, a[i], b[i])
			}
		}
		if len(a) < steps+1 {
			t.Fatalf("%d levels, drawn were %d", len(a), steps+1)
		}
	})
}

func TestSeriesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		s    drift.Series
		want error
	}{
		{"zero", drift.Series{From: "a", To: "b", Points: []drift.Point{{1, 0}}}, drift.ErrValue},
		{"negative", drift.Series{From: "a", To: "b", Points: []drift.Point{{1, -3}}}, drift.ErrValue},
		{"NaN", drift.Series{From: "a", To: "b", Points: []drift.Point{{1, math.NaN()}}}, drift.ErrValue},
		{"infinite", drift.Series{From: "a", To: "b", Points: []drift.Point{{1, math.Inf(1)}}}, drift.ErrValue},
		{"backwards", drift.Series{From: "a", To: "b", Points: []drift.Point{{2, 1}, {1, 1}}}, drift.ErrOrder},
		{"twice", drift.Series{From: "a", To: "b", Points: []drift.Point{{2, 1}, {2, 1}}}, drift.ErrOrder},
		{"itself", drift.Series{From: "a", To: "a"}, drift.ErrEnds},
		{"nobody", drift.Series{To: "a"}, drift.ErrEnds},
	} {
		if _, err := drift.Changes(c.s); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if got := changes(t, drift.Series{From: "a", To: "b"}); got != nil {
		t.Errorf("an empty series has %d changes", len(got))
	}
}

// Hand-labelled changes of RIPE Atlas series: found within three points, and not too many besides. The labels mark steps; changes of
// the queues alone are ours.
func TestLabelledSeries(t *testing.T) {
	short := []string{"17783", "13746", "15018", "11241", "17603", "16154", "15271", "17643"}
	rows, err := csv.NewReader(measured(t, "jitter-atlas-2016/series.csv.gz")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	all, labels := map[string]drift.Series{}, map[string][]int64{}
	for _, row := range rows[1:] {
		if !slices.Contains(short, row[0]) {
			continue
		}
		var p drift.Point
		if _, err := fmt.Sscan(row[1], &p.Unix); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(row[2], &p.MS); err != nil {
			t.Fatal(err)
		}
		if row[3] == "1" {
			labels[row[0]] = append(labels[row[0]], p.Unix)
		}
		s := all[row[0]]
		s.From, s.To = row[0], "root"
		if n := len(s.Points); p.MS > 0 && (n == 0 || s.Points[n-1].Unix < p.Unix) {
			s.Points = append(s.Points, p)
		}
		all[row[0]] = s
	}
	labelled, hit, routes, right := 0, 0, 0, 0
	for _, name := range short {
		found := changes(t, all[name])
		for _, at := range labels[name] {
			labelled++
			if slices.ContainsFunc(found, func(c drift.Change) bool { return math.Abs(float64(c.Unix-at)) <= 3*240 }) {
				hit++
			}
		}
		for _, c := range found {
			if c.Kind != drift.Route {
				continue
			}
			routes++
			if slices.ContainsFunc(labels[name], func(at int64) bool { return math.Abs(float64(c.Unix-at)) <= 3*240 }) {
				right++
			}
		}
	}
	recall, precision := float64(hit)/float64(labelled), float64(right)/float64(routes)
	t.Logf("%d labelled changes, %.0f %% found; %d route changes, %.0f %% labelled", labelled, 100*recall, routes, 100*precision)
	if recall < 0.65 || precision < 0.55 {
		t.Errorf("recall %.2f, precision of route changes %.2f; want at least 0.65 and 0.55", recall, precision)
	}
}

// weekly returns the tables of a cloud, complete series only.
func weekly(t *testing.T) []drift.Series {
	t.Helper()
	all, err := drift.ReadCSV(measured(t, "cloud-ibm-2023-2026/series.csv.gz"), "series.csv")
	if err != nil {
		t.Fatal(err)
	}
	var long []drift.Series
	for _, s := range all {
		if len(s.Points) > 150 {
			long = append(long, s)
		}
	}
	if len(long) < 40 {
		t.Fatalf("%d long series, want the square of some regions", len(long))
	}
	return long
}

// edit returns a copy of the series with every point from the middle on changed.
func edit(all []drift.Series, change func(s drift.Series, ms float64) float64) []drift.Series {
	var out []drift.Series
	for _, s := range all {
		c := drift.Series{From: s.From, To: s.To, Points: slices.Clone(s.Points)}
		for i := range c.Points {
			if i >= len(c.Points)/2 {
				c.Points[i].MS = change(s, c.Points[i].MS)
			}
		}
		out = append(out, c)
	}
	return out
}

func ofBeacons(t *testing.T, all []drift.Series) (list []drift.Event) {
	t.Helper()
	events, err := drift.Attribute(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Beacon != "" && e.Kind != drift.Congestion {
			list = append(list, e)
		}
	}
	return list
}

// Three and a half years of a cloud: routes change, no region moves and no clock breaks. Then each fault is put into the same tables
// and has to be named, at the right beacon and time, and nothing else.
func TestWeeklyTablesOfACloud(t *testing.T) {
	real := weekly(t)
	if got := ofBeacons(t, real); len(got) > 0 {
		t.Errorf("the real tables: %+v", got)
	}
	const who = "ibm:frankfurt"
	stranger := map[string]float64{} // round trips of another region, which a moved beacon would have
	for _, s := range real {
		if s.From == "ibm:sydney" {
			stranger[s.To] = s.Points[0].MS
		}
	}
	peer := func(s drift.Series) string {
		if s.From == who {
			return s.To
		}
		return s.From
	}
	for _, c := range []struct {
		want   drift.Kind
		change func(s drift.Series, ms float64) float64
	}{
		{drift.Moved, func(s drift.Series, ms float64) float64 {
			if s.From != who && s.To != who || stranger[peer(s)] == 0 {
				return ms
			}
			return stranger[peer(s)]
		}},
		{drift.Access, func(s drift.Series, ms float64) float64 {
			if s.From != who && s.To != who {
				return ms
			}
			return ms + 12
		}},
		{drift.Clock, func(s drift.Series, ms float64) float64 {
			if s.From != who {
				return ms
			}
			return ms*0.8 - 5
		}},
		{drift.Clock, func(s drift.Series, ms float64) float64 {
			if s.From != who && s.To != who {
				return ms
			}
			return ms * 1.15
		}},
	} {
		got := ofBeacons(t, edit(real, c.change))
		if len(got) != 1 || got[0].Kind != c.want || got[0].Beacon != who {
			t.Errorf("%s at %s: got %+v", c.want, who, got)
		}
	}
}

func TestOnePairIsARoute(t *testing.T) {
	real := weekly(t)
	got, err := drift.Attribute(edit(real, func(s drift.Series, ms float64) float64 {
		if s.From+s.To == "ibm:tokyoibm:osaka" || s.From+s.To == "ibm:osakaibm:tokyo" {
			return ms + 9
		}
		return ms
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got, func(e drift.Event) bool { return e.From == "ibm:osaka" && e.To == "ibm:tokyo" })
	if i < 0 || got[i].Kind != drift.Route || got[i].Pairs != 2 || math.Abs(got[i].ShiftMS-9) > 0.5 {
		t.Errorf("Osaka - Tokyo, 9 ms longer both ways: %+v", got)
	}
}

func TestReadCSV(t *testing.T) {
	got, err := drift.ReadCSV(strings.NewReader("date,src_id,dst_id,avg30d_ms\n2024-01-08,a,b,5\n2024-01-01,a,b,4\n2024-01-01,a,b,3\n2024-01-01,b,a,\n2024-01-02,b,a,-1\n"), "t.csv")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	want := []drift.Series{{From: "a", To: "b", Points: []drift.Point{{at, 3}, {at + 7*86400, 5}}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range []struct{ name, text, line string }{
		{"empty", "", "t.csv:1:"},
		{"no time", "src_id,dst_id,rtt_ms\n", "t.csv:1:"},
		{"no ends", "date,src_id,rtt_ms\n", "t.csv:1:"},
		{"no value", "date,src_id,dst_id\n", "t.csv:1:"},
		{"a bad date", "date,probe,rtt_ms\n2024-01-01,a,5\nyesterday,a,5\n", "t.csv:3:"},
		{"a bad second", "unix_ts,probe,rtt_ms\n1e3,a,5\n", "t.csv:2:"},
		{"a bad value", "unix_ts,probe,rtt_ms\n1,a,five\n", "t.csv:2:"},
		{"not a number", "unix_ts,probe,rtt_ms\n1,a,NaN\n", "t.csv:2:"},
		{"an hour", "unix_ts,probe,rtt_ms\n1,a,3600000\n", "t.csv:2:"},
		{"to itself", "unix_ts,src_id,dst_id,rtt_ms\n1,a,a,5\n", "t.csv:2:"},
		{"a short row", "unix_ts,src_id,dst_id,rtt_ms\n1,a\n", "t.csv"},
	} {
		_, err := drift.ReadCSV(strings.NewReader(c.text), "t.csv")
		if err == nil || !strings.HasPrefix(err.Error(), c.line) || (!errors.Is(err, drift.ErrHeader) && !errors.Is(err, drift.ErrRow)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// No table makes the reader or the cutter panic, and what is read is valid.
func FuzzReadCSV(f *testing.F) {
	f.Add("date,src_id,dst_id,avg30d_ms\n2024-01-08,a,b,5\n2024-01-01,a,b,4\n")
	f.Add("probe,unix_ts,rtt_ms,changepoint_label\n1,2,3,0\n1,3,\"4\",1\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := drift.ReadCSV(strings.NewReader(text), "t.csv")
		if err != nil {
			return
		}
		for _, s := range all {
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := drift.Attribute(all, time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkTenThousandPoints(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 4))
	s := series(10_000, func(i int) float64 { return path(rng, 80+float64(i/1000), 0.5) })
	for b.Loop() {
		if _, err := drift.Changes(s); err != nil {
			b.Fatal(err)
		}
	}
}
