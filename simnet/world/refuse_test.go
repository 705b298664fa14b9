package world_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// Each mistake, where it is said to be, and a word of what would be right.
func TestProblemsNameTheirPlace(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, c := range []struct {
		name        string
		do          func(string) string
		place, says string
	}{
		{"misspelt key", replace("seed:", "sed:"), "w.yaml:4:1", "did you mean seed?"},
		{"unknown key", replace("seed: 7", "seed: 7\ncolour: blue"), "w.yaml:5:1", "the fields are ursa_world, name"},
		{"unknown key deep down", replace("count: 2", "cuont: 2"), "w.yaml:11:25", "did you mean count?"},
		{"twice", replace("seed: 7", "seed: 7\nseed: 8"), "w.yaml:5:1", "twice"},
		{"missing", replace("seed: 7\n", ""), "w.yaml:2:1", "seed is missing"},
		{"missing deep down", replace("clock: local", ""), "w.yaml:", "clock is missing"},
		{"another version", replace("ursa_world: 1", "ursa_world: 2"), "w.yaml:2:13", "version of this format"},
		{"negative seed", replace("seed: 7", "seed: -7"), "w.yaml:4:7", "digits only"},
		{"loss in percent", replace("loss: 0.01", "loss: 10"), "w.yaml:20:11", "within 0 to 1"},
		{"not a number", replace("loss: 0.01", "loss: .nan"), "w.yaml:20:11", "a number"},
		{"a delay without unit", replace("delay: 4ms", "delay: 4"), "w.yaml:21:12", "with its unit"},
		{"faster than light", replace("index: 1.0002", "index: 0.99"), "w.yaml:47:42", "at least 1"},
		{"shorter than straight", replace("stretch: 1.005", "stretch: 0.9"), "w.yaml:47:59", "at least 1"},
		{"access class", replace("access: satellite", "access: pigeon"), "w.yaml:16:50", "wired, wifi, cellular"},
		{"a day of 23 hours", replace("hours: [1, ", "hours: ["), "w.yaml:40:12", "23 values where 24 belong"},
		{"a change that ends before", replace("until: 5h", "until: 1h"), "w.yaml:43:50", "not after"},
		{"falling quantiles", replace("p90: 24", "p90: 2"), "w.yaml:19:16", "must not fall"},
		{"falling levels", replace("[0.05, 0.5, 0.95]", "[0.5, 0.05, 0.95]"), "w.yaml:27:7", "levels rise"},
		{"more than all variance", replace("node_share: 0.3", "node_share: 0.9"), "w.yaml:27:7", "at most 1"},
		{"an unknown town in a medium", replace("between: [frankfurt, rack-2]}", "between: [frankfrut, rack-2]}"), "w.yaml:47:108", "Frankfurt"},
		{"an unknown town in a change", replace("between: [frankfurt, paris]", "between: [frankfurt, parris]"), "w.yaml:43:27", "Paris"},
		{"an unknown city of homes", replace("city: frankfurt", "city: atlantis"), "w.yaml:11:14", "no place has the id"},
		{"a crowd", replace("count: 1,", "count: 1000,"), "w.yaml:12:26", "more than 20000"},
		{"a medium for nobody", replace("share: 0.1}", "extra_ms: 1}"), "w.yaml:48:5", "joins nobody"},
		{"one id twice", replace("id: rack-2", "id: rack-1"), "w.yaml:15:12", "already"},
		{"one class twice", replace("access:\n  - class: cellular", "access:\n  - class: cellular\n  - class: cellular"), "w.yaml:19:12", "twice"},
		{"both kinds of world", replace("seed: 7", "seed: 7\nmeasured: x"), "w.yaml:5:11", "leave out"},
		{"no places", func(string) string { return "ursa_world: 1\nname: x\nseed: 1\n" }, "w.yaml:", "no place"},
		{"a country that is none", replace("[DE, FR, US, JP]", "[DE, France]"), "w.yaml:8:19", "such as DE"},
		{"anchor", replace("name: full", "name: &a full"), "w.yaml:3:7", "anchor"},
		{"tag", replace("seed: 7", "seed: !!int 7"), "w.yaml:4:7", "leave it out"},
		{"two documents", func(s string) string { return s + "---\na: b\n" }, "w.yaml:", "one world"},
		{"empty", func(string) string { return "" }, "w.yaml:", "YAML"},
		{"a list", func(string) string { return "- a\n" }, "w.yaml:1:1", "ursa_world"},
		{"too large", func(string) string { return strings.Repeat("#", world.MaxFile+1) }, "w.yaml:", "larger"},
		{"steps that fall", replace("[{at: 1h, by: -1s}]", "[{at: 2h, by: 1s}, {at: 1h, by: 1s}]"), "w.yaml:53:79", "not after"},
	} {
		f, err := world.Parse("w.yaml", []byte(c.do(string(full(t)))))
		if err == nil {
			_, err = f.World()
		}
		if !errors.Is(err, world.ErrFile) || strings.Count(fmt.Sprint(err), "\n") > 12 {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.HasPrefix(line, c.place) && strings.Contains(line, c.says) }) {
			t.Errorf("%s: want %s and %q in %v", c.name, c.place, c.says, err)
		}
	}
}

