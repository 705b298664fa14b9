package exchange

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is one line of testdata/mutants.txt.
type mutant struct{ name, file, old, new, test string }

func readMutants(t *testing.T) []mutant {
	t.Helper()
	b, err := os.ReadFile("testdata/mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\|`, `|`, `\n`, "\n", `\t`, "\t")
	var all []mutant
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 5 {
			t.Fatalf("mutants.txt: want five fields: %q", line)
		}
		for i := range f {
			f[i] = unescape.Replace(f[i])
		}
		all = append(all, mutant{f[0], f[1], f[2], f[3], f[4]})
	}
	return all
}

// TestMutants keeps the table honest: every change applies to exactly one place, and every test that must catch one exists. With
// URSA_MUTANTS=1 it also builds each mutant (by go test -overlay) and requires the named test to fail.
func TestMutants(t *testing.T) {
	for _, m := range readMutants(t) {
		t.Run(m.name, func(t *testing.T) {
			source, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), m.old); n != 1 {
				t.Fatalf("%s: %q occurs %d times, want once", m.file, m.old, n)
			}
			pkg := testExists(t, m)
			if os.Getenv("URSA_MUTANTS") == "" {
				return
			}
			overlay := overlayOf(t, m, strings.Replace(string(source), m.old, m.new, 1))
			out, err := exec.Command("go", "test", "-count=1", "-overlay="+overlay, "-run", "^"+m.test+"$", pkg).CombinedOutput()
			if err == nil {
				t.Fatalf("survived %s", m.test)
			}
			if strings.Contains(string(out), "[build failed]") || !strings.Contains(string(out), "--- FAIL: "+m.test) {
				t.Fatalf("%s did not fail as a test:\n%s", m.test, out)
			}
		})
	}
}

// testExists finds the package that holds the test: this one or the clock rule's.
func testExists(t *testing.T, m mutant) string {
	t.Helper()
	for _, dir := range []string{".", "../timing/stamp"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "func "+m.test+"(t *testing.T)") {
				return "./" + dir
			}
		}
	}
	t.Fatalf("no test is called %s", m.test)
	return ""
}

func overlayOf(t *testing.T, m mutant, source string) string {
	t.Helper()
	dir := t.TempDir()
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
