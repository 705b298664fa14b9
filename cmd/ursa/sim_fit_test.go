package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// `ursa sim fit` drops the liar, judges three laws, and writes a world that loads, the same each time.
func TestSimFit(t *testing.T) {
	data, dir := measuredSet(t), t.TempDir()
	file, drawing := filepath.Join(dir, "world.yaml"), filepath.Join(dir, "fit.svg")
	args := []string{"sim", "fit", "--data", data, "--out", file, "--chart", drawing, "--json"}
	first := ok(t, args...)
	var got struct {
		Dropped []string `json:"dropped"`
		Laws    []struct {
			Law    string           `json:"law"`
			Bins   []map[string]any `json:"bins"`
			MeanKS float64          `json:"mean_ks"`
		} `json:"laws"`
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Dropped) != 1 || got.Dropped[0] != "n04" || len(got.Laws) != 3 || len(got.Laws[2].Bins) == 0 {
		t.Errorf("%s", first)
	}
	if last := got.Laws[2]; last.MeanKS <= 0 || last.MeanKS > got.Laws[0].MeanKS {
		t.Errorf("the fit is at %.3f, the built-in law at %.3f", last.MeanKS, got.Laws[0].MeanKS)
	}
	w, err := world.Load(file)
	if err != nil || len(w.Places()) < 300 {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if chart, err := os.ReadFile(drawing); err != nil || !bytes.Contains(chart, []byte("<svg")) {
		t.Error("no drawing", err)
	}
	if again := ok(t, args...); again != first {
		t.Error("the same set and seed gave another report")
	}
	if second, err := os.ReadFile(file); err != nil || !bytes.Equal(second, text) {
		t.Error("the same set and seed gave another world", err)
	}
	if table := ok(t, "sim", "fit", "--data", data, "--places", "set", "--out", file); !strings.Contains(table, "chance") || !strings.Contains(table, "not in this set") {
		t.Error(table)
	}
	if w, err = world.Load(file); err != nil || len(w.Places()) != 19 {
		t.Error("the world of the set's places", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Rename(measuredSetWith(t, "n05x"), other); err != nil {
		t.Fatal(err)
	}
	if table := ok(t, "sim", "fit", "--data", data, "--score", other); !strings.Contains(table, "nothing, 171 pairs") {
		t.Error(table)
	}
}

func TestMistakesWithSimFit(t *testing.T) {
	data, empty := measuredSet(t), t.TempDir()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, exitUsage, "--data DIR"},
		{[]string{"--data", data, "--split", "moon"}, exitUsage, "pairs or nodes"},
		{[]string{"--data", data, "--places", "mars"}, exitUsage, "cities or set"},
		{[]string{"--data", data, "--chart", "fit.gif"}, exitUsage, ".svg or .png"},
		{[]string{"--data", empty}, exitFailed, "nodes.csv is missing"},
		{[]string{"--data", data, "--score", empty}, exitFailed, "--score"},
		{[]string{"--data", data, "--split", "nodes", "--seed", "2"}, exitFailed, "20 of each are the least"},
	} {
		status, _, errOut := cli(append([]string{"sim", "fit"}, c.args...)...)
		if status != c.status || !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%v: exit %d, %q; want %d and %q", c.args, status, errOut, c.status, c.says)
		}
	}
}
