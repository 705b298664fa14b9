package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// ursa runs a command line in this process.
func ursa(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

// TestMistakesOfAUser holds every mistake to one helpful line on standard error, the right status, and silence elsewhere.
func TestMistakesOfAUser(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nodes.csv", "id,name,country_iso2,lat,lon,source\na,Aachen,DE,50.77,6.08,x\nb,Bonn,DE,50.73,7.10,x\n")
	write("rtt.csv", "src_id,dst_id,min_ms,median_ms,samples\na,b,fast,2,3\n")
	write("flat.ursa", "no proof")
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"up", "--once", "--core", "Atlantis"}, exitUsage, "did you mean"},
		{[]string{"up", "--once", "--core", ""}, exitUsage, "unknown place"},
		{[]string{"up", "--once", "--permit", "EU72"}, exitUsage, "EU27"},
		{[]string{"up", "--once", "--permit", "EU27 & ("}, exitUsage, "character"},
		{[]string{"up", "--once", "--speed", "warp"}, exitUsage, "vacuum or fibre"},
		{[]string{"up", "--once", "--beacons", "0"}, exitUsage, "1 to 20"},
		{[]string{"up", "--once", "--beacons", "many"}, exitUsage, "--beacons"},
		{[]string{"up", "--once", "--f", "6"}, exitUsage, "0 to 5"},
		{[]string{"up", "--once", "--f", "-1"}, exitUsage, "0 to 5"},
		{[]string{"up", "--once", "--leases", "-1"}, exitUsage, "positive"},
		{[]string{"up", "--once", "--attack", "bribery"}, exitUsage, "lying-beacon"},
		{[]string{"up", "--once", "--attack", "relay", "--permit", "WORLD"}, exitUsage, "outside"},
		{[]string{"up", "--virtual"}, exitUsage, "without --once"},
		{[]string{"up", "--once", "--virtual", "--attest", "tpm"}, exitUsage, "use sim"},
		{[]string{"up", "--onec"}, exitUsage, "--help"},
		{[]string{"up", "sleep", "1"}, exitUsage, "behind --"},
		{[]string{"up", "--", filepath.Join(dir, "none")}, exitUsage, "cannot be run"},
		{[]string{"up", "--once", "--data", filepath.Join(dir, "nowhere")}, exitFailed, "nodes.csv"},
		{[]string{"up", "--once", "--data", dir}, exitFailed, "rtt.csv:2"},
		{[]string{"verify"}, exitUsage, "ursa verify PROOF"},
		{[]string{"verify", filepath.Join(dir, "none")}, exitFailed, "no such file"},
		{[]string{"verify", dir}, exitFailed, "folder"},
		{[]string{"verify", filepath.Join(dir, "flat.ursa")}, exitFailed, "format"},
		{[]string{"verify", "x", "--trust", "abc"}, exitUsage, "64"},
		{[]string{"down"}, exitUsage, "no command"},
		{[]string{"atlas", "lookpu"}, exitUsage, "lookup"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			status, out, errOut := ursa(t, c.args...)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 || len(errOut) > 600 {
				t.Errorf("standard error: %q; want one line with %q", errOut, c.says)
			}
			if out != "" {
				t.Errorf("standard output: %q", out)
			}
		})
	}
}

// virtual runs a test in a bubble of virtual time beside others: round trips are what the world says however busy the machine is, so
// that a verdict can be asserted.
func virtual(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, run)
}

// TestUpOnceJSON holds the object to the contract: nothing else on standard output, every field there. The last case runs in real
// time, where only what no load can change is asserted.
func TestUpOnceJSON(t *testing.T) {
	for _, c := range []struct {
		args              []string
		status            int
		decision, verdict string
	}{
		{nil, exitDone, "unlocked", "Inside"},
		{[]string{"--virtual", "--core", "Munich"}, exitDone, "unlocked", "Inside"},
		{[]string{"--permit", "JP"}, exitDenied, "denied", "Outside"},
		{[]string{"--attack", "relay"}, exitDenied, "denied", "Undetermined"},
		{[]string{"--core", "Munich", "--permit", "DE", "--f", "1", "--speed", "fibre"}, -1, "", ""},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			if c.status < 0 {
				t.Parallel()
				upOnce(t, c.args, c.status, c.decision, c.verdict)
				return
			}
			virtual(t, func(t *testing.T) { upOnce(t, c.args, c.status, c.decision, c.verdict) })
		})
	}
}

func upOnce(t *testing.T, args []string, want int, decision, verdict string) {
	status, out, errOut := ursa(t, append([]string{"up", "--once", "--json"}, args...)...)
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("not one object: %v\n%s%s", err, out, errOut)
	}
	for _, key := range []string{"decision", "verdict", "reason", "core", "permit", "speed", "f", "region_km2", "touches", "granted_units",
		"attack", "refused_by", "elapsed_ms", "beacons"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no %q", key)
		}
	}
	if n := len(got["beacons"].([]any)); n != 12 && want >= 0 {
		t.Errorf("%d beacons of 12: %s", n, out)
	}
	if want >= 0 && (status != want || got["decision"] != decision || got["verdict"] != verdict) {
		t.Errorf("status %d, %v, %v", status, got["decision"], got["verdict"])
	}
	if (got["decision"] == "unlocked") != (status == exitDone) || (got["verdict"] == "Inside") != (got["decision"] == "unlocked") {
		t.Errorf("status %d does not go with %v and %v", status, got["decision"], got["verdict"])
	}
}

// TestStoryIsPlainWithoutATerminal wants lines that a log can keep, and a proof that another process can verify and nobody can change.
func TestStoryIsPlainWithoutATerminal(t *testing.T) { virtual(t, plainStory) }

func plainStory(t *testing.T) {
	proof := filepath.Join(t.TempDir(), "proof.ursa")
	status, out, errOut := ursa(t, "up", "--once", "--save-proof", proof)
	if status != exitDone || errOut != "" {
		t.Fatalf("status %d, standard error %q", status, errOut)
	}
	for _, want := range []string{"Frankfurt, DE", "Inside:", "UNLOCKED", "decided", "region: at most"} {
		if !strings.Contains(out, want) {
			t.Errorf("the story lacks %q:\n%s", want, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Error("control characters without a terminal")
	}
	if status, out, errOut := ursa(t, "verify", proof); status != exitDone || !strings.Contains(out, "Inside") || !strings.Contains(out, "sim proves nothing about hardware") {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	whole, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += max(1, len(whole)/24) {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		if err := os.WriteFile(proof, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, errOut := ursa(t, "verify", proof); status != exitFailed || strings.Count(errOut, "\n") != 1 {
			t.Errorf("byte %d flipped: status %d, %s", at, status, errOut)
		}
	}
}

// TestEveryCommandHasHelp wants an example in the help of each command a person may type.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range nouns() {
		if c.Hidden {
			continue
		}
		for _, cmd := range append(c.Commands(), c) {
			if cmd.Short == "" || cmd.Example == "" {
				t.Errorf("%s has no short description or no example", cmd.CommandPath())
			}
		}
	}
}
