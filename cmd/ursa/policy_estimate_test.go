package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// measuredFleet writes what the scene's beacons, and some more, would have measured of each other.
func measuredFleet(t *testing.T, s *granttest.Scene) string {
	t.Helper()
	var nodes []dataset.Node
	for _, b := range s.Directory.Beacons {
		at, _ := b.ECEF().LatLon()
		nodes = append(nodes, dataset.Node{ID: b.ID().String(), Name: b.Place, At: at, Country: b.Place[len(b.Place)-2:], Source: "test"})
	}
	for _, more := range []struct {
		name, country string
		at            earth.LatLon
	}{{"Paris", "FR", earth.LatLon{Lat: 48.86, Lon: 2.35}}, {"London", "GB", earth.LatLon{Lat: 51.51, Lon: -0.13}},
		{"Warsaw", "PL", earth.LatLon{Lat: 52.23, Lon: 21.01}}, {"Osaka", "JP", earth.LatLon{Lat: 34.69, Lon: 135.5}}} {
		nodes = append(nodes, dataset.Node{ID: identity.ID(sha256.Sum256([]byte(more.name))).String(), Name: more.name, Country: more.country, At: more.at, Source: "test"})
	}
	set, err := dataset.New("fleet", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		for j := range i {
			if err := set.Add(i, j, granttest.RTT(nodes[i].At, nodes[j].At), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	var n, r bytes.Buffer
	if err := set.WriteNodes(&n); err != nil {
		t.Fatal(err)
	}
	if err := set.WriteRTT(&r); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*bytes.Buffer{"nodes.csv": &n, "rtt.csv": &r} {
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTheEstimateVetoes: an estimate that was trained on the beacons' own measurements has nothing against a core in Germany where
// Germany is permitted, is all against it where only Japan is, and says nothing of beacons that it does not know.
func TestTheEstimateVetoes(t *testing.T) {
	t.Parallel()
	s := granttest.New(t)
	dir := measuredFleet(t, s)
	steps := 0
	d, err := openDoubter(t.Context(), dir, func(int, int) { steps++ })
	if err != nil || steps == 0 {
		t.Fatal(err, steps)
	}
	got := s.Grant(s.Core, 10)
	if !got.Granted {
		t.Fatal(got.Reason)
	}
	facts := got.Finding.Verified.Facts
	for _, tt := range []struct {
		permit   string
		min, max uint64
	}{{"DE", 0, 500}, {"EU27", 0, 100}, {"JP", 990, 1000}, {"cap(52.52,13.41,100km)", 0, 500}, {"no such place", 0, 0}} {
		n := d.doubt(facts, tt.permit)
		if tt.max == 0 {
			if n != nil {
				t.Errorf("%s: %d", tt.permit, *n)
			}
			continue
		}
		if n == nil || *n < tt.min || *n > tt.max {
			t.Errorf("%s: %v, wanted %d to %d", tt.permit, n, tt.min, tt.max)
		} else {
			t.Logf("%s: %d thousandths outside", tt.permit, *n)
		}
	}
	if n := d.doubt(facts[:2], "DE"); n != nil {
		t.Error("an estimate from two beacons")
	}
	// In a gate, on a policy that permits what the bounds allow and the estimate does not.
	vetoing := granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) { p.VetoPerMille = new(uint64(900)) }),
		granttest.WithGate(func(c *grant.Config) { c.Doubt = d.doubt }))
	if got := vetoing.Grant(vetoing.Core, 10); got.Granted || got.RefusedBy != policy.RuleVeto {
		t.Errorf("a fleet that the estimate does not know: refused by %q", got.RefusedBy)
	}
	for name, text := range map[string]string{"nodes.csv": "id,name,country_iso2,lat,lon,source\nx,X,DE,50,8,t\n", "rtt.csv": "src_id,dst_id,min_ms,median_ms,samples\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openDoubter(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "calib run") {
		t.Error(err)
	}
}
