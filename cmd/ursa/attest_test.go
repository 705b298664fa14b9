package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// attestSite is a folder with an appraiser, two of three keepers and, where swtpm is installed, a booted TPM.
type attestSite struct {
	t       *testing.T
	dir     string
	pass    string
	subject identity.ID
	nonce   string
}

func newAttestSite(t *testing.T) attestSite {
	t.Helper()
	s := attestSite{t: t, dir: t.TempDir(), nonce: strings.Repeat("ab", 32)}
	s.pass = s.path("pass")
	if err := os.WriteFile(s.pass, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "attest", "manifest", "keys", s.path("keepers"), "--keys", "3", "--threshold", "2", "--passphrase-file", s.pass)
	k, err := identity.FromSeed(identity.RoleAppraiser, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	s.subject = identity.ID{9}
	if err := identity.SaveKey(s.path("appraiser.key"), k, identity.WithPassphrase([]byte("a passphrase"))); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(s.path("appraiser.json"), publicOf(k), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s attestSite) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// manifest signs reference values by two keepers, one after the other.
func (s attestSite) manifest(name, platform, measurement string, number int) string {
	s.t.Helper()
	draft := fmt.Sprintf(`{"build":"test","number":%d,"program_sha256":"%s","issued":"%s","expires":"%s","accept":[{"platform":"%s","measurements":["%s"],"min_tcb":0}]}`,
		number, strings.Repeat("11", 32), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), platform, measurement)
	if err := os.WriteFile(s.path("draft.json"), []byte(draft), 0o600); err != nil {
		s.t.Fatal(err)
	}
	out := s.path(name)
	ok(s.t, "attest", "manifest", "sign", s.path("draft.json"), "--key", s.path("keepers", "manifest-1.key"), "--passphrase-file", s.pass, "--out", out)
	if status, _, errOut := cli("attest", "manifest", "verify", out, "--keepers", s.path("keepers", keepersName)); status != exitFailed || !strings.Contains(errOut, "too few") {
		s.t.Error(status, errOut)
	}
	ok(s.t, "attest", "manifest", "sign", out, "--key", s.path("keepers", "manifest-3.key"), "--passphrase-file", s.pass, "--out", out)
	return out
}

func TestAttestManifest(t *testing.T) {
	t.Parallel()
	s := newAttestSite(t)
	m := s.manifest("m.ursa", "tpm", "aabb", 7)
	if out := ok(t, "attest", "manifest", "verify", m, "--keepers", s.path("keepers", keepersName)); !strings.Contains(out, "aabb") {
		t.Error(out)
	}
	if status, _, errOut := cli("attest", "manifest", "verify", m, "--keepers", s.path("keepers", keepersName), "--minimum", "8"); status != exitFailed || !strings.Contains(errOut, "minimum") {
		t.Error(status, errOut)
	}
	if out := ok(t, "attest", "show", m); !strings.Contains(out, "not verified") || !strings.Contains(out, "signer 2") {
		t.Error(out)
	}
	for _, wrong := range [][]string{{"attest", "manifest", "verify", m}, {"attest", "verify", m}, {"attest", "collect", "--platform", "abacus", "--out", "x", "--subject", s.subject.String(), "--nonce", s.nonce},
		{"attest", "manifest", "keys", s.dir, "--keys", "1", "--threshold", "2"}, {"attest", "verify", m, "--subject", "x", "--nonce", "y"}} {
		if status, _, errOut := cli(wrong...); status != exitUsage || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%v: %d %s", wrong, status, errOut)
		}
	}
	if status, _, errOut := cli("attest", "show", s.pass); status != exitFailed || !strings.Contains(errOut, "neither") {
		t.Error(status, errOut)
	}
}

// TestAttestTPM is the road of a TPM: enrol, collect, verify, appraise. The result is what 'beacon serve --attest-result' takes.
func TestAttestTPM(t *testing.T) {
	swtpmtest.Need(t)
	t.Parallel()
	s := newAttestSite(t)
	dir := swtpmtest.ShortDir(t)
	swtpmtest.Manufacture(t, dir)
	address, _ := swtpmtest.Start(t, dir, false)
	for _, e := range swtpmtest.Firmware(t, s.path("firmware.log"), 1) {
		if err := swtpmtest.Extend(address, e); err != nil {
			t.Fatal(err)
		}
	}
	root, issuer := swtpmtest.Authorities(t, dir)
	for name, der := range map[string][]byte{"root.pem": root.Raw, "issuer.pem": issuer} {
		if err := os.WriteFile(s.path(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	about := []string{"--subject", s.subject.String(), "--nonce", s.nonce}
	trust := append([]string{"--root", s.path("root.pem"), "--enroller", s.path("appraiser.json")}, about...)
	ok(t, "attest", "enrol", "--tpm", address, "--root", s.path("root.pem"), "--issuer", s.path("issuer.pem"), "--key", s.path("appraiser.key"),
		"--passphrase-file", s.pass, "--out", s.path("record.ursa"))
	ok(t, append([]string{"attest", "collect", "--platform", "tpm", "--tpm", address, "--issuer", s.path("issuer.pem"), "--firmware-log", s.path("firmware.log"),
		"--own-log", s.path("own.log"), "--record", s.path("record.ursa"), "--out", s.path("evidence.ursa")}, about...)...)
	var v map[string]string
	if err := json.Unmarshal([]byte(ok(t, append([]string{"attest", "verify", s.path("evidence.ursa"), "--json"}, trust...)...)), &v); err != nil {
		t.Fatal(err)
	}
	if v["platform"] != "tpm" || len(v["measurement"]) != 64 || len(v["machine"]) != 64 {
		t.Errorf("%+v", v)
	}
	good, bad := s.manifest("good.ursa", "tpm", v["measurement"], 7), s.manifest("bad.ursa", "tpm", "aabb", 7)
	appraise := func(manifest string) []string {
		return append([]string{"attest", "appraise", s.path("evidence.ursa"), "--manifest", manifest, "--keepers", s.path("keepers", keepersName),
			"--key", s.path("appraiser.key"), "--passphrase-file", s.pass, "--audience", "demo", "--out", s.path("result.ursa")}, trust...)
	}
	if status, _, errOut := cli(appraise(bad)...); status != exitFailed || !strings.Contains(errOut, "measurement is not one") {
		t.Error(status, errOut)
	}
	ok(t, appraise(good)...)
	if out := ok(t, "attest", "show", s.path("result.ursa")); !strings.Contains(out, "affirming") || !strings.Contains(out, "demo") {
		t.Error(out)
	}
	old := append(append([]string{"attest", "verify", s.path("evidence.ursa")}, trust...), "--nonce", strings.Repeat("cd", 32))
	if status, _, errOut := cli(old...); status != exitFailed || !strings.Contains(errOut, "nonce") {
		t.Error("old nonce:", status, errOut)
	}
}
