package audit_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
)

// measured returns the folder of a public data set, or skips: $URSA_DATA, else ../shared/data beside the repository.
func measured(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("URSA_DATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for !exists(filepath.Join(dir, "go.mod")) {
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared", "data")
	}
	path := filepath.Join(root, name)
	if !exists(path) {
		t.Skipf("needs the measured set %s (looked in %s; set URSA_DATA to its folder)", name, root)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func load(t testing.TB, name string) (*dataset.Set, string) {
	t.Helper()
	dir := measured(t, name)
	set, err := dataset.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set, dir
}

func run(t testing.TB, set *dataset.Set, o audit.Options) audit.Report {
	t.Helper()
	r, err := audit.Run(set, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// flags reads what others found out about the set's claims. It scores the audit; the audit never sees it.
func flags(t *testing.T, dir string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "flags.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, row := range rows[1:] {
		found[row[0]] = row[2]
	}
	return found
}

func byID(list []audit.Accused) map[string]audit.Accused {
	found := map[string]audit.Accused{}
	for _, a := range list {
		found[a.ID] = a
	}
	return found
}

// The public set of 246 city servers: a server that says Honduras and stands beside New York is convicted, Prague and Belfast are
// at least suspected and found at the right neighbour, and nobody else pays for it.
func TestCityServers(t *testing.T) {
	set, dir := load(t, "wonderproxy-2020")
	known := flags(t, dir)
	r := run(t, set, audit.Options{})
	convicted, suspected := byID(r.Convicted), byID(r.Suspected)

	if a, ok := convicted["wp220"]; !ok || a.Likely != "US" || a.Claims != "HN" {
		t.Errorf("La Ceiba: convicted %v, claims %q, likely %q; want convicted, HN, US", ok, a.Claims, a.Likely)
	}
	for id, want := range map[string]string{"wp3": "SK", "wp204": "GB", "wp190": "IT"} {
		a, ok := convicted[id]
		if !ok {
			a, ok = suspected[id]
		}
		if !ok || a.Likely != want {
			t.Errorf("%s: accused %v, likely %q; want accused and likely %s", id, ok, a.Likely, want)
		}
	}
	for id := range convicted {
		if known[id] != "false-location" {
			t.Errorf("%s is convicted, but nothing is known against it", id)
		}
	}
	innocent := 0
	for id := range suspected {
		if known[id] == "" {
			innocent++
		}
	}
	if most := (set.Len() - len(known)) * 2 / 100; innocent > most {
		t.Errorf("%d innocent nodes are suspected, at most %d may be", innocent, most)
	}
}

// Clouds publish where they stand, and it is true.
func TestCloudsAreClean(t *testing.T) {
	for _, name := range []string{"cloud-aws-2020", "cloud-gcp-2019", "cloud-ibm-2023-2026"} {
		t.Run(name, func(t *testing.T) {
			set, _ := load(t, name)
			r := run(t, set, audit.Options{})
			if len(r.Convicted)+len(r.Suspected)+len(r.Refused) > 0 {
				t.Errorf("%d convicted, %d suspected, %d pairs refused; want none", len(r.Convicted), len(r.Suspected), len(r.Refused))
			}
		})
	}
}
