package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refused runs a command that must fail with a status and say certain words, in one line.
func refused(t *testing.T, status int, words string, args ...string) {
	t.Helper()
	got, out, errOut := cli(args...)
	if got != status || !strings.Contains(errOut, words) || strings.Count(strings.TrimSpace(errOut), "\n") > 0 {
		t.Errorf("ursa %s: exit %d, want %d and %q: %s%s", strings.Join(args, " "), got, status, words, out, errOut)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// whileServed serves the gate of a site, does something, and stops it.
func (s testSite) whileServed(t *testing.T, do func()) {
	t.Helper()
	status := freePort(t)
	stop := serve(t, s.withPass("gate", "serve", "--dir", s.path("gate"), "--directory", s.path("dir", directoryName), "--listen", s.gate, "--metrics", status)...)
	eventually(t, "the gate serves", func() bool { return epochAt(t, status) > 0 })
	do()
	stop()
}

// serveFails runs a gate that must halt by itself.
func (s testSite) serveFails(t *testing.T, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status, _, errOut := cliIn(ctx, s.withPass("gate", "serve", "--dir", s.path("gate"), "--directory", s.path("dir", directoryName), "--listen", s.gate, "--metrics", "")...)
	if status != exitFailed || !strings.Contains(errOut, words) {
		t.Errorf("exit %d, want %d and %q: %s", status, exitFailed, words, errOut)
	}
}

// TestGateHaltsOnThePast: a store, a policy or a list of revocations of yesterday halts the gate, and says why. What is older is
// refused while it serves, too.
func TestGateHaltsOnThePast(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	gate := func(args ...string) []string { return s.withPass(append(args, "--dir", s.path("gate"))...) }
	files := func() map[string][]byte {
		out := map[string][]byte{}
		for _, name := range []string{gateStoreName, signedPolicyName, gateRevokedName} {
			out[name] = readFile(t, s.path("gate", name))
		}
		return out
	}
	writeFile(t, s.path("europe.yaml"), europe(t))
	if out := ok(t, gate("gate", "policy", "set", s.path("europe.yaml"))...); !strings.Contains(out, "version 3") {
		t.Error(out)
	}
	refused(t, exitFailed, "holds a gate already", s.withPass("gate", "init", s.path("gate"), "--trust", s.path("dir", trustName))...)
	ok(t, "gate", "enrol", "--dir", s.path("gate"), s.path("core", corePublicName), "--chip", "sim", "--tenant", "acme", "--budget", "1000")
	core := s.core(t)
	s.whileServed(t, func() {})
	yesterday := files()
	s.whileServed(t, func() {
		ok(t, gate("gate", "policy", "set", "--permit", "DE+FR", "--attest", "sim")...)
		if out := ok(t, gate("gate", "revoke", "--tenant", "acme", "--reason", "the bill")...); !strings.Contains(out, "the bill") || !strings.Contains(out, "OFF") {
			t.Error(out)
		}
		if out := ok(t, "gate", "wallet", "deposit", "--dir", s.path("gate"), core, "500", "--not-before", "2100-01-01T00:00:00Z", "--json"); !strings.Contains(out, `"later_units": 500`) || !strings.Contains(out, `"available_units": 1000`) {
			t.Error(out)
		}
		writeFile(t, s.path("old.ursa"), yesterday[gateRevokedName])
		refused(t, exitFailed, "epoch does not go up", "gate", "revoke", "--dir", s.path("gate"), "--install", s.path("old.ursa"))
		writeFile(t, s.path("old.ursa"), yesterday[signedPolicyName])
		refused(t, exitFailed, "version does not go up", "gate", "policy", "set", "--dir", s.path("gate"), s.path("old.ursa"))
	})
	today := files()
	for name, words := range map[string]string{gateStoreName: "older than the ledger", signedPolicyName: errOldPolicy.Error(), gateRevokedName: errOldList.Error()} {
		path := s.path("gate", name)
		writeFile(t, path, yesterday[name])
		s.serveFails(t, words)
		writeFile(t, path, today[name])
	}
	// With everything as it was left, it serves; the wallet and the list are what they were.
	s.whileServed(t, func() {
		out := ok(t, "gate", "cores", "--dir", s.path("gate"))
		if !strings.Contains(out, "its tenant is revoked: the bill") {
			t.Error(out)
		}
		if out := ok(t, gate("gate", "restore", "--tenant", "acme")...); !strings.Contains(out, "epoch 3") || strings.Contains(out, "OFF") {
			t.Error(out)
		}
		if out := ok(t, "gate", "wallet", "top-up", "--dir", s.path("gate"), core, "--to", "4000"); !strings.Contains(out, "deposit    3 000 units") || !strings.Contains(out, "available  4 000 units") ||
			!strings.Contains(out, "fleet      granted 0 units this hour") {
			t.Error(out)
		}
	})
	damaged := append([]byte(nil), files()[gateRevokedName]...)
	damaged[len(damaged)/2] ^= 1
	writeFile(t, s.path("gate", gateRevokedName), damaged)
	s.serveFails(t, "is refused")
}

// core is the beginning of the core's id.
func (s testSite) core(t *testing.T) string {
	t.Helper()
	var p publicFile
	if err := json.Unmarshal(readFile(t, s.path("core", corePublicName)), &p); err != nil {
		t.Fatal(err)
	}
	return p.ID.String()[:12]
}

// europe is a policy file without examples.
func europe(t *testing.T) []byte {
	t.Helper()
	text := readFile(t, filepath.Join("..", "..", "lockgate", "policy", "policyfile", "testdata", "europe.yaml"))
	before, _, _ := strings.Cut(string(text), "examples:")
	return []byte(before)
}

// TestGateObeysItsAuthors: with authors of its own, two of three, a gate takes policies and revocations that two signed, and no others.
func TestGateObeysItsAuthors(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	author := func(n string) string { return s.path("authors", "author-"+n+".key") }
	home := s.path("two")
	ok(t, s.withPass("policy", "init", s.path("authors"), "--keys", "3", "--threshold", "2")...)
	ok(t, s.withPass("gate", "init", home, "--trust", s.path("dir", trustName), "--authors", s.path("authors", authorsName))...)
	refused(t, exitUsage, "2 of this gate's authors must sign", s.withPass("gate", "policy", "set", "--dir", home, "--permit", "DE", "--attest", "sim")...)
	refused(t, exitFailed, "no such file", "gate", "revocations", "--dir", home)

	writeFile(t, s.path("europe.yaml"), europe(t))
	refused(t, exitUsage, "2 of this gate's authors must sign", s.withPass("gate", "policy", "set", "--dir", home, s.path("europe.yaml"))...)
	signed := s.path("europe.ursa")
	ok(t, s.withPass("policy", "sign", s.path("europe.yaml"), "--key", author("1"), "--out", signed)...)
	refused(t, exitFailed, "too few authors", "gate", "policy", "set", "--dir", home, signed)
	ok(t, s.withPass("policy", "sign", signed, "--cosign", "--key", author("3"))...)
	if out := ok(t, "gate", "policy", "set", "--dir", home, signed); !strings.Contains(out, "in force when the gate serves") {
		t.Error(out)
	}
	ok(t, "gate", "policy", "show", "--dir", home)

	next := filepath.Join(home, gateRevokedDraft)
	if out := ok(t, s.withPass("gate", "revoke", "--dir", home, "--fleet", "--key", author("1"))...); !strings.Contains(out, "NOT in force") {
		t.Error(out)
	}
	refused(t, exitFailed, "too few authors", "gate", "revoke", "--dir", home, "--install", next)
	refused(t, exitFailed, "signed twice", s.withPass("gate", "revoke", "--cosign", next, "--key", author("1"))...)
	ok(t, s.withPass("gate", "revoke", "--cosign", next, "--key", author("2"))...)
	if out := ok(t, "gate", "revoke", "--dir", home, "--install", next); !strings.Contains(out, "epoch 1") {
		t.Error(out)
	}
	if out := ok(t, "gate", "revocations", "--dir", home, "--json"); !strings.Contains(out, `"kind": "fleet"`) {
		t.Error(out)
	}
	refused(t, exitUsage, "nothing is named", s.withPass("gate", "revoke", "--dir", home)...)
	refused(t, exitUsage, "EU72", s.withPass("gate", "revoke", "--dir", home, "--region", "EU72")...)
	refused(t, exitUsage, "hexadecimal", s.withPass("gate", "revoke", "--dir", home, "--chip", "xyz", "--key", author("1"))...)
}
