package policyfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func good(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/europe.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGoodFile(t *testing.T) {
	f, region, err := policyfile.Check("europe.yaml", []byte(good(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Policy{Name: "europe", Version: 3, Permit: "EU27+CH", Speed: "vacuum", F: new(uint64(1)), MinDomains: new(uint64(5)),
		MinStatements: new(uint64(5)), MaxAgeMS: new(uint64(30_000)), VMaxMMPS: new(uint64(350_000)), Timing: policy.TimingBoth,
		Attest:   []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}, {0xa0, 0xb1}}, MinTCB: 1}},
		MaxUnits: new(uint64(5000)), TOffMS: new(uint64(20_000)), LeaseTTLMS: new(uint64(60_000)), Audience: "granttest", Scheme: policy.SchemeLease,
		NotBeforeUnixNS: new(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()),
		NotAfterUnixNS:  new(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())}
	if !reflect.DeepEqual(f.Policy, want) {
		t.Errorf("%+v", f.Policy)
	}
	if len(f.Examples) != 1 || f.Examples[0].Expect != "granted" || region == nil {
		t.Errorf("%+v", f.Examples)
	}
}

// The names of two machines.
const (
	machineA = "ab11111111111111111111111111111111111111111111111111111111111111"
	machineB = "abababababab0000000000000000000000000000000000000000000000000000"
)

// machines adds a list of machines to the good file.
func machines(list string) func(string) string {
	return func(s string) string {
		return strings.Replace(s, "    min_tcb: 1\n", "    min_tcb: 1\n    machines: "+list+"\n", 1)
	}
}

