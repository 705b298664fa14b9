package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const policiesDir = "../../docs/policies"

// TestPublishedPolicies: what people begin with must hold what it says.
func TestPublishedPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(policiesDir + "/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	readme, err := os.ReadFile(policiesDir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		ok(t, "policy", "check", file)
		out := ok(t, "policy", "test", file)
		if strings.Count(out, "\n") < 3 || !strings.Contains(string(readme), filepath.Base(file)) {
			t.Errorf("%s: few examples, or not in the README:\n%s", file, out)
		}
		if words := ok(t, "policy", "explain", file); !strings.Contains(words, "denied") {
			t.Errorf("%s: %s", file, words)
		}
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), hex.EncodeToString(simMeasurement())) {
			t.Errorf("%s accepts no simulated machine as this program makes them: %v", file, err)
		}
	}
}

// edited writes one of the published policies with changes, given as old and new in turn.
func edited(t *testing.T, name string, changes ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(policiesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPolicyStatuses(t *testing.T) {
	t.Parallel()
	europe := filepath.Join(policiesDir, "europe.yaml")
	one := strings.Repeat("ab", 32)
	pinned := edited(t, "europe.yaml", "    min_tcb: 1\n", "    min_tcb: 1\n    machines: [\""+one+"\"]\n")
	wider := edited(t, "europe.yaml", "version: 1", "version: 2", "EEA+CH", "EEA+CH+GB", "t_off: 30s", "t_off: 20s")
	for _, tt := range []struct {
		args   []string
		status int
		says   string // on either stream
	}{
		{[]string{"check", edited(t, "europe.yaml", "speed: vacuum", "sped: vacuum")}, exitFailed, "5:1: unknown field \"sped\": did you mean speed?"},
		{[]string{"check", edited(t, "europe.yaml", "EEA+CH", "EEA+XQ")}, exitFailed, "4:18: permit: unknown place"},
		{[]string{"check", edited(t, "europe.yaml", "f: 1", "f: -1", "max_age: 20s", "max_age: 20"), "--json"}, exitFailed, `"line": 6`},
		{[]string{"check", europe, "--json"}, exitDone, `"ok": true`},
		{[]string{"check", filepath.Join(t.TempDir(), "none.yaml")}, exitFailed, "no such file"},
		{[]string{"check", europe, "--authors", europe}, exitFailed, "authors"},
		{[]string{"check"}, exitUsage, "use 'ursa policy check POLICY"},
		{[]string{"test", edited(t, "europe.yaml", "expect: policy-age", "expect: granted")}, exitDenied, "WRONG  a proof that is too old"},
		{[]string{"test", edited(t, "europe.yaml", "expect: policy-age", "expect: granted"), "--json"}, exitDenied, `"ok": false`},
		{[]string{"test", edited(t, "europe.yaml", "examples:\n", "examples:\n  - {name: gone, proof: gone.ursa, expect: granted}\n")}, exitFailed, "no good proof"},
		{[]string{"test", edited(t, "europe.yaml", "examples:\n", "examples:\n  - {name: away, proof: ../gone.ursa, expect: granted}\n")}, exitFailed, "leaves the folder"},
		{[]string{"diff", europe, wider}, exitDone, "widens   permit"},
		{[]string{"diff", europe, wider, "--no-widen"}, exitDenied, "narrows  t_off"},
		{[]string{"diff", europe, wider, "--json"}, exitDone, `"widens": true`},
		{[]string{"diff", wider, edited(t, "europe.yaml", "version: 1", "version: 3"), "--no-widen"}, exitDenied, "20s → 30s"},
		{[]string{"diff", europe, edited(t, "europe.yaml", "version: 1", "version: 3", "f: 1", "f: 2"), "--no-widen"}, exitDone, "narrows  f"},
		{[]string{"diff", europe, edited(t, "europe.yaml", "version: 1", "version: 3", "max_age: 20s", "max_age: 10s"), "--no-widen"}, exitDone, "narrows  max_age"},
		{[]string{"diff", europe, edited(t, "europe.yaml", "max_age: 20s", "max_age: 10s"), "--no-widen"}, exitDenied, "does not go up"},
		{[]string{"diff", pinned, edited(t, "europe.yaml", "version: 1", "version: 2"), "--no-widen"}, exitDenied, "machines " + one},
		{[]string{"diff", europe, pinned, "--json"}, exitDone, `"widens": false`},
		{[]string{"explain", pinned}, exitDone, "machines abababababab only"},
		{[]string{"diff", europe, europe}, exitDone, "the same policy"},
		{[]string{"explain", europe, "--json"}, exitDone, `"permit_km2"`},
		{[]string{"explain", europe, "--proof", europe}, exitFailed, "format"},
		{[]string{"explain", europe, "--proof", europe, "--trust", "x"}, exitUsage, "64 hexadecimal digits"},
		{[]string{"schema"}, exitDone, "json-schema.org"},
		{[]string{"chek"}, exitUsage, "did you mean 'check'?"},
	} {
		status, out, errOut := cli(append([]string{"policy"}, tt.args...)...)
		if status != tt.status || !strings.Contains(out+errOut, tt.says) {
			t.Errorf("ursa policy %s: exit %d, wanted %d and %q:\n%s%s", strings.Join(tt.args, " "), status, tt.status, tt.says, out, errOut)
		}
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(ok(t, "policy", "schema")), &schema); err != nil {
		t.Error(err)
	}
}

// TestPolicyAuthors: two of three sign, one after the other; one is not enough.
func TestPolicyAuthors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pass, home, signed := filepath.Join(dir, "pass"), filepath.Join(dir, "authors"), filepath.Join(dir, "europe.ursa")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	withPass := func(args ...string) []string {
		return append(append([]string{"policy"}, args...), "--passphrase-file", pass)
	}
	europe := filepath.Join(policiesDir, "europe.yaml")
	authors := filepath.Join(home, authorsName)
	key := func(n string) string { return filepath.Join(home, "author-"+n+".key") }
	ok(t, withPass("init", home, "--keys", "3", "--threshold", "2")...)
	fails := func(status int, says string, args ...string) {
		t.Helper()
		if got, out, errOut := cli(args...); got != status || !strings.Contains(out+errOut, says) {
			t.Errorf("%v: exit %d, wanted %d and %q: %s%s", args, got, status, says, out, errOut)
		}
	}
	fails(exitUsage, "--threshold", withPass("init", filepath.Join(dir, "x"), "--keys", "2", "--threshold", "3")...)
	fails(exitUsage, "--out", withPass("sign", europe, "--key", key("1"))...)
	ok(t, withPass("sign", europe, "--key", key("1"), "--out", signed)...)
	fails(exitFailed, "too few authors", "policy", "check", signed, "--authors", authors)
	fails(exitUsage, "--cosign", withPass("sign", signed, "--key", key("2"), "--out", signed)...)
	fails(exitFailed, "not a signed policy", withPass("sign", europe, "--cosign", "--key", key("2"), "--out", signed)...)
	ok(t, withPass("sign", signed, "--cosign", "--key", key("3"))...)
	fails(exitFailed, "signed twice", withPass("sign", signed, "--cosign", "--key", key("3"))...)
	if out := ok(t, "policy", "check", signed, "--authors", authors); !strings.Contains(out, "signed by 2 authors (2 needed)") {
		t.Error(out)
	}
	if out := ok(t, "policy", "check", signed, "--authors", authors, "--json"); !strings.Contains(out, `"verified": true`) {
		t.Error(out)
	}
	fails(exitFailed, "not a signed", "policy", "check", europe, "--authors", authors, "--json")
	if out := ok(t, "policy", "diff", europe, signed); !strings.Contains(out, "the same policy") {
		t.Error(out)
	}
	if a, err := readAuthorsFile(authors); err != nil || len(a.Keys) != 3 {
		t.Error(err)
	} else if p, raw, err := readSignedPolicy(signed, a); err != nil || p.Name != "europe" || len(raw) == 0 {
		t.Error(p.Name, err)
	}
	bad := filepath.Join(dir, "bad.json")
	f := authorsFile{Threshold: 3}
	if err := writeJSON(bad, f, 0o644); err != nil {
		t.Fatal(err)
	}
	fails(exitFailed, "threshold", "policy", "check", signed, "--authors", bad)
	fails(exitFailed, "signed by someone who is no author", "policy", "check", signed, "--authors", strangers(t, dir, pass))
}

// strangers makes other authors.
func strangers(t *testing.T, dir, pass string) string {
	t.Helper()
	home := filepath.Join(dir, "strangers")
	ok(t, "policy", "init", home, "--keys", "3", "--threshold", "2", "--passphrase-file", pass)
	return filepath.Join(home, authorsName)
}
