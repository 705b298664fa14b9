package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// measuredSet writes a set of 20 hosts around the North Atlantic, one of which stands in Paris and says Nairobi.
func measuredSet(t *testing.T) (dir string) { return measuredSetWith(t, "n04") }

// measuredSetWith gives the liar an id.
func measuredSetWith(t *testing.T, liar string) (dir string) {
	t.Helper()
	var nodes []dataset.Node
	var truth []earth.LatLon
	for i := range 20 {
		at := earth.LatLon{Lat: 40 + 1.3*float64(i%10), Lon: float64(i%7) * 3}
		country := "DE"
		if i >= 14 {
			at, country = earth.LatLon{Lat: 35 + 1.1*float64(i-14), Lon: -75 - 2*float64(i-14)}, "US"
		}
		truth = append(truth, at)
		nodes = append(nodes, dataset.Node{ID: fmt.Sprintf("n%02d", i), Name: fmt.Sprintf("Host, %d", i), Country: country, At: at})
	}
	truth[4] = earth.LatLon{Lat: 48.86, Lon: 2.35}
	nodes[4].ID = liar
	nodes[4].At, nodes[4].Country = earth.LatLon{Lat: -1.29, Lon: 36.82}, "KE"
	set, err := dataset.New("measured", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		for j := range i {
			ms := 0.8 + earth.GreatCircle(truth[i], truth[j]).Kilometres()*(0.019+0.004*math.Sin(float64(5*i+11*j)))
			if err := set.Add(i, j, earth.RTTFromMillis(ms), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir = filepath.Join(t.TempDir(), "measured")
	if err := set.Save(dir, true); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The object of `ursa calib audit --json` has the fields of the contract, with values of the right kind, and finds the liar.
func TestCalibAuditKeepsItsContract(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal([]byte(ok(t, "calib", "audit", "--data", measuredSet(t), "--json")), &got); err != nil {
		t.Fatal(err)
	}
	kinds(t, "the report", got, map[string]string{"data": "string", "nodes": "float64", "pairs": "float64", "convicted": "[]interface {}", "suspected": "[]interface {}"})
	if got["data"] != "measured" || got["nodes"] != 20.0 || got["pairs"] != 190.0 {
		t.Errorf("data %v, nodes %v, pairs %v", got["data"], got["nodes"], got["pairs"])
	}
	convicted := got["convicted"].([]any)
	if len(convicted) != 1 {
		t.Fatalf("%d convicted, want n04", len(convicted))
	}
	a := convicted[0].(map[string]any)
	kinds(t, "an accused", a, map[string]string{"id": "string", "name": "string", "claims": "string", "likely": "string", "likely_lat": "float64",
		"likely_lon": "float64", "off_by_km": "float64", "false_alarm_rate": "float64", "evidence": "[]interface {}"})
	if a["id"] != "n04" || a["claims"] != "KE" || a["likely"] != "DE" {
		t.Errorf("%v claims %v, likely %v", a["id"], a["claims"], a["likely"])
	}
	evidence := a["evidence"].([]any)
	if len(evidence) == 0 {
		t.Fatal("no evidence")
	}
	e := evidence[0].(map[string]any)
	kinds(t, "evidence", e, map[string]string{"peer": "string", "rtt_ms": "float64", "light_ms": "float64", "distance_km": "float64"})
	if e["rtt_ms"].(float64) >= e["light_ms"].(float64) {
		t.Errorf("evidence %v contradicts nothing", e)
	}
	// Lists without members are lists.
	clean := ok(t, "calib", "audit", "--data", measuredSet(t), "--claim-unc", "1000", "--f", "0", "--json")
	if !strings.Contains(clean, `"convicted":[]`) {
		t.Errorf("nobody convicted is not an empty list: %s", clean)
	}
}

func kinds(t *testing.T, what string, object map[string]any, want map[string]string) {
	t.Helper()
	for field, kind := range want {
		if v, there := object[field]; !there || fmt.Sprintf("%T", v) != kind {
			t.Errorf("%s: field %s is %T, want %s", what, field, v, kind)
		}
	}
}

// Every mistake costs one line, the right status, and nothing on standard output.
func TestMistakesWithCalib(t *testing.T) {
	dir := measuredSet(t)
	broken := t.TempDir()
	for name, text := range map[string]string{"nodes.csv": "id,name,country_iso2,lat,lon,source\na,A,DE,50,8,x\n", "rtt.csv": "src_id,dst_id,min_ms,median_ms,samples\na,b,1,2,3\n",
		"series.csv": "unix_ts,src_id,dst_id,min_ms\n1,a,b,yes\n", "key.json": "{}", "text": "no model"} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(broken, name) }
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"audti"}, exitUsage, "did you mean"},
		{[]string{"audit"}, exitUsage, "--data DIR"},
		{[]string{"audit", "--data", at("none")}, exitUsage, "no folder"},
		{[]string{"audit", "--data", broken}, exitFailed, "rtt.csv:2"},
		{[]string{"audit", "--data", dir, "--f", "-2"}, exitUsage, "0..20"},
		{[]string{"audit", "--data", dir, "--f", "many"}, exitUsage, "--f"},
		{[]string{"audit", "--data", dir, "--speed", "warp"}, exitUsage, "vacuum or fibre"},
		{[]string{"audit", "--data", dir, "--claim-unc", "0"}, exitUsage, "above 0"},
		{[]string{"audit", "--data", dir, "--claim-unc", "NaN"}, exitUsage, "above 0"},
		{[]string{"audit", "--data", dir, "--plot", at("a.pdf")}, exitUsage, ".svg or .png"},
		{[]string{"audit", "--data", dir, "--since", at("none")}, exitUsage, "--since"},
		{[]string{"audit", dir}, exitUsage, "calib audit"},
		{[]string{"fit"}, exitUsage, "--data DIR"},
		{[]string{"fit", "--data", dir, "--valid", "-1h"}, exitUsage, "above 0"},
		{[]string{"fit", "--data", dir, "--out", at("m")}, exitUsage, "belong together"},
		{[]string{"fit", "--data", dir, "--out", at("m"), "--key", at("none")}, exitFailed, "--key"},
		{[]string{"fit", "--data", dir, "--score", at("none")}, exitUsage, "--score"},
		{[]string{"watch"}, exitUsage, "--series FILE"},
		{[]string{"watch", "--series", at("series.csv")}, exitFailed, "series.csv:2"},
		{[]string{"watch", "--series", at("none")}, exitUsage, "no such file"},
		{[]string{"report"}, exitUsage, "--data DIR"},
		{[]string{"report", "--data", dir, "--format", "gif"}, exitUsage, "svg or png"},
		{[]string{"report", "--data", dir, "--model", at("text")}, exitUsage, "belong together"},
		{[]string{"report", "--data", dir, "--model", at("text"), "--signer", at("key.json")}, exitFailed, "names no key"},
		{[]string{"report", "--data", dir, "--beacon", "n01"}, exitUsage, "--out"},
		{[]string{"report", "--data", dir, "--beacon", "nobody", "--out", at("r")}, exitUsage, "no node"},
		{[]string{"quarantine", dir}, exitUsage, "either"},
		{[]string{"quarantine", broken, "--data", dir}, exitFailed, "directory init"},
		{[]string{"bench", "--beacons", "3"}, exitUsage, "20..4096"},
		{[]string{"bench", "--beacons", "30", "--liars", "31"}, exitUsage, "0..30"},
		{[]string{"bench", "--cores", "0"}, exitUsage, "1 to 62"},
		{[]string{"run"}, exitUsage, "--dir DIR"},
		{[]string{"run", "--dir", at("c"), "--beacons", "1"}, exitUsage, "2..64"},
		{[]string{"run", "--dir", at("c"), "--exchange", "1ms"}, exitUsage, "100ms"},
		{[]string{"run", "--dir", at("c"), "--per-minute", "0"}, exitUsage, "1 or more"},
		{[]string{"run", "--dir", at("c"), "--period", "1s"}, exitUsage, "--period"},
		{[]string{"run", "--dir", at("c"), "--liar", "Ashburn"}, exitUsage, "CITY=CLAIM"},
		{[]string{"run", "--dir", at("c"), "--gate-key", at("key.json")}, exitUsage, "--receiver"},
		{[]string{"run", "--dir", at("c"), "--receiver", "http://127.0.0.1:1"}, exitUsage, "--directory"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			status, out, errOut := cli(append([]string{"calib"}, c.args...)...)
			if status != c.status || out != "" || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, c.says) {
				t.Errorf("exit %d, want %d; standard output %q; standard error %q, want one line with %q", status, c.status, out, errOut, c.says)
			}
		})
	}
}

