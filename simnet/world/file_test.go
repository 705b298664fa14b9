package world_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

var update = os.Getenv("URSA_UPDATE") != ""

func TestSchemaIsThePublishedOne(t *testing.T) {
	want, err := json.MarshalIndent(world.SchemaForTest(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if update {
		if err := os.WriteFile("world.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !update && !bytes.Equal(want, world.Schema) {
		t.Error("world.schema.json does not say what the reader reads: run URSA_UPDATE=1 go test -run Schema ./simnet/world")
	}
}

func full(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A file that uses every field goes through Marshal and back, and through JSON.
func TestRoundtrip(t *testing.T) {
	f, err := world.Parse("full.yaml", full(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := world.Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(world.Bare(f), world.Bare(again)) {
		t.Errorf("%+v became %+v", f, again)
	}
	unused := world.Unused(f)
	if len(unused) != 1 || unused[0] != "File.measured" { // its places would be the set's
		t.Errorf("testdata/full.yaml does not use %s", strings.Join(unused, ", "))
	}
	if _, err := f.World(); err != nil {
		t.Error(err)
	}
}

// Files are data, not programs: the same file is the same world.
func TestLoadIsRepeatable(t *testing.T) {
	a, errA := world.Load("testdata/full.yaml")
	b, errB := world.Load("testdata/full.yaml")
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	places := a.Places()
	for i, x := range places[:20] {
		for _, y := range places[:i] {
			for _, at := range []time.Duration{0, 3 * time.Hour, 30 * time.Hour} {
				p, _ := a.OneWayAt(x, y, at)
				q, _ := b.OneWayAt(x, y, at)
				if p != q {
					t.Fatalf("%s to %s: %v and %v", x.ID, y.ID, p, q)
				}
			}
		}
	}
	f, err := world.Open("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f.Seed = new(uint64(8))
	direct, errDirect := f.World()
	other, errOther := a.WithSeed(8)
	if err := errors.Join(errDirect, errOther); err != nil {
		t.Fatal(err)
	}
	p, _ := direct.OneWay(places[0], places[1])
	q, _ := other.OneWay(places[0], places[1])
	before, _ := a.OneWay(places[0], places[1])
	if p != q || p == before || !reflect.DeepEqual(direct.Places(), other.Places()) {
		t.Errorf("seed 8 of the file: %v and %v; seed 7: %v", p, q, before)
	}
	plain, err := builtin(t, 5, world.Public).WithSeed(6)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := plain.MinRTT(places[0], places[1])
	if y, _ := builtin(t, 6, world.Public).MinRTT(places[0], places[1]); x != y {
		t.Errorf("seed 6 of the built-in world: %v and %v", x, y)
	}
	if _, err := world.Load(filepath.Join("testdata", "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A measured world is named by its folder, beside the file; homes, media and weather are added to what was measured.
func TestMeasuredFile(t *testing.T) {
	dir := t.TempDir()
	set, err := dataset.New("three", []dataset.Node{
		{ID: "n1", Name: "Frankfurt", Country: "DE", At: earth.LatLon{Lat: 50.11, Lon: 8.68}},
		{ID: "n2", Name: "Paris", Country: "FR", At: earth.LatLon{Lat: 48.86, Lon: 2.35}},
		{ID: "n3", Name: "Singapore", Country: "SG", At: earth.LatLon{Lat: 1.35, Lon: 103.82}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(set.Add(0, 1, 9_000_001, false), set.Add(0, 2, 200e6, false), set.Save(filepath.Join(dir, "set"), true)); err != nil {
		t.Fatal(err)
	}
	text := "ursa_world: 1\nname: replay\nseed: 4\nmeasured: set\nplaces: {homes: [{city: n1, count: 1, access: wifi}]}\n" +
		"access: [{class: wifi, delay: 2ms}]\nmedia: [{name: sky, kind: satellite-laser, between: [n1, n3]}]\nchanges: [{between: [n1, n2], at: 1h, adds: 4ms}]\n"
	path := filepath.Join(dir, "world.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := world.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c, home := find(t, w, "n1"), find(t, w, "n2"), find(t, w, "n3"), find(t, w, "n1/wifi-1")
	for _, x := range []struct {
		what string
		rtt  earth.RTT
		want earth.RTT
	}{
		{"as measured", must(w.MinRTT(a, b)), 9_000_001},
		{"from the home", must(w.MinRTT(home, b)), 13_000_001},
		{"an hour later", must(w.MinRTTAt(a, b, time.Hour)), 13_000_001},
		{"not measured", must(w.MinRTT(b, c)), -1},
	} {
		if x.rtt != x.want {
			t.Errorf("%s: %v, want %v", x.what, x.rtt, x.want)
		}
	}
	if rtt := must(w.MinRTT(a, c)); rtt >= 200e6 || float64(rtt) < light(a, c) {
		t.Errorf("by satellite %v", rtt)
	}
	f, err := world.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Dir = t.TempDir()
	if _, err := f.World(); !errors.Is(err, dataset.ErrMissing) {
		t.Errorf("a set that is not there: %v", err)
	}
}