// TestProblemsNameTheirPlace: each mistake, where it is said to be, and a word
// of what would be right.
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
		{"misspelt key", replace("speed:", "sped:"), "p.yaml:5:1", "did you mean speed?"},
		{"unknown key", replace("name: europe", "name: europe\ncolour: blue"), "p.yaml:3:1", "the fields are name,"},
		{"twice", replace("f: 1", "f: 1\nf: 2"), "p.yaml:7:1", "twice"},
		{"missing", replace("t_off: 20s\n", ""), "p.yaml:", "t_off is missing"},
		{"negative", replace("f: 1", "f: -1"), "p.yaml:6:4", "digits only"},
		{"float", replace("max_units: 5000", "max_units: 5e3"), "p.yaml:18:12", "digits only"},
		{"2^63", replace("max_units: 5000", "max_units: 9223372036854775808"), "p.yaml:18:12", "digits only"},
		{"no unit", replace("max_age: 30s", "max_age: 30"), "p.yaml:9:10", "10s"},
		{"microseconds", replace("max_age: 30s", "max_age: 30us"), "p.yaml:9:10", "milliseconds"},
		{"speed in knots", replace("350 m/s", "350 kn"), "p.yaml:10:8", "km/h"},
		{"no such day", replace("2026-01-01", "2026-13-01"), "p.yaml:21:13", "2026-01-01T00:00:00Z"},
		{"measurement", replace(`"01"`, "xyz"), "p.yaml:14:20", "hexadecimal"},
		{"measurement twice", replace(`"a0b1"]`, `"01"]`), "p.yaml:14:26", "twice"},
		{"no machines", machines("[]"), "p.yaml:16:15", "a list of machines"},
		{"short machine", machines(`["` + machineA + `", "11"]`), "p.yaml:16:84", "64 hexadecimal digits"},
		{"machine twice", machines(`["` + machineA + `", "` + strings.ToUpper(machineA) + `"]`), "p.yaml:16:84", "twice"},
		{"machine as a number", machines(`[7]`), "p.yaml:16:16", "64 hexadecimal digits"},
		{"anchor", replace("name: europe", "name: &a europe"), "p.yaml:2:7", "anchor"},
		{"alias", replace("audience: granttest", "audience: *a"), "p.yaml:", "unknown anchor"},
		{"tag", replace("version: 3", "version: !!int 3"), "p.yaml:3:10", "leave it out"},
		{"list as a word", replace("permit: EU27+CH", "permit: [DE, FR]"), "p.yaml:4:9", "a region"},
		{"empty", func(string) string { return "" }, "p.yaml:", "YAML"},
		{"a list", func(string) string { return "- a\n" }, "p.yaml:1:1", "name:"},
		{"two documents", func(s string) string { return s + "---\nname: x\n" }, "p.yaml:", "one policy"},
		{"too few domains for f", replace("min_domains: 5", "min_domains: 2"), "p.yaml:7:14", "2f+1"},
		{"unknown speed", replace("speed: vacuum", "speed: warp"), "p.yaml:5:8", "vacuum or fibre"},
		{"unknown region", replace("EU27+CH", "EU27+XX"), "p.yaml:4:14", "unknown place"},
		{"window that is empty", replace("2030", "2025"), "p.yaml:22:12", "not_after"},
		{"age of a week", replace("max_age: 30s", "max_age: 168h"), "p.yaml:9:10", "max_age is"},
		{"quoted region", replace("EU27+CH", "\"EU27+XX\""), "p.yaml:4:15", "unknown place"},
		{"no day", replace("name: europe", "name: europe\nhours:\n  - {days: mo-fr, from: 08:00, to: 18:00}"), "p.yaml:4:12", "mon-fri"},
		{"days backwards", replace("name: europe", "name: europe\nhours:\n  - {days: fri-mon, from: 08:00, to: 18:00}"), "p.yaml:4:12", "mon-fri"},
		{"no hour", replace("name: europe", "name: europe\nhours:\n  - {days: mon, from: 25:00, to: 18:00}"), "p.yaml:4:23", "24:00"},
		{"over midnight", replace("name: europe", "name: europe\nhours:\n  - {days: mon, from: 22:00, to: 06:00}"), "p.yaml:4:5", "ends after it begins"},
		{"hours without an end", replace("name: europe", "name: europe\nhours:\n  - {days: mon, from: 22:00}"), "p.yaml:4:5", "to is missing"},
		{"veto without percent", replace("name: europe", "name: europe\nveto_outside: 0.95"), "p.yaml:3:15", "95%"},
		{"veto of nothing", replace("name: europe", "name: europe\nveto_outside: 0%"), "p.yaml:3:15", "veto_outside"},
		{"exempt from nothing", replace("name: europe", "name: europe\nexemptions:\n  - {tenant: a, until: 2027-01-01T00:00:00Z, reason: r}"), "p.yaml:4:5", "from nothing"},
		{"nobody exempt", replace("name: europe", "name: europe\nexemptions:\n  - {permit: NO, until: 2027-01-01T00:00:00Z, reason: r}"), "p.yaml:4:5", "core, chip, tenant"},
		{"exempt elsewhere", replace("name: europe", "name: europe\nexemptions:\n  - {tenant: a, permit: NO+XX, until: 2027-01-01T00:00:00Z, reason: r}"), "p.yaml:4:28", "unknown place"},
		{"exempt from the verdict", replace("name: europe", "name: europe\nexemptions:\n  - {tenant: a, lifts: [verdict], until: 2027-01-01T00:00:00Z, reason: r}"), "p.yaml:4:5", "hours and veto"},
		{"expects nonsense", replace("expect: granted", "expect: policy-agee"), "p.yaml:26:13", "did you mean policy-age?"},
		{"proof and given", replace("proof: kassel.ursa", "proof: kassel.ursa\n    given: {age: 1s}"), "p.yaml:24:5", "either"},
		{"given nonsense", replace("proof: kassel.ursa", "given: {agee: 1s}"), "p.yaml:25:13", "the fields here are"},
		{"given a place and a verdict", replace("proof: kassel.ursa", "given: {place: \"1, 2\", verdict: Inside}"), "p.yaml:25:37", "follows"},
		{"given no place", replace("proof: kassel.ursa", "given: {place: \"91, 2\"}"), "p.yaml:25:20", "latitude"},
		{"tab", replace("  - platform", "\t- platform"), "p.yaml:", "YAML"},
	} {
		_, _, err := policyfile.Check("p.yaml", []byte(tt.do(good(t))))
		list := policyfile.Problems(err)
		if !errors.Is(err, policyfile.ErrFile) || len(list) == 0 {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !slices.ContainsFunc(list, func(p *policyfile.Problem) bool {
			return strings.HasPrefix(p.Error(), tt.place) && strings.Contains(p.Error(), tt.says)
		}) {
			t.Errorf("%s: want %s and %q in %v", tt.name, tt.place, tt.says, list)
		}
	}
}

