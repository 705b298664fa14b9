package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/trial"
)

// TestSimAdversaries: the table, its counts and the library are the same twice, and colluders above f get in.
func TestSimAdversaries(t *testing.T) {
	status, out, errOut := sim(t, "adversaries", "--only", "colluders", "--cores", "4", "--json")
	if status != exitDone {
		t.Fatalf("status %d: %s", status, errOut)
	}
	var table struct {
		Rows []struct {
			Adversary    adversary.Adversary
			Holds        bool  `json:"assumptions_hold"`
			Cheats       int64 `json:"cheats"`
			FalseAccepts int64 `json:"false_accepts"`
		}
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := 2 * len(trial.Defences()); len(table.Rows) != want {
		t.Fatalf("%d rows, want %d", len(table.Rows), want)
	}
	let := int64(0)
	for _, r := range table.Rows {
		if r.Holds && r.FalseAccepts > 0 || r.Cheats != 4 || r.Holds != (r.Adversary.Strength == 0) {
			t.Errorf("%+v", r)
		}
		let += r.FalseAccepts
	}
	if let == 0 {
		t.Error("colluders above f let nobody in: the table shows nothing")
	}
	status, out, errOut = sim(t, "adversaries", "--only", "drop", "--cores", "2", "--permit", "DE")
	if status != exitDone || !strings.Contains(out, "Permit DE, seed 1") || !strings.Contains(out, "| `drop(0.5)` | verdict | 0 /") {
		t.Errorf("status %d: %s%s", status, out, errOut)
	}
	if _, again, _ := sim(t, "adversaries", "--only", "drop", "--cores", "2", "--permit", "DE"); again != out {
		t.Error("the same command printed something else")
	}
	if status, out, _ = sim(t, "adversaries", "--list"); status != exitDone || strings.Count(out, "  owns ") != len(adversary.Library()) {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestSimAdversariesRefuses(t *testing.T) {
	for _, args := range [][]string{{"--only", "nobody"}, {"--cores", "0"}, {"--permit", "XX"}, {"--csv", "--json"}, {"now"}} {
		if status, out, errOut := sim(t, append([]string{"adversaries"}, args...)...); status != exitUsage || out != "" || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%v: status %d: %s%s", args, status, out, errOut)
		}
	}
}
