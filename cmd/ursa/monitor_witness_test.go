package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// cosigner is a witness that signs whatever it is handed.
type cosigner struct {
	vkey   string
	signer note.Signer
}

func newCosigner(t *testing.T, name string) cosigner {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	return cosigner{vkey, s}
}

// cosign adds the lines of witnesses to the checkpoint that lies in a ledger's folder, over the text that it is given, or over its own.
func cosign(t *testing.T, ledgerDir, text string, by ...cosigner) {
	t.Helper()
	path := filepath.Join(ledgerDir, "checkpoint")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := string(raw[:bytes.Index(raw, []byte("\n\n"))+1])
	if text == "" {
		text = own
	}
	for _, c := range by {
		signed, err := note.Sign(&note.Note{Text: text}, c.signer)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, signed[len(text)+1:]...)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// plantsByWitnesses: a checkpoint that too few cosigned, one with a false cosignature, and two that were cosigned and cannot both be true.
func plantsByWitnesses(t *testing.T, found *foundKinds) {
	w := newWatched(t)
	w.decide(w.Core, 10, false)
	w.publish()
	if err := w.log.Close(); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(w.dir, gateLedgerDir)
	bare, err := os.ReadFile(filepath.Join(own, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := newCosigner(t, "a.test"), newCosigner(t, "b.test"), newCosigner(t, "c.test")
	file := filepath.Join(w.dir, "witnesses")
	policy := fmt.Sprintf("witness a %s\nwitness b %s\nwitness c %s https://c.test\ngroup g 2 a b c\nquorum g\n", a.vkey, b.vkey, c.vkey)
	if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	none := map[monitor.Kind]bool{}
	w.expect(found, none, monitor.Uncosigned, "--witness", file)
	cosign(t, own, "", a)
	w.expect(found, none, monitor.Uncosigned, "--witness", file)
	cosign(t, own, "", c)
	if got := w.verify("--witness", file, "--complete"); len(got) != 0 {
		t.Errorf("two of three cosigned, found %v", got)
	}
	if got := w.verify("--witness", a.vkey, "--witness", c.vkey); len(got) != 0 {
		t.Errorf("both cosigned, found %v", got)
	}
	w.expect(found, none, monitor.Uncosigned, "--witness", a.vkey, "--witness", b.vkey)
	good, err := os.ReadFile(filepath.Join(own, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	cosign(t, own, "monitor.test/gate\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", b)
	w.expect(found, none, monitor.BadCosignature, "--witness", file)
	if err := os.WriteFile(filepath.Join(own, "checkpoint"), good, 0o644); err != nil {
		t.Fatal(err)
	}
	w.expectSplit(found, file, bare, a, b)
}

// expectSplit shows another ledger of the same key to somebody else, without and with the witnesses' help.
func (w *watched) expectSplit(found *foundKinds, file string, bare []byte, by ...cosigner) {
	t, none := w.t, map[monitor.Kind]bool{}
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shown")
	log, _ := w.other(dir, 7)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := log.Await(ctx, 6); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	w.expect(found, none, monitor.Forked, "--view", dir)
	if got := w.expect(found, none, monitor.Uncosigned, "--view", dir, "--witness", file); got[monitor.SplitView] || got[monitor.Forked] {
		t.Errorf("a view that nobody cosigned: %v", got)
	}
	cosign(t, dir, "", by...)
	w.expect(found, none, monitor.SplitView, "--view", dir, "--witness", file)
	if got := w.verify("--view", filepath.Join(w.dir, gateLedgerDir), "--witness", file); len(got) != 0 {
		t.Errorf("the same ledger as a view of itself: %v", got)
	}
	// The same by a checkpoint that somebody kept: the other way round, as the longer ledger is the one that is read.
	shown := filepath.Join(w.dir, gateLedgerDir, "checkpoint")
	status, out, errOut := cli("monitor", "verify", "--ledger", dir, "--ledger-key", filepath.Join(w.dir, gateLedgerPublic), "--witness", file, "--seen", shown)
	if status != exitDenied || !strings.Contains(out, "FOUND      split-view") {
		t.Errorf("exit %d: %s%s", status, out, errOut)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, bare, 0o644); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := cli("monitor", "verify", "--ledger", dir, "--ledger-key", filepath.Join(w.dir, gateLedgerPublic), "--witness", file, "--seen", kept); status != exitDenied || !strings.Contains(out, "FOUND      forked") {
		t.Errorf("exit %d: %s", status, out)
	}
}

// TestWitnessFlags: what is no witness is refused, and the log cannot be its own.
func TestWitnessFlags(t *testing.T) {
	t.Parallel()
	k, err := ledger.NewKey("monitor.test/flags")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, text := filepath.Join(dir, "ledger.json"), filepath.Join(dir, "text")
	if err := writeJSON(key, k.Verifier(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("nobody\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		witness string
		status  int
		says    string
	}{
		{text, exitFailed, "quorum NAME"},
		{filepath.Join(dir, "none"), exitFailed, "no such file"},
		{"a+b+c", exitUsage, "NAME+HASH+KEY"},
		{k.Verifier().MLDSA, exitFailed, "is the log itself"},
	} {
		if status, _, errOut := cli("monitor", "verify", "--ledger", dir, "--ledger-key", key, "--witness", tt.witness); status != tt.status || !strings.Contains(errOut, tt.says) {
			t.Errorf("%.40s: exit %d: %s", tt.witness, status, errOut)
		}
	}
}