// TestAllProblemsAtOnce: whoever corrects a file wants to do it once.
func TestAllProblemsAtOnce(t *testing.T) {
	text := strings.NewReplacer("EU27+CH", "EU27+XX", "f: 1", "f: 9", "max_age: 30s", "max_age: 168h").Replace(good(t))
	_, _, err := policyfile.Check("p.yaml", []byte(text))
	var places []string
	for _, p := range policyfile.Problems(err) {
		places = append(places, fmt.Sprintf("%d:%d", p.Line, p.Column))
	}
	if slices.Sort(places); !slices.Equal(places, []string{"4:14", "6:4", "9:10"}) {
		t.Error(err)
	}
}

// TestSchemaSaysTheSame holds the published schema and the reader together: the
// fields that the one requires are those that the other misses.
func TestSchemaSaysTheSame(t *testing.T) {
	var schema struct {
		Required   []string                   `json:"required"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(policyfile.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(good(t), "\n")
	for name := range schema.Properties {
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if at < 0 {
			if slices.Contains(schema.Required, name) {
				t.Errorf("the example file lacks %s", name)
			}
			continue
		}
		end := at + 1
		for end < len(lines) && strings.HasPrefix(lines[end], " ") {
			end++
		}
		without := strings.Join(append(slices.Clone(lines[:at]), lines[end:]...), "\n")
		_, err := policyfile.Parse("p.yaml", []byte(without))
		if required := slices.Contains(schema.Required, name); required != (err != nil) {
			t.Errorf("%s: the schema says required %v, the reader says %v", name, required, err)
		}
	}
	_, err := policyfile.Parse("p.yaml", []byte("nonsense_key_far_away: 1"))
	for name := range schema.Properties {
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("the reader does not know %s of the schema", name)
		}
	}
}

func TestExplainAndExamples(t *testing.T) {
	f, err := policyfile.Parse("europe.yaml", []byte(good(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := granttest.New(t)
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	r := s.Request(s.Core, proof, 100)
	d, err := s.Gate.Grant(t.Context(), r)
	if err != nil || !d.Granted {
		t.Fatal(err, d.RefusedBy, d.Reason)
	}
	trust := evidence.Trust{Roots: []identity.Public{s.Roots[0].Public()}, Threshold: 1}
	file, err := evidence.Seal(s.GateKey, s.Published, trust, r, d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := policyfile.Explain(f.Policy, file, evidence.Options{})
	if err != nil || !got.Granted {
		t.Fatalf("%v %s %s", err, got.RefusedBy, got.Reason)
	}
	if !strings.Contains(got.Text(), "policy-domains") || !strings.Contains(got.Text(), "Kassel, DE") {
		t.Error(got.Text())
	}
	proven, err := evidence.Verify(file, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for machine, want := range map[[32]byte]string{proven.Bundle.Known().Chip: "", {1}: grant.RefusedAttestation} {
		named := f.Policy
		named.Attest = slices.Clone(f.Policy.Attest)
		named.Attest[0].Machines = [][32]byte{machine}
		if got, err = policyfile.Explain(named, file, evidence.Options{}); err != nil || got.RefusedBy != want {
			t.Errorf("machine %x: %v %q %s", machine[:4], err, got.RefusedBy, got.Reason)
		}
	}
	read := func(name string) ([]byte, error) {
		if name != "kassel.ursa" {
			return nil, os.ErrNotExist
		}
		return file, nil
	}
	if err := f.Test(read, evidence.Options{}); err != nil {
		t.Error(err)
	}
	strict := f
	strict.Policy.Permit = "JP"
	if got, err = policyfile.Explain(strict.Policy, file, evidence.Options{}); err != nil || got.RefusedBy != grant.RefusedVerdict {
		t.Errorf("%v %s", err, got.RefusedBy)
	}
	if err := strict.Test(read, evidence.Options{}); !errors.Is(err, policyfile.ErrExample) {
		t.Error(err)
	}
	f.Examples[0].Proof = "gone.ursa"
	if err := f.Test(read, evidence.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	f, err := policyfile.Parse("europe.yaml", []byte(good(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		field  string
		change func(*policy.Policy)
		want   policyfile.Direction
	}{
		{"permit", func(p *policy.Policy) { p.Permit = "EU27+CH+NO" }, policyfile.Widens},
		{"permit", func(p *policy.Policy) { p.Permit = "EU27" }, policyfile.Narrows},
		{"permit", func(p *policy.Policy) { p.Permit = "EU27+NO" }, policyfile.Both},
		{"permit", func(p *policy.Policy) { p.Permit = "CH+EU27" }, policyfile.Neither},
		{"permit", func(p *policy.Policy) { p.Permit = "EU27+cap(60.39,5.32,300m)" }, policyfile.Both},
		{"permit", func(p *policy.Policy) { p.Permit = "EU27+CH+cap(60.39,5.32,300m)" }, policyfile.Widens},
		{"speed", func(p *policy.Policy) { p.Speed = "fibre" }, policyfile.Widens},
		{"timing", func(p *policy.Policy) { p.Timing = policy.TimingBeacon }, policyfile.Widens},
		{"f", func(p *policy.Policy) { p.F = new(uint64(0)) }, policyfile.Widens},
		{"f", func(p *policy.Policy) { p.F = new(uint64(2)) }, policyfile.Narrows},
		{"max_age", func(p *policy.Policy) { p.MaxAgeMS = new(uint64(60_000)) }, policyfile.Widens},
		{"v_max", func(p *policy.Policy) { p.VMaxMMPS = new(uint64(1000)) }, policyfile.Widens},
		{"max_units", func(p *policy.Policy) { p.MaxUnits = nil }, policyfile.Narrows},
		{"per_mille", func(p *policy.Policy) { p.PerMille = new(uint64(250)) }, policyfile.Narrows},
		{"not_after", func(p *policy.Policy) { *p.NotAfterUnixNS++ }, policyfile.Widens},
		{"attest", func(p *policy.Policy) { p.Attest = append(p.Attest, directory.Expectation{Platform: "tpm"}) }, policyfile.Widens},
		{"attest", func(p *policy.Policy) {
			p.Attest = []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}}
		}, policyfile.Narrows},
		{"attest", func(p *policy.Policy) {
			p.Attest = []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{9}}, MinTCB: 1}}
		}, policyfile.Both},
		{"scheme", func(p *policy.Policy) { p.Scheme = policy.SchemeBurn }, policyfile.Narrows},
		{"name", func(p *policy.Policy) { p.Name = "x" }, policyfile.Neither},
	} {
		after := f.Policy
		after.NotAfterUnixNS = new(*f.Policy.NotAfterUnixNS)
		tt.change(&after)
		changes, err := policyfile.Diff(f.Policy, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) != 1 || changes[0].Field != tt.field || changes[0].Direction != tt.want || changes[0].String() == "" {
			t.Errorf("%s: %v, want %s", tt.field, changes, tt.want)
		}
		if wider := tt.want == policyfile.Widens || tt.want == policyfile.Both; policyfile.Widened(changes) != wider {
			t.Errorf("%s: widened %v", tt.field, !wider)
		}
	}
	changes, err := policyfile.Diff(f.Policy, f.Policy)
	if err != nil || len(changes) != 0 {
		t.Error(changes, err)
	}
	norway := f.Policy
	norway.Permit = "EU27+CH+NO"
	changes, err = policyfile.Diff(f.Policy, norway)
	if err != nil || changes[0].KM2Wider < 250_000 || changes[0].KM2Wider > 450_000 {
		t.Errorf("%v %v: Norway has about 385,000 km², its islands included", changes, err)
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("testdata/europe.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(extended(f)))
	f.Add([]byte("name: [\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := policyfile.Parse("x", b)
		if err != nil {
			if len(policyfile.Problems(err)) == 0 {
				t.Fatal("an error without a problem")
			}
			return
		}
		if problems := file.Policy.Validate(); len(problems) != 0 {
			t.Fatal(problems)
		}
	})
}

// extended is the good file with everything that may be left out.
func extended(t testing.TB) string {
	return good(t) + `  - name: Frankfurt in the office's hours
    given: {at: 2026-03-02T10:00:00Z, place: "50.11, 8.68", platform: sim, statements: 5, domains: 5, age: 2s, units: 9000, report: sound, outside: 1%}
    expect: granted
  - name: on Sunday
    given: {at: 2026-03-01T10:00:00Z, place: "50.11, 8.68", platform: sim, statements: 5, domains: 5, age: 2s, units: 9000, report: sound, outside: 1%}
    expect: policy-hours
  - name: Oslo
    given: {at: 2026-03-02T10:00:00Z, place: "59.91, 10.75", platform: sim, statements: 5, domains: 5, age: 2s, units: 1, report: sound, outside: 1%}
    expect: verdict
  - name: Oslo, for those who are exempt
    given: {at: 2026-03-01T10:00:00Z, place: "60.5, 9.5", platform: sim, statements: 5, domains: 5, age: 2s, units: 1, report: sound, tenant: north}
    expect: granted
  - name: a border town
    given: {at: 2026-03-02T10:00:00Z, place: "47.555, 7.59", platform: sim, statements: 5, domains: 5, age: 2s, units: 1, report: sound, outside: 1%}
    expect: granted
  - name: the estimate says Tokyo
    given: {at: 2026-03-02T10:00:00Z, verdict: Inside, platform: sim, statements: 5, domains: 5, age: 2s, units: 1, report: sound, outside: 97.5%}
    expect: estimate-veto
  - name: nothing is known
    given: {platform: sim}
    expect: policy-window
hours:
  - {days: mon-fri, from: 08:00, to: 18:00}
veto_outside: 95%
exemptions:
  - {tenant: north, permit: "NO", lifts: [veto, hours], until: 2027-01-01T00:00:00Z, reason: a site in Norway}
`
}

func TestGivenExamples(t *testing.T) {
	f, _, err := policyfile.Check("x.yaml", []byte(extended(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Run(func(string) ([]byte, error) { return nil, os.ErrNotExist }, evidence.Options{}) {
		if x.Example.Proof != "" {
			if !errors.Is(x.Err, policyfile.ErrProof) || !errors.Is(x.Err, os.ErrNotExist) {
				t.Error(x.Err)
			}
			continue
		}
		if x.Err != nil {
			t.Errorf("%v\n%s", x.Err, x.Decision.Text())
		}
		if x.Decision.Granted && x.Decision.Units > 5000 {
			t.Errorf("%d units", x.Decision.Units)
		}
	}
	words := policyfile.Words(f.Policy, 1)
	for _, part := range []string{"EU27+CH", "mon-fri 08:00-18:00", "95%", "tenant north may also be in NO and is free of hours and is free of veto", "a site in Norway", "denied"} {
		if !strings.Contains(words, part) {
			t.Errorf("%q is not in:\n%s", part, words)
		}
	}
	f.Examples[1].Expect = "verdict"
	if err := f.Test(func(string) ([]byte, error) { return nil, os.ErrNotExist }, evidence.Options{}); !errors.Is(err, policyfile.ErrExample) {
		t.Error(err)
	}
}

// TestDiffOfHoursVetoExemptions says what changes of them widen.
func TestDiffOfHoursVetoExemptions(t *testing.T) {
	f, err := policyfile.Parse("x.yaml", []byte(extended(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		field  string
		change func(*policy.Policy)
		want   policyfile.Direction
	}{
		{"hours", func(p *policy.Policy) { p.Hours = nil }, policyfile.Widens},
		{"hours", func(p *policy.Policy) { p.Hours = []policy.Hours{{Days: 31, From: 480, To: 1079}} }, policyfile.Narrows},
		{"hours", func(p *policy.Policy) { p.Hours = []policy.Hours{{Days: 31, From: 479, To: 1079}} }, policyfile.Both},
		{"hours", func(p *policy.Policy) {
			p.Hours = []policy.Hours{{Days: 31, From: 480, To: 600}, {Days: 31, From: 600, To: 1080}}
		}, policyfile.Neither},
		{"veto_outside", func(p *policy.Policy) { p.VetoPerMille = nil }, policyfile.Widens},
		{"veto_outside", func(p *policy.Policy) { p.VetoPerMille = new(uint64(951)) }, policyfile.Widens},
		{"veto_outside", func(p *policy.Policy) { p.VetoPerMille = new(uint64(949)) }, policyfile.Narrows},
		{"exemptions", func(p *policy.Policy) { p.Exemptions = nil }, policyfile.Narrows},
		{"exemptions", func(p *policy.Policy) { p.Exemptions[0].NotAfterUnixNS++ }, policyfile.Widens},
		{"exemptions", func(p *policy.Policy) { p.Exemptions[0].NotAfterUnixNS-- }, policyfile.Narrows},
		{"exemptions", func(p *policy.Policy) {
			p.Exemptions = append(p.Exemptions, policy.Exemption{Kind: policy.OfTenant, Name: "b", Permit: "IS", NotAfterUnixNS: 1, Reason: "r"})
		}, policyfile.Widens},
	} {
		after := f.Policy
		after.Exemptions = slices.Clone(f.Policy.Exemptions)
		tt.change(&after)
		changes, err := policyfile.Diff(f.Policy, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) != 1 || changes[0].Field != tt.field || changes[0].Direction != tt.want {
			t.Errorf("%s: %v, want %s", tt.field, changes, tt.want)
		}
	}
}
