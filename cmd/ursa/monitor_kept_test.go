package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// report runs the command, and returns what it says on both outputs.
func (w *watched) report(args ...string) (monitor.Report, string) {
	w.t.Helper()
	w.publish()
	_, out, errOut := cli(append([]string{"monitor", "verify", "--gate", w.dir, "--json", "--grace", "1ns"}, args...)...)
	var r monitor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatal(err, errOut)
	}
	return r, errOut
}

// sameAsWhole compares a monitor that goes on from a file with one that reads everything.
func (w *watched) sameAsWhole(kept, what string) (note string) {
	w.t.Helper()
	whole, _ := w.report("--complete")
	r, note := w.report("--complete", "--kept", kept)
	want, err := json.Marshal(whole)
	if err != nil {
		w.t.Fatal(err)
	}
	if got, err := json.Marshal(r); err != nil || string(got) != string(want) {
		w.t.Errorf("%s: %s, want %s", what, got, want)
	}
	return note
}

// TestMonitorKilled: processes that watch are killed by the system, each at another moment of its life; none leaves anything that
// the next one does not go on from.
func TestMonitorKilled(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	kept := filepath.Join(t.TempDir(), "kept")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for life := range 5 {
		for range 3 {
			w.decide(w.Core, 10, false)
		}
		w.publish()
		more := int64(0) // bytes that it has kept when it is killed, at the least
		if info, err := os.Stat(kept); err == nil {
			more = info.Size()
		}
		cmd, _ := process(t, "monitor", "watch", "--gate", w.dir, "--kept", kept, "--every", "100ms")
		if life%2 == 0 {
			eventually(t, "it keeps something", func() bool { info, err := os.Stat(kept); return err == nil && info.Size() > more })
			if status, _, errOut := cli("monitor", "verify", "--gate", w.dir, "--kept", kept); status != exitFailed || !strings.Contains(errOut, "another process") {
				t.Errorf("two monitors on one file: exit %d: %s", status, errOut)
			}
		}
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond) // whatever it is doing by then
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if life == 3 {
			w.plant(ledger.Leaf{Kind: ledger.KindDirectory, Epoch: 2, Object: [32]byte{2}, AtUnixMS: 1000})
		}
	}
	if w.sameAsWhole(kept, fmt.Sprintf("killed five times, with seed %d", seed)); t.Failed() {
		return
	}
	if r, _ := w.report("--kept", kept); r.Opened != 15 || len(r.Findings) != 1 {
		t.Errorf("%d opened, %v", r.Opened, r.Findings)
	}
}

// TestMonitorKeeps: a monitor goes on from what it verified, says what one says that reads everything, and a file that was cut,
// flipped, or is of something else costs nothing but time, or is left alone.
func TestMonitorKeeps(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	kept := filepath.Join(w.t.TempDir(), "kept")
	run := w.report
	same := func(what string) (note string) { t.Helper(); return w.sameAsWhole(kept, what) }
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
