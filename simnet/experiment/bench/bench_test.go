package bench_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/bench"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

const base = `name: try
about: One for tests
world: {builtin: public}
constellation: {rule: population, in: permit, count: 20}
cores: {count: 30}
policy: {permit: EU27}
measure: [region, map]
`

func parse(t testing.TB, text string, set ...string) *file.Experiment {
	t.Helper()
	e, err := file.Parse("e.yaml", []byte(text), file.Options{Set: set, ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func run(t testing.TB, e *file.Experiment, workers int) []byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := experiment.Run(t.Context(), e, experiment.Options{Dir: dir, Workers: workers, Build: "test", Bench: bench.Builder("")}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, experiment.JournalName(0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRealTrialsAreTheSameAnywhere: with the real world, judge and adversaries, the bytes of a run do not depend on processors.
func TestRealTrialsAreTheSameAnywhere(t *testing.T) {
	e := parse(t, base+"adversary: {name: lying-short}\nsweep: {policy.f: [0, 1], adversary.strength: [0, 1]}\n", "cores.who=both")
	want := run(t, e, 1)
	counts := []int{1, 2, 8}
	if testing.Short() {
		counts = counts[2:]
	}
	for _, procs := range counts {
		before := runtime.GOMAXPROCS(procs)
		got := run(t, e, 0)
		runtime.GOMAXPROCS(before)
		if string(got) != string(want) {
			t.Errorf("%d processors: another journal", procs)
		}
	}
}

// TestOneTrialAlone: a core that is replayed alone has the outcome that it had among the others.
func TestOneTrialAlone(t *testing.T) {
	e := parse(t, base, "cores.who=both", "adversary.name=stolen-key", "adversary.strength=1", "cores.count=60")
	j, err := result.Decode(run(t, e, 0))
	if err != nil {
		t.Fatal(err)
	}
	v, err := bench.Replay("", e.Points[0].Settings)
	if err != nil {
		t.Fatal(err)
	}
	var inside, wrong int64
	for n := range e.Points[0].Settings.Cores.Count {
		c, o, err := v.Try(n)
		if err != nil {
			t.Fatal(err)
		}
		if o.Kind.String() == "Inside" {
			inside++
		}
		if o.FalseAccept && (c.Cheats() || o.Stands == atlas.Out) {
			wrong++
		}
	}
	tally := j.Chunks[0].Series[0].Tally
	if tally.Inside != inside || tally.FalseInside != wrong || wrong == 0 || len(j.Chunks[0].False) == 0 {
		t.Errorf("alone %d inside, %d of them wrong; together %d and %d, remembered %v", inside, wrong, tally.Inside, tally.FalseInside, j.Chunks[0].False)
	}
}

// TestSoundWhereTheAssumptionsHold, and false accepts found where they do not: the same experiment with one liar and f = 1 or 0.
func TestSoundWhereTheAssumptionsHold(t *testing.T) {
	tally := func(f string) result.Tally {
		e := parse(t, base, "policy.f="+f, "adversary.name=stolen-key", "adversary.strength=1", "cores.who=cheats", "cores.count=60", "constellation.per_town=2")
		j, err := result.Decode(run(t, e, 0))
		if err != nil {
			t.Fatal(err)
		}
		return j.Chunks[0].Series[0].Tally
	}
	if x := tally("1"); x.FalseInside != 0 || x.Missed != 0 || x.Intruders != 60 || x.Attacked != 60 {
		t.Errorf("f = 1: %+v", x)
	}
	if x := tally("0"); x.FalseInside == 0 {
		t.Error("f = 0 and a liar: no false accept, so this test cannot fail")
	}
}

// TestWhereCoresStand: in the towns asked for, or evenly over the land, inside or honestly on the edge; homes behind their link.
func TestWhereCoresStand(t *testing.T) {
	permit, err := atlas.Parse("FR", atlas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"cities", "homes", "grid"} {
		for _, by := range []string{"town", "people"} {
			e := parse(t, base, "policy.permit=FR", "cores.place="+place, "cores.by="+by)
			v, err := bench.Replay("", e.Points[0].Settings)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[earth.LatLon]bool{}
			for n := range 30 {
				c, err := v.Core(n)
				if err != nil {
					t.Fatal(err)
				}
				seen[c.Stands.At] = true
				if permit.ClassPoint(c.Stands.At) == atlas.Out || c.Cheats() || (c.Stands.Access.String() == "data-centre") == (place == "homes") {
					t.Errorf("%s: core %d stands at %v behind %v", place, n, c.Stands.At, c.Stands.Access)
				}
			}
			if len(seen) != 30 {
				t.Errorf("%s: 30 cores at %d places", place, len(seen))
			}
		}
	}
}

// fleet returns the beacons of a point.
func fleet(t *testing.T, set ...string) []trial.Beacon {
	t.Helper()
	v, err := bench.Replay("", parse(t, base, set...).Points[0].Settings)
	if err != nil {
		t.Fatal(err)
	}
	return v.Beacons()
}

// TestRulesOfTheConstellation: counts, towns and domains are those asked for.
func TestRulesOfTheConstellation(t *testing.T) {
	count := func(of []trial.Beacon, key func(trial.Beacon) string) int {
		seen := map[string]bool{}
		for _, b := range of {
			seen[key(b)] = true
		}
		return len(seen)
	}
	town := func(b trial.Beacon) string { return b.Place.Metro }
	domain := func(b trial.Beacon) string { return b.Domains[0] }
	country := func(b trial.Beacon) string { return b.Place.Country }
	for _, tt := range []struct {
		set                              []string
		beacons, towns, domains, nations int // 0: not looked at
	}{
		{nil, 20, 20, 20, 0},
		{[]string{"constellation.per_town=4"}, 20, 5, 20, 0},
		{[]string{"constellation.domains=city", "constellation.per_town=4"}, 20, 5, 5, 0},
		{[]string{"constellation.domains=country", "policy.permit=JP+NZ", "constellation.rule=spread", "constellation.count=10"}, 10, 10, 2, 2},
		{[]string{"constellation.domains=3"}, 20, 20, 3, 0},
		{[]string{"constellation.rule=random"}, 20, 20, 20, 0},
		{[]string{"policy.permit=LU"}, 20, 1, 20, 1},
		{[]string{"world.towns=1000000", "constellation.in=JP"}, 20, 0, 20, 1},
		{[]string{"world.in=BR+AU", "constellation.in=world", "policy.permit=BR+AU", "constellation.count=8"}, 8, 8, 8, 2},
	} {
		b := fleet(t, tt.set...)
		got := fmt.Sprint(len(b), count(b, town), count(b, domain), count(b, country))
		want := fmt.Sprint(tt.beacons, or(tt.towns, count(b, town)), tt.domains, or(tt.nations, count(b, country)))
		if got != want {
			t.Errorf("%v: beacons, towns, domains, countries %s, want %s", tt.set, got, want)
		}
	}
	listed := parse(t, strings.Replace(base, "rule: population, in: permit, count: 20", "rule: list, cities: [Paris, Berlin]", 1))
	v, err := bench.Replay("", listed.Points[0].Settings)
	if err != nil || len(v.Beacons()) != 2 {
		t.Errorf("a list of two: %v", err)
	}
	if a, b := fleet(t, "constellation.rule=random"), fleet(t, "constellation.rule=random", "seeds=[2]"); fmt.Sprint(a) == fmt.Sprint(b) {
		t.Error("two seeds drew one constellation")
	}
}

func or(a, b int) int {
	if a == 0 {
		return b
	}
	return a
}

// TestSpreadLeavesNoGap: no town of the area is farther from its nearest beacon than the two nearest beacons are from each other, which
// is what choosing the farthest means.
func TestSpreadLeavesNoGap(t *testing.T) {
	b := fleet(t, "constellation.rule=spread", "constellation.count=12")
	gap := earth.Metres(1e9)
	for i := range b {
		for j := range i {
			gap = min(gap, earth.Chord(b[i].Stated.ECEF(0), b[j].Stated.ECEF(0)))
		}
	}
	all := parse(t, strings.Replace(base, "rule: population, in: permit, count: 20", "rule: all, in: permit", 1))
	v, err := bench.Replay("", all.Points[0].Settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range v.Beacons() {
		nearest := earth.Metres(1e9)
		for i := range b {
			nearest = min(nearest, earth.Chord(b[i].Stated.ECEF(0), other.Stated.ECEF(0)))
		}
		if nearest > gap+5000 { // hosts stand up to 2 km off their town's middle
			t.Errorf("%s is %v from the nearest beacon, the nearest two beacons are %v apart", other.Place.Name, nearest, gap)
		}
	}
}

// TestRefused: what a file's reader cannot see is refused when the point is set up, with its reason.
func TestRefused(t *testing.T) {
	dir := measured(t)
	for _, tt := range []struct {
		set  []string
		want error
	}{
		{[]string{"constellation.in=GL", "world.in=DE"}, bench.ErrNowhere},
		{[]string{"world.towns=49999999"}, bench.ErrWorld},
		{[]string{"world.builtin=", "world.measured=" + dir, "constellation.count=100", "policy.permit=DE+FR"}, bench.ErrTooFew},
		{[]string{"world.builtin=", "world.measured=" + dir, "constellation.count=6", "policy.permit=DE+FR"}, bench.ErrTooFew},
		{[]string{"world.builtin=", "world.measured=" + dir, "constellation.count=3", "cores.place=grid", "policy.permit=DE+FR"}, bench.ErrWorld},
	} {
		var set []string
		text := base
		for _, s := range tt.set {
			if s == "world.builtin=" {
				text = strings.Replace(text, "builtin: public", "measured: x", 1)
				continue
			}
			set = append(set, s)
		}
		_, err := bench.Replay("", parse(t, text, set...).Points[0].Settings)
		if !errors.Is(err, tt.want) {
			t.Errorf("%v: %v", tt.set, err)
		}
	}
}

// measured writes a small data set: six cities, round trips of 1.5 times light in fibre.
func measured(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cities := []struct {
		name, country string
		at            earth.LatLon
	}{{"Paris", "FR", earth.LatLon{Lat: 48.86, Lon: 2.35}}, {"Lyon", "FR", earth.LatLon{Lat: 45.76, Lon: 4.83}}, {"Lille", "FR", earth.LatLon{Lat: 50.63, Lon: 3.06}},
		{"Berlin", "DE", earth.LatLon{Lat: 52.52, Lon: 13.4}}, {"Munich", "DE", earth.LatLon{Lat: 48.14, Lon: 11.58}}, {"Cologne", "DE", earth.LatLon{Lat: 50.94, Lon: 6.96}}}
	nodes, rtts := [][]string{strings.Split("id,name,country_iso2,lat,lon,source", ",")}, [][]string{strings.Split("src_id,dst_id,min_ms,median_ms,samples", ",")}
	for i, c := range cities {
		nodes = append(nodes, []string{c.name, c.name, c.country, fmt.Sprint(c.at.Lat), fmt.Sprint(c.at.Lon), "test"})
		for _, d := range cities[:i] {
			ms := 1.5 * 2 * float64(earth.GreatCircle(c.at, d.at)) * 1.468 / float64(earth.Light) * 1e3
			rtts = append(rtts, []string{c.name, d.name, fmt.Sprintf("%.4f", ms), "", "1"})
		}
	}
	for name, rows := range map[string][][]string{"nodes.csv": nodes, "rtt.csv": rtts} {
		var b strings.Builder
		if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestMeasuredWorld: cores of a measured world are its hosts that are no beacons.
func TestMeasuredWorld(t *testing.T) {
	e := parse(t, strings.Replace(base, "builtin: public", "measured: "+measured(t), 1), "constellation.count=4", "policy.permit=DE+FR")
	v, err := bench.Replay("", e.Points[0].Settings)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		c, o, err := v.Try(n)
		if err != nil || o.Answered != 4 {
			t.Fatalf("%+v, %v", o, err)
		}
		for _, b := range v.Beacons() {
			if b.Place.ID == c.Stands.ID {
				t.Fatalf("%s is beacon and core", c.Stands.ID)
			}
		}
	}
}

// TestEstimatesOfADrawnWorld: every method is scored on hosts of the world, and the same again.
func TestEstimatesOfADrawnWorld(t *testing.T) {
	if os.Getenv("URSA_LONG") == "" {
		t.Skip("two evaluations take a minute: set URSA_LONG=1")
	}
	e := parse(t, strings.Replace(base, "[region, map]", "[estimate]", 1), "constellation.in=world", "constellation.count=24")
	first := run(t, e, 0)
	j, err := result.Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, s := range j.Chunks[0].Series {
		names = append(names, s.Name)
		if s.Tally.Targets == 0 || s.Tally.ErrorKM.Total() == 0 {
			text, _ := json.Marshal(s)
			t.Errorf("%s", text)
		}
	}
	if got := strings.Join(names, " "); got != "ursa shortest-ping cbg cbg++ spotter" {
		t.Error(got)
	}
	if string(run(t, e, 2)) != string(first) {
		t.Error("another journal")
	}
}

// TestWorldFile: a world's file is read beside the experiment, its own laws hold, and each seed of the experiment is another world.
func TestWorldFile(t *testing.T) {
	dir := t.TempDir()
	text := "ursa_world: 1\nname: two\nseed: 4\nplaces: {builtin: true, countries: [DE]}\n"
	if err := os.WriteFile(filepath.Join(dir, "w.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := file.Parse("e.yaml", []byte(strings.Replace(base, "builtin: public", "file: w.yaml", 1)), file.Options{Set: []string{"seeds=[1, 2]", "policy.permit=DE"},
		ReadFile: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) }})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range e.Points {
		v, err := bench.Replay(dir, p.Settings)
		if err != nil {
			t.Fatal(err)
		}
		_, o, err := v.Try(0)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(o.Shortest, v.Beacons()[0].Place.At))
	}
	if found[0] == found[1] {
		t.Errorf("two seeds, one world: %s", found[0])
	}
}
