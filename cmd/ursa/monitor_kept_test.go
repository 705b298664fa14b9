package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// TestMonitorKeeps: a monitor goes on from what it verified, says what one says that reads everything, and a file that was cut,
// flipped, or is of something else costs nothing but time, or is left alone.
func TestMonitorKeeps(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	kept := filepath.Join(w.t.TempDir(), "kept")
	run := func(args ...string) (monitor.Report, string) {
		t.Helper()
		w.publish()
		_, out, errOut := cli(append([]string{"monitor", "verify", "--gate", w.dir, "--json", "--grace", "1ns"}, args...)...)
		var r monitor.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err, errOut)
		}
		return r, errOut
	}
	same := func(what string) (note string) {
		t.Helper()
		whole, _ := run("--complete")
		r, note := run("--complete", "--kept", kept)
		want, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(r); err != nil || string(got) != string(want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		return note
	}
	w.decide(w.Core, 100, false)
	w.decide(w.Core, 100, false)
	same("the first time")
	first := w.file
	w.decide(w.Core, 50, false)
	w.plant(ledger.Leaf{Kind: ledger.KindDirectory, Epoch: 2, Object: [32]byte{2}, AtUnixMS: 1000})
	same("with more")
	// Evidence that was opened is not opened again: what was verified is known, though its file is broken now.
	good, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, _ := run("--kept", kept); r.Opened != 3 || len(r.Findings) != 1 || r.Findings[0].Kind != monitor.TimeBack {
		t.Errorf("%d opened, %v", r.Opened, r.Findings)
	}
	if err := os.WriteFile(first, good, 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{1, 20, 300, len(whole) / 2, len(whole) - 1} {
		b := append([]byte(nil), whole...)
		b[at] ^= 4
		for what, b := range map[string][]byte{"flipped": b, "cut": whole[:at]} {
			if err := os.WriteFile(kept, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if note := same(what); !strings.Contains(note, "torn or changed") {
				t.Errorf("%s at %d: %q", what, at, note)
			}
			if note := same("afterwards"); strings.Contains(note, "torn") {
				t.Error(note)
			}
		}
	}
	if _, note := run("--kept", kept, "--evidence", t.TempDir()); !strings.Contains(note, "none of the folders") {
		t.Error(note)
	}
	// A file of something else is left alone.
	key := filepath.Join(w.dir, gateLedgerPublic)
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := cli("monitor", "verify", "--gate", w.dir, "--kept", key); status != exitFailed || !strings.Contains(errOut, "something else") {
		t.Errorf("exit %d: %s", status, errOut)
	}
	if after, err := os.ReadFile(key); err != nil || string(after) != string(before) {
		t.Error("it was written to:", err)
	}
	// A ledger that is not the one that was kept is a finding, and stays one.
	same("once more")
	w.rewrite(9)
	for range 2 {
		if got := w.verify("--kept", kept); !got[monitor.Forked] {
			t.Errorf("another ledger than was kept: %v", got)
		}
	}
}