// A model is fitted, scored on another set, signed, and read back by the report only for its signer and while it lives.
func TestCalibFitAndReport(t *testing.T) {
	dir, out := measuredSet(t), t.TempDir()
	pass, file := filepath.Join(out, "pass"), filepath.Join(out, "model.ursa")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "directory", "init", filepath.Join(out, "dir"), "--name", "test", "--passphrase-file", pass)
	ok(t, "directory", "init", filepath.Join(out, "other"), "--name", "test", "--passphrase-file", pass)
	key, trust := filepath.Join(out, "dir", "directory-1.key"), filepath.Join(out, "dir", trustName)
	var fitted struct {
		Dropped []string `json:"dropped"`
		Within  float64  `json:"held_out_within_95"`
		Inputs  string   `json:"inputs_sha256"`
		Scores  []struct {
			Data    string  `json:"data"`
			Adapted float64 `json:"within_95_adapted"`
		} `json:"scores"`
	}
	text := ok(t, "calib", "fit", "--data", dir, "--score", dir, "--out", file, "--key", key, "--passphrase-file", pass, "--json")
	if err := json.Unmarshal([]byte(text), &fitted); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fitted.Dropped, []string{"n04"}) || len(fitted.Inputs) != 64 || len(fitted.Scores) != 1 || fitted.Scores[0].Adapted < 0.8 {
		t.Errorf("%+v", fitted)
	}
	pictures := filepath.Join(out, "report")
	object := ok(t, "calib", "report", "--data", dir, "--model", file, "--signer", trust, "--out", pictures, "--beacon", "n04", "--json")
	var r struct {
		Fleet struct {
			Inputs string `json:"inputs_sha256"`
		} `json:"fleet"`
		Beacons []struct {
			Status string `json:"status"`
		} `json:"beacons"`
	}
	if err := json.Unmarshal([]byte(object), &r); err != nil {
		t.Fatal(err)
	}
	if r.Fleet.Inputs != fitted.Inputs || len(r.Beacons) != 20 || r.Beacons[4].Status != "convicted" {
		t.Errorf("inputs %s, %d beacons", r.Fleet.Inputs, len(r.Beacons))
	}
	for _, name := range []string{"report.json", "scatter.svg", "map.svg", "beacon.svg"} {
		if info, err := os.Stat(filepath.Join(pictures, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	table, err := os.Open(filepath.Join(pictures, "nodes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if rows, err := csv.NewReader(table).ReadAll(); err != nil || len(rows) != 21 {
		t.Errorf("nodes.csv: %d rows, %v", len(rows), err)
	}
	if status, _, errOut := cli("calib", "report", "--data", dir, "--model", file, "--signer", filepath.Join(out, "other", trustName)); status != exitFailed || !strings.Contains(errOut, "refused") {
		t.Errorf("another's signature: exit %d, %s", status, errOut)
	}
	ok(t, "calib", "fit", "--data", dir, "--valid", "1ns", "--out", file, "--key", key, "--passphrase-file", pass)
	if status, _, errOut := cli("calib", "report", "--data", dir, "--model", file, "--signer", trust); status != exitFailed || !strings.Contains(errOut, "expired") {
		t.Errorf("an expired model: exit %d, %s", status, errOut)
	}
}

// The convicted enter the draft, the signed directory quarantines them, an audit that finds nothing lifts nothing, a person does.
func TestCalibQuarantine(t *testing.T) {
	s := newSite(t, 2)
	liar, err := readPublic(s.path("b1", beaconPublicName), "beacon")
	if err != nil {
		t.Fatal(err)
	}
	quarantined := func() map[string]string {
		ok(t, s.withPass("directory", "sign", s.path("dir"))...)
		l, err := directoryListingAt(s.path("dir", directoryName))
		if err != nil {
			t.Fatal(err)
		}
		return l.Quarantine
	}
	set := measuredSetWith(t, liar.ID.String())
	if out := ok(t, "calib", "quarantine", s.path("dir"), "--data", set); !strings.Contains(out, "1 changes") {
		t.Error(out)
	}
	if in := quarantined(); len(in) != 1 || !strings.HasPrefix(in[liar.ID.String()], "audit: contradicted by") {
		t.Errorf("quarantined: %v", in)
	}
	for _, again := range []string{set, measuredSet(t)} { // convicted once more, and not found any more
		if out := ok(t, "calib", "quarantine", s.path("dir"), "--data", again); !strings.Contains(out, "0 changes") {
			t.Error(out)
		}
	}
	if in := quarantined(); len(in) != 1 {
		t.Errorf("quarantined: %v", in)
	}
	if status, _, errOut := cli("calib", "quarantine", s.path("dir"), "--lift", "00000000"); status != exitUsage || !strings.Contains(errOut, "0 quarantined") {
		t.Errorf("lifting a stranger: exit %d, %s", status, errOut)
	}
	ok(t, "calib", "quarantine", s.path("dir"), "--lift", liar.ID.Short())
	if in := quarantined(); len(in) != 0 {
		t.Errorf("quarantined: %v", in)
	}
}

func TestCalibBench(t *testing.T) {
	var b calibBench
	if err := json.Unmarshal([]byte(ok(t, "calib", "bench", "--beacons", "60", "--liars", "2", "--cores", "2", "--serving", "1s", "--json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.Tasks != 60*59 || b.Pairs != 60*59 || b.Wronged != 0 || b.Convicted == 0 || b.PeakMB <= 0 {
		t.Errorf("%+v", b)
	}
	if len(b.Serving) != 3 || b.Serving[0].Served == 0 || b.Serving[0].LeastRTTNS <= 0 || b.Serving[0].Measured != 0 {
		t.Errorf("%+v", b.Serving)
	}
}
