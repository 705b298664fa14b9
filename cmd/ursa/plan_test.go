package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runPlan(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(context.Background(), append([]string{"plan"}, args...), strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestPlanCommittee(t *testing.T) {
	status, out, errOut := runPlan(t, "committee", "Frankfurt", "--members", "5", "--f", "1", "--permit", "DE", "--access", "100us", "--json")
	var got struct {
		Domains   int
		RegionKM2 float64 `json:"region_km2"`
		Inside    *bool
		Members   []struct {
			ID      string
			RadiusM float64 `json:"radius_m"`
		}
	}
	if err := json.Unmarshal([]byte(out), &got); status != exitDone || err != nil {
		t.Fatal(status, err, errOut)
	}
	if len(got.Members) != 5 || got.Domains < 3 || got.RegionKM2 <= 0 || got.Inside == nil || got.Members[0].RadiusM <= 0 {
		t.Errorf("%s", out)
	}
}

func TestPlanCoverageWritesMapAndGeoJSON(t *testing.T) {
	dir := t.TempDir()
	svg, geo := filepath.Join(dir, "c.svg"), filepath.Join(dir, "c.json")
	status, out, errOut := runPlan(t, "coverage", "--permit", "cap(50.11,8.68,150km)", "--samples", "30", "--places", "cities", "--access", "50us", "--stretch", "1.5", "--map", svg, "--geojson", geo)
	if status != exitDone || !strings.Contains(out, "by area") || !strings.Contains(out, "by places") {
		t.Fatal(status, out, errOut)
	}
	for _, file := range []string{svg, geo} {
		if b, err := os.ReadFile(file); err != nil || len(b) < 1000 {
			t.Errorf("%s: %d bytes, %v", file, len(b), err)
		}
	}
}

func TestPlanPlace(t *testing.T) {
	status, out, errOut := runPlan(t, "place", "--permit", "cap(50.11,8.68,150km)", "--places", "cities", "--pick", "2", "--access", "50us", "--stretch", "1.5", "--json")
	var got struct {
		Before, After struct{ Share float64 }
		Picks         []struct{ Gain float64 }
	}
	if err := json.Unmarshal([]byte(out), &got); status != exitDone || err != nil {
		t.Fatal(status, err, errOut)
	}
	if got.Before.Share != 0 || got.After.Share <= 0 || len(got.Picks) == 0 {
		t.Errorf("%s", out)
	}
}

func TestPlanWrongUse(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("id,lat,lon\na,1,2\nb,north,3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"committee", exitUsage, "arg"},
		{"committee Atlantis", exitUsage, "Atlantis"},
		{"committee 95,8", exitUsage, "latitude 95"},
		{"committee Frankfurt --f 1 --members 2", exitUsage, "2f+1"},
		{"committee Frankfurt --speed warp", exitUsage, "vacuum or fibre"},
		{"committee Frankfurt --f 99", exitUsage, "0..8"},
		{"committee Frankfurt --stretch 0.5", exitUsage, "1..100"},
		{"coverage", exitUsage, "--permit"},
		{"coverage --permit XX", exitUsage, "XX"},
		{"coverage --permit DE --map c.gif", exitUsage, ".svg"},
		{"coverage --permit DE --samples -3", exitUsage, "-3"},
		{"coverage --permit DE --beacons nix.csv", exitUsage, "nix.csv"},
		{"coverage --permit DE --beacons " + bad, exitFailed, "bad.csv:3"},
		{"place --permit DE --pick 0", exitUsage, "--pick"},
		{"place --permit DE --beacons cities", exitUsage, "--pick"},
	} {
		status, out, errOut := runPlan(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 || out != "" {
			t.Errorf("%s: status %d, %q %q; want %d and %q", c.args, status, out, errOut, c.status, c.says)
		}
	}
}
