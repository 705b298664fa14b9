package file_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

const good = `name: try
about: One for tests
world: {builtin: public}
constellation: {rule: spread, in: permit, count: 12}
cores: {count: 100, who: both}
policy: {permit: EU27, f: 1}
committee: 5
seeds: [3, 4]
measure: [region]
expect: sound
sweep:
  access_delay: [0ms, 1500us]
  policy.speed: [vacuum, fibre]
chart: {x: access_delay, share: 0.9}
`

func parse(t testing.TB, text string, set ...string) *file.Experiment {
	t.Helper()
	e, err := file.Parse("e.yaml", []byte(text), file.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestProductOfWhatIsVaried: the last key varies fastest, seeds fastest of all, and each point has its values.
func TestProductOfWhatIsVaried(t *testing.T) {
	e := parse(t, good)
	var got []string
	for i, p := range e.Points {
		s := p.Settings
		got = append(got, fmt.Sprint(p.Index == i, s.AccessDelay, s.Policy.Speed, s.Seed))
		if s.Policy.F != 1 || s.Committee != 5 || s.Cores.Access != world.DataCentre || s.Constellation.PerTown != 1 || !s.Measure.Region || s.Rounds != 0 {
			t.Errorf("%+v", s)
		}
	}
	want := []string{"true 0s vacuum 3", "true 0s vacuum 4", "true 0s fibre 3", "true 0s fibre 4",
		"true 1.5ms vacuum 3", "true 1.5ms vacuum 4", "true 1.5ms fibre 3", "true 1.5ms fibre 4"}
	if !slices.Equal(got, want) || !slices.Equal(e.Keys, []string{"access_delay", "policy.speed", "seed"}) || e.Expect != file.ExpectSound || e.Chart.Share != 0.9 {
		t.Errorf("%q %+v", got, e)
	}
	if e.Points[7].Value("policy.speed") != "fibre" || e.Points[7].Value("nothing") != "" {
		t.Error("labels")
	}
}

// TestProblemsNameTheirPlace: each mistake, where it is said to be, and a word of what would be right.
func TestProblemsNameTheirPlace(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, tt := range []struct {
		name  string
		do    func(string) string
		place string
		says  string
	}{
		{"misspelt key", replace("committee:", "comitee:"), "e.yaml:7:1", "did you mean committee?"},
		{"unknown key", replace("about:", "colour: blue\nabout:"), "e.yaml:2:1", "the fields are name,"},
		{"unknown key of a group", replace("f: 1", "faulty: 1"), "e.yaml:6:24", "policy has the fields permit, f"},
		{"twice", replace("committee: 5", "committee: 5\ncommittee: 6"), "e.yaml:8:1", "twice"},
		{"twice in a group", replace("f: 1", "f: 1, f: 2"), "e.yaml:6:30", "twice"},
		{"group as a word", replace("policy: {permit: EU27, f: 1}", "policy: EU27"), "e.yaml:6:9", "fields of its own"},
		{"missing name", replace("name: try\n", ""), "e.yaml:", "name is missing"},
		{"missing permit", replace("permit: EU27, ", ""), "e.yaml:", "policy.permit is missing"},
		{"missing cores", replace("count: 100, ", ""), "e.yaml:", "cores.count is missing"},
		{"missing count", replace(", count: 12", ""), "e.yaml:", "constellation.count is missing"},
		{"bad name", replace("name: try", "name: Try It"), "e.yaml:1:7", "small letters"},
		{"no unit", replace("1500us", "1500"), "e.yaml:12:23", "2ms"},
		{"negative delay", replace("1500us", "-1ms"), "e.yaml:12:23", "0s to 10s"},
		{"unknown speed", replace("[vacuum, fibre]", "[vacuum, warp]"), "e.yaml:13:26", "vacuum or fibre"},
		{"unknown region", replace("EU27", "EU72"), "e.yaml:6:18", "EU27"},
		{"unknown rule", replace("spread", "sprawl"), "e.yaml:4:23", "spread, population"},
		{"fraction", replace("count: 100", "count: 10.5"), "e.yaml:5:16", "digits only"},
		{"octal", replace("count: 100", "count: 0100"), "e.yaml:5:16", "digits only"},
		{"too many cores", replace("count: 100", "count: 99999999"), "e.yaml:5:16", "not within"},
		{"f too large for the committee", replace("f: 1", "f: 3"), "e.yaml:7:12", "2f+1 = 7"},
		{"rounds", replace("committee: 5", "rounds: 3"), "e.yaml:7:9", "at least 8"},
		{"two worlds", replace("builtin: public", "builtin: public, file: w.yaml"), "e.yaml:3:32", "2 worlds"},
		{"no world", replace("world: {builtin: public}\n", ""), "e.yaml:", "0 worlds"},
		{"towns without a builtin world", replace("builtin: public", "file: w.yaml, towns: 20000"), "e.yaml:3:30", "built-in world"},
		{"unknown access", replace("count: 100", "count: 100, access: pigeon"), "e.yaml:5:29", "access"},
		{"homes in a data centre", replace("count: 100", "count: 100, place: homes, access: data-centre"), "e.yaml:5:43", "wired"},
		{"a grid of the world", replace("count: 100", "count: 100, place: grid, in: world"), "e.yaml:5:38", "region"},
		{"cities without list", replace("count: 12", "count: 12, cities: [Paris]"), "e.yaml:4:23", "rule list"},
		{"list with a count", replace("rule: spread, in: permit, count: 12", "rule: list, cities: [Paris], count: 3"), "e.yaml:4:53", "leave the count out"},
		{"domains", replace("count: 12", "count: 12, domains: none"), "e.yaml:4:63", "number of operators"},
		{"seed twice", replace("[3, 4]", "[3, 3]"), "e.yaml:8:12", "twice"},
		{"no seed", replace("[3, 4]", "[]"), "e.yaml:8:8", "no seed"},
		{"a word as a list", replace("[3, 4]", "3"), "e.yaml:8:8", "write a list"},
		{"measure", replace("measure: [region]", "measure: [mood]"), "e.yaml:9:11", "region, map or estimate"},
		{"estimate and region", replace("[region]", "[region, estimate]"), "e.yaml:9:10", "measured alone"},
		{"expectation", replace("expect: sound", "expect: luck"), "e.yaml:10:9", "false-accepts"},
		{"sweep of an unknown value", replace("policy.speed:", "policy.sped:"), "e.yaml:13:3", "did you mean policy.speed?"},
		{"sweep of a group", replace("policy.speed:", "policy:"), "e.yaml:13:3", "policy.permit"},
		{"sweep of what is fixed", replace("policy.speed: [vacuum, fibre]", "seeds: [1]"), "e.yaml:13:3", "cannot be varied"},
		{"sweep of one value", replace("[vacuum, fibre]", "vacuum"), "e.yaml:13:17", "write a list"},
		{"sweep twice", replace("policy.speed: [vacuum, fibre]", "access_delay: [1ms]"), "e.yaml:13:3", "twice"},
		{"an axis that is not varied", replace("x: access_delay", "x: policy.f"), "e.yaml:14:12", "varied are access_delay"},
		{"share", replace("share: 0.9", "share: 90"), "e.yaml:14:33", "at most 1"},
		{"anchor", replace("name: try", "name: &a try"), "e.yaml:1:7", "anchor"},
		{"alias", func(s string) string {
			return strings.Replace(s, "about: One for tests", "about: &a x", 1) + "expect: *a\n"
		}, "e.yaml:", "an"},
		{"tag", replace("committee: 5", "committee: !!int 5"), "e.yaml:7:12", "leave it out"},
		{"empty", func(string) string { return "" }, "e.yaml:", "YAML"},
		{"a list", func(string) string { return "- a\n" }, "e.yaml:1:1", "name:"},
		{"two documents", func(s string) string { return s + "---\nname: x\n" }, "e.yaml:", "one experiment"},
		{"tab", replace("  access_delay", "\taccess_delay"), "e.yaml:", "YAML"},
		{"too large", func(s string) string { return s + strings.Repeat("# x\n", file.MaxSize/4) }, "e.yaml:", "larger than"},
		{"too many points", replace("access_delay: [0ms, 1500us]", "committee: ["+strings.Repeat("5, ", file.MaxPoints)+"5]"), "e.yaml:", "vary less"},
		{"a file where none can be read", replace("builtin: public", "file: w.yaml"), "e.yaml:", "no file can be named"},
	} {
		_, err := file.Parse("e.yaml", []byte(tt.do(good)), file.Options{})
		if !errors.Is(err, file.ErrFile) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		found := false
		for line := range strings.Lines(err.Error()) {
			found = found || strings.HasPrefix(line, tt.place) && strings.Contains(line, tt.says)
		}
		if !found {
			t.Errorf("%s: want %s and %q in\n%v", tt.name, tt.place, tt.says, err)
		}
	}
}

// TestHashCoversWhatDecides: layout, comments, the description, axes and a default written out do not change the hash; a value, a seed
// and a file that is named do.
func TestHashCoversWhatDecides(t *testing.T) {
	disk := map[string]string{"w.yaml": "one", "set/nodes.csv": "n", "set/rtt.csv": "r"}
	read := func(name string) ([]byte, error) {
		if text, ok := disk[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	hash := func(text string) string {
		t.Helper()
		e, err := file.Parse("e.yaml", []byte(text), file.Options{ReadFile: read})
		if err != nil {
			t.Fatal(err)
		}
		return e.Hash
	}
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	base := hash(good)
	for _, same := range []string{"# a comment\n" + good, replace("about: One for tests", "about: Another sentence"), replace("f: 1}", "f: 1, speed: vacuum}"),
		replace("x: access_delay, ", ""), replace("committee: 5", "committee:   5")} {
		if hash(same) != base {
			t.Errorf("another hash of\n%s", same)
		}
	}
	seen := map[string]bool{base: true}
	for _, other := range []string{replace("count: 100", "count: 101"), replace("[3, 4]", "[4, 3]"), replace("1500us", "1600us"), replace("name: try", "name: tri"),
		replace("expect: sound", "expect: nothing"), replace("builtin: public", "builtin: cloud"), replace("builtin: public", "file: w.yaml"), replace("builtin: public", "measured: set")} {
		if h := hash(other); seen[h] {
			t.Errorf("the same hash of\n%s", other)
		} else {
			seen[h] = true
		}
	}
	for _, name := range []string{"w.yaml", "set/rtt.csv"} {
		before := disk[name]
		text := replace("builtin: public", map[bool]string{true: "file: w.yaml", false: "measured: set"}[name == "w.yaml"])
		was := hash(text)
		disk[name] = "changed"
		if hash(text) == was {
			t.Errorf("%s changed and the hash did not", name)
		}
		disk[name] = before
	}
	if _, err := file.Parse("e.yaml", []byte(replace("builtin: public", "file: none.yaml")), file.Options{ReadFile: read}); !errors.Is(err, file.ErrFile) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestSetReplacesAValue: as if it stood in the file; what was varied is varied no more, and no axis either.
func TestSetReplacesAValue(t *testing.T) {
	e := parse(t, good, "access_delay=3ms", "policy.f=2", "seeds=[9]")
	if len(e.Points) != 2 || e.Points[1].Settings.AccessDelay != 3*time.Millisecond || e.Points[0].Settings.Policy.F != 2 || e.Points[0].Settings.Seed != 9 || e.Chart.X != "" {
		t.Errorf("%+v", e)
	}
	for _, bad := range []string{"policy.f", "nothing=1", "policy.f=", "policy.f=[1", "policy.f=9", "sweep=x"} {
		if _, err := file.Parse("e.yaml", []byte(good), file.Options{Set: []string{bad}}); !errors.Is(err, file.ErrFile) {
			t.Errorf("--set %s: %v", bad, err)
		}
	}
}

// TestPerTownFollowsF: the words f+1 are settled by each point.
func TestPerTownFollowsF(t *testing.T) {
	e := parse(t, strings.Replace(strings.Replace(good, "count: 12", "count: 12, per_town: f+1", 1), "policy.speed: [vacuum, fibre]", "policy.f: [0, 2]", 1))
	if a, b := e.Points[0].Settings.Constellation.PerTown, e.Points[2].Settings.Constellation.PerTown; a != 1 || b != 3 {
		t.Errorf("%d and %d beacons in a town for f = 0 and 2", a, b)
	}
	if e.Points[0].Settings.Policy.Speed != earth.Vacuum {
		t.Error("the default speed")
	}
}

// TestReadyExperiments: every file in docs/experiments is one.
func TestReadyExperiments(t *testing.T) {
	if testing.Short() {
		t.Skip("sixty regions of the atlas; nothing here is concurrent")
	}
	files, err := filepath.Glob("../../../docs/experiments/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v %v", files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := file.Parse(filepath.Base(path), text, file.Options{ReadFile: func(string) ([]byte, error) { return []byte("absent"), nil }})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if e.Name+".yaml" != filepath.Base(path) {
			t.Errorf("%s is named %s", path, e.Name)
		}
	}
}

// TestTheDocumentSaysTheSame: docs/experiments/README.md has a line for each value, as the reader knows it.
func TestTheDocumentSaysTheSame(t *testing.T) {
	text, err := os.ReadFile("../../../docs/experiments/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range file.Fields() {
		normal := "`" + f.Normal + "`"
		switch {
		case f.Required:
			normal = "must be said"
		case f.Normal == "":
			normal = "–"
		}
		sweep := "yes"
		if f.Fixed {
			sweep = "no"
		}
		if line := fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.Path, f.Means, normal, sweep); !strings.Contains(string(text), line) {
			t.Errorf("missing: %s", line)
		}
	}
}

func FuzzParse(f *testing.F) {
	parse(f, good) // the atlas takes its time once
	f.Add(good)
	f.Add("sweep: {policy: [1]}\n")
	f.Add("name: [a, b]\nsweep:\n  seeds: [[]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := file.Parse("e.yaml", []byte(text), file.Options{})
		if (err == nil) == (e == nil) || err != nil && !errors.Is(err, file.ErrFile) {
			t.Fatalf("%v, %v", e, err)
		}
		if e != nil && (len(e.Points) == 0 || len(e.Points) > file.MaxPoints || e.Hash == "") {
			t.Fatalf("%+v", e)
		}
	})
}
