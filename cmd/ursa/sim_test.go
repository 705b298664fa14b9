package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/simnet/experiment"
)

const simSmall = `name: small
about: A small experiment for tests
world: {builtin: public}
constellation: {rule: population, in: permit, count: 10}
cores: {count: 260}
policy: {permit: DE}
sweep: {access_delay: [0ms, 1ms]}
`

// sim runs a command and returns its status and what it printed.
func sim(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status := run(t.Context(), append([]string{"sim"}, args...), strings.NewReader(""), &out, &errOut)
	return status, out.String(), errOut.String()
}

func simWrite(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSimSweepInPieces: shards that are merged leave the bytes of one run, and so does a run that is killed and run again.
func TestSimSweepInPieces(t *testing.T) {
	path, dir := simWrite(t, simSmall), t.TempDir()
	whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
	if status, out, errOut := sim(t, "sweep", path, "--out", whole); status != exitDone || !strings.Contains(out, "report.html") {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	for _, shard := range [][]string{{"--shard", "2/2"}, {"--index", "0", "--shards", "2"}} {
		if status, out, errOut := sim(t, append([]string{"sweep", path, "--out", parts, "--workers", "1"}, shard...)...); status != exitDone {
			t.Fatalf("%v: status %d: %s%s", shard, status, out, errOut)
		}
	}
	if status, _, errOut := sim(t, "report", parts); status != exitDone {
		t.Fatalf("report: status %d: %s", status, errOut)
	}
	journal := filepath.Join(whole, experiment.JournalName(0, 1))
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again")
	if err := os.MkdirAll(again, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(again, filepath.Base(journal)), text[:len(text)*2/3], 0o644); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := sim(t, "sweep", path, "--out", again); status != exitDone {
		t.Fatalf("again: status %d: %s", status, errOut)
	}
	for _, name := range []string{"points.csv", "points.parquet", "summary.csv", "summary.parquet", "report.html", "proven.svg", "proven.png"} {
		want, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{parts, again} {
			if got, err := os.ReadFile(filepath.Join(other, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: another %s (%v)", filepath.Base(other), name, err)
			}
		}
	}
}

// TestSimRunOneTrial: a point, and one core of it, as JSON.
func TestSimRunOneTrial(t *testing.T) {
	path := simWrite(t, simSmall)
	status, out, errOut := sim(t, "run", path, "--point", "1", "--set", "cores.count=20", "--json")
	var point struct {
		Experiment, Hash, Build string
		Point                   int
		Seed                    uint64
		Series                  []struct{ Tally struct{ Cores int } }
	}
	if err := json.Unmarshal([]byte(out), &point); err != nil || status != exitDone || point.Seed != 1 || point.Build == "" || len(point.Series) != 1 || point.Series[0].Tally.Cores != 20 {
		t.Errorf("status %d, %v: %s%s", status, err, out, errOut)
	}
	status, first, _ := sim(t, "run", path, "--point", "1", "--core", "17", "--json")
	_, second, _ := sim(t, "run", path, "--point", "1", "--core", "17", "--json")
	var trial map[string]any
	if err := json.Unmarshal([]byte(first), &trial); err != nil || status != exitDone || first != second || trial["core"] != 17.0 || trial["verdict"] == "" {
		t.Errorf("status %d, %v: %s then %s", status, err, first, second)
	}
}

// TestSimExpectation: an experiment that expects something else than what comes out fails, with the seed and the way to see it again.
func TestSimExpectation(t *testing.T) {
	liar := strings.Replace(simSmall, "sweep:", "adversary: {name: stolen-key, strength: 1}\nexpect: sound\nsweep:", 1)
	liar = strings.Replace(liar, "cores: {count: 260}", "cores: {count: 40, who: cheats}\nseeds: [5]", 1)
	path := simWrite(t, liar)
	status, _, errOut := sim(t, "sweep", path, "--out", t.TempDir())
	errOut = errOut[strings.LastIndexByte(strings.TrimSuffix(errOut, "\n"), '\n')+1:] // after what a slow machine says of its progress
	if status != exitFailed || !strings.Contains(errOut, "seed 5") || !strings.Contains(errOut, "ursa sim run FILE --point ") {
		t.Fatalf("status %d: %s", status, errOut)
	}
	words := strings.Fields(errOut[strings.Index(errOut, "--point"):])
	if status, out, _ := sim(t, "run", path, "--point", words[1], "--core", strings.Trim(words[3], "'\n"), "--json"); status != exitDone || !strings.Contains(out, `"false_accept":true`) {
		t.Errorf("seen again: status %d: %s", status, out)
	}
}

// TestSimWrongUse: what is wrong is said in one line, with the place where there is one.
func TestSimWrongUse(t *testing.T) {
	path := simWrite(t, simSmall)
	empty := t.TempDir()
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"run"}, "use 'ursa sim run"},
		{[]string{"walk"}, "no command"},
		{[]string{"run", "absent.yaml"}, "name an experiment file"},
		{[]string{"run", simWrite(t, "name: small\ncolour: red\n")}, "small.yaml:2:1"},
		{[]string{"run", path, "--point", "2"}, "points 0 to 1"},
		{[]string{"run", path, "--core", "260"}, "cores 0 to 259"},
		{[]string{"run", path, "--set", "policy.f=9"}, "0 to 8"},
		{[]string{"sweep", path, "--shard", "3/2"}, "I/N"},
		{[]string{"sweep", path, "--shard", "1/2", "--index", "0"}, "one of them"},
		{[]string{"sweep", path, "--index", "2", "--shards", "2"}, "from 0"},
		{[]string{"sweep", path, "--workers", "-1"}, "--workers"},
		{[]string{"report", empty}, "no *.journal"},
		{[]string{"report", filepath.Join(empty, "absent")}, "absent"},
		{[]string{"job", path, "--for", "cron"}, "k8s or slurm"},
		{[]string{"job", path, "--shards", "0"}, "1 to 1000"},
	} {
		status, _, errOut := sim(t, tt.args...)
		if status != exitUsage || !strings.Contains(errOut, tt.says) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%v: status %d: %s", tt.args, status, errOut)
		}
	}
}

// TestSimJob: what is printed is ready to apply.
func TestSimJob(t *testing.T) {
	path := simWrite(t, simSmall)
	if status, out, _ := sim(t, "job", path, "--shards", "3", "--for", "slurm"); status != exitDone || !strings.Contains(out, "--array=0-2") {
		t.Errorf("status %d: %s", status, out)
	}
	if status, out, _ := sim(t, "job", path, "--shards", "3"); status != exitDone || !strings.Contains(out, "completions: 3") {
		t.Errorf("status %d: %s", status, out)
	}
}

// TestSimProgressLine: the rate counts what this run did, and what is left follows from it.
func TestSimProgressLine(t *testing.T) {
	if got, want := simProgressLine("x", experiment.Progress{Done: 600, Resumed: 400, Total: 1000}, 10*time.Second), "x: 600 of 1000 trials, 20 a second, 20s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := simProgressLine("x", experiment.Progress{Done: 400, Resumed: 400, Total: 1000}, time.Second); got != "x: 400 of 1000 trials" {
		t.Errorf("%q", got)
	}
}