// samples are files that the reader takes: those of this folder and the published examples.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, pattern := range []string{"testdata/*.yaml", "testdata/*.json", "../../docs/experiments/worlds/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = text
		}
	}
	return out
}

// The published examples are worlds, and a JSON file is read like a YAML file.
func TestExamplesLoad(t *testing.T) {
	for name := range samples(t) {
		w, err := world.Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		places := w.Places()
		for i, b := range places[1:] {
			if _, ok := w.OneWayAt(places[i], b, 0); !ok {
				t.Errorf("%s: no way from %s to %s", name, places[i].ID, b.ID)
			}
		}
	}
}

// The schema takes every sample, and of each sample with something missing or added it thinks as the reader does.
func TestSchemaAgreesWithTheReader(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(world.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for name, text := range samples(t) {
		var v any
		if err := yaml.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		if why := validate(schema, asJSON(t, v), ""); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		if name != "testdata/full.yaml" {
			continue
		}
		mutate(asJSON(t, v), func(m any) {
			changed, _ := json.Marshal(m)
			_, err := world.Parse(name, changed)
			why := validate(schema, asJSON(t, m), "")
			if why != "" && err == nil {
				t.Errorf("the schema refuses (%s) what the reader takes: %s", why, changed)
			}
			if err != nil {
				refused++
			}
			if why == "" && err != nil && regexp.MustCompile("missing|unknown field").MatchString(err.Error()) {
				t.Errorf("the reader refuses what the schema takes: %v", err)
			}
		})
	}
	if refused < 30 {
		t.Errorf("only %d of the changed files were refused", refused)
	}
}

// asJSON turns what YAML gives into what JSON would.
func asJSON(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// mutate calls try with the value once for each mapping in it, with a field removed and with one added.
func mutate(root any, try func(any)) {
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(x))
			for k := range x {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				old := x[k]
				delete(x, k)
				try(root)
				x[k] = old
				walk(old)
			}
			x["surprise"] = 1
			try(root)
			delete(x, "surprise")
		case []any:
			for _, e := range x {
				walk(e)
			}
		}
	}
	walk(root)
}

// validate checks a value against as much of JSON Schema as the published schema uses; empty when it fits.
func validate(schema map[string]any, v any, path string) string {
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Sprintf("%s: %v is not one of %v", path, v, enum)
	}
	switch x := v.(type) {
	case map[string]any:
		properties, ok := schema["properties"].(map[string]any)
		if !ok {
			return path + ": no object belongs here"
		}
		for _, name := range schema["required"].([]any) {
			if _, ok := x[name.(string)]; !ok {
				return fmt.Sprintf("%s: %v is missing", path, name)
			}
		}
		for k, e := range x {
			p, ok := properties[k].(map[string]any)
			if !ok {
				return path + ": unknown field " + k
			}
			if why := validate(p, e, path+"."+k); why != "" {
				return why
			}
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok || float64(len(x)) < schema["minItems"].(float64) {
			return path + ": no such list belongs here"
		}
		if most, ok := schema["maxItems"].(float64); ok && float64(len(x)) > most {
			return path + ": too many values"
		}
		for _, e := range x {
			if why := validate(items, e, path+"[]"); why != "" {
				return why
			}
		}
	case float64:
		most, ok := schema["maximum"].(float64)
		if kind := schema["type"]; kind != "number" && kind != "integer" || x < schema["minimum"].(float64) || ok && x > most {
			return fmt.Sprintf("%s: the number %v does not belong here", path, x)
		}
	case string:
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(x) {
			return fmt.Sprintf("%s: %q does not fit %s", path, x, pattern)
		}
	}
	return ""
}

// No text panics, and what is taken survives writing and reading.
func FuzzParse(f *testing.F) {
	for _, text := range samples(f) {
		f.Add(text)
	}
	f.Add([]byte("ursa_world: 1\nname: x\nseed: 1\nplaces: {builtin: true}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 20_000 {
			return
		}
		got, err := world.Parse("fuzz", text)
		if err != nil {
			if !errors.Is(err, world.ErrFile) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		again, err := got.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := world.Parse("again", again); err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if got.Measured == "" && len(got.Places.Homes) == 0 {
			_, _ = got.World()
		}
	})
}

// The page about worlds names every field of a file, and every example.
func TestPageNamesEverything(t *testing.T) {
	page, err := os.ReadFile("../../docs/experiments/worlds/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(world.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for name := range schema.Properties {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not name the field %s", name)
		}
	}
	for name := range samples(t) {
		if strings.Contains(name, "docs") && !strings.Contains(string(page), "("+filepath.Base(name)+")") {
			t.Errorf("the page does not name %s", name)
		}
	}
}
