package verdict_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// measured returns the folder of a public data set, or skips: $URSA_DATA, else ../shared/data beside the repository.
func measured(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("URSA_DATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				root = filepath.Join(dir, "..", "shared", "data")
				break
			}
		}
	}
	folder := filepath.Join(root, name)
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("needs the measured set %s (looked in %s; set URSA_DATA to its folder)", name, root)
	}
	return folder
}

// flagged returns the nodes whose places the data itself refutes.
func flagged(t *testing.T, folder string) map[string]bool {
	t.Helper()
	in, err := os.Open(filepath.Join(folder, "flags.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	rows, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, row := range rows {
		flags[row[0]] = true
	}
	return flags
}

// cityUnc is how far a host may be from its city's coordinate.
const cityUnc = 10_000

// On real delays, with every third city server a beacon, no verdict contradicts where the core is: its place is in the region, Inside
// is at home (the country, or EU27) and never far away, at both speeds; some are proven.
func TestMeasuredDelaysAreNeverContradicted(t *testing.T) {
	folder := measured(t, "wonderproxy-2020")
	set, err := dataset.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	flags := flagged(t, folder)
	areas := map[string]*atlas.Region{}
	inside := map[earth.SpeedClass]int{}
	for core := 0; core < set.Len(); core += 2 {
		node := set.Nodes[core]
		if flags[node.ID] || node.Country == "" {
			continue
		}
		home := node.Country
		if slices.Contains(eu27(t), home) {
			home = "EU27"
		}
		if areas[home] == nil {
			area, err := atlas.Parse(home, atlas.Options{})
			if err != nil {
				continue // a code that the atlas does not have
			}
			areas[home] = area
		}
		obs := measuredBy(set, core, flags)
		if len(obs) == 0 {
			continue
		}
		for _, class := range []earth.SpeedClass{earth.Vacuum, earth.Fibre} {
			v := judge(t, obs, verdict.Params{Speed: class}, areas[home])
			r, _ := v.Region()
			if !r.Contains(node.At) || v.Kind() == verdict.Inconsistent {
				t.Errorf("%s (%s), %v: its place is not in the region\n%s", node.ID, node.Name, class, v.Text())
			}
			place, onLand := atlas.LookupNear(node.At, atlas.SnapDistance)
			if v.Kind() == verdict.Outside && onLand && place.Country == node.Country {
				t.Errorf("%s (%s), %v: Outside of its own country", node.ID, node.Name, class)
			}
			if v.Inside() {
				inside[class]++
			}
			if far := judge(t, obs, verdict.Params{Speed: class}, permit(t, "cap(-75,100,1500km)")); far.Inside() {
				t.Errorf("%s (%s), %v: Inside Antarctica", node.ID, node.Name, class)
			}
		}
	}
	if inside[earth.Fibre] == 0 || inside[earth.Fibre] < inside[earth.Vacuum] {
		t.Errorf("proven at home: %v", inside)
	}
}

func measuredBy(set *dataset.Set, core int, flags map[string]bool) []verdict.Observation {
	var obs []verdict.Observation
	for i := 1; i < set.Len(); i += 3 {
		n := set.Nodes[i]
		rtt, ok := set.RTT(core, i)
		if i == core || !ok || flags[n.ID] {
			continue
		}
		obs = append(obs, verdict.Observation{
			Beacon: n.ID, Place: n.Name, Domains: []string{n.ID}, Position: n.At.ECEF(0), PosUnc: cityUnc,
			RTT: rtt, Granularity: 1000, ErrPPB: 1, Age: time.Second,
		})
	}
	return obs
}
