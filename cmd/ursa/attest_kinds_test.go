package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// What somebody new gets wrong with the keepers' files: one line each, that says what is wrong and what would be right.
func TestKeepersFilesAreExplained(t *testing.T) {
	t.Parallel()
	s := newAttestSite(t)
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	from, to, late := at(0), at(24*time.Hour), at(30*24*time.Hour)
	digits := strings.Repeat("11", 32)
	manifest := fmt.Sprintf(`{"build":"b","number":12,"program_sha256":%q,"issued":%q,"expires":%q,"accept":[{"platform":"tpm","measurements":["aa"],"min_tcb":0}]}`,
		digits, from, to)
	list := fmt.Sprintf(`{"sequence":3,"issued":%q,"expires":%q,"machines":[%q],"measurements":["aabb"]}`, from, to, digits)
	write := func(name, text string) string {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.path(name)
	}
	sign := func(noun, file, out string) []string {
		return []string{"attest", noun, "sign", file, "--key", s.path("keepers", "manifest-1.key"), "--passphrase-file", s.pass, "--out", s.path(out)}
	}
	keepers := []string{"--keepers", s.path("keepers", keepersName)}
	if out := ok(t, sign("manifest", write("m.json", manifest), "m")...); !strings.HasPrefix(out, "signed  "+s.path("m")+", by ") {
		t.Error(out)
	}
	ok(t, sign("revoke", write("l.json", list), "l")...)
	if out := ok(t, "attest", "show", s.path("l")); !strings.Contains(out, "revocation list, not verified") || !strings.Contains(out, digits) || !strings.Contains(out, "signer 1") {
		t.Error(out)
	}
	garbage := write("g", "garbage")
	for _, c := range []struct {
		args []string
		says string
	}{
		{sign("manifest", s.path("l"), "x"), "it is a revocation list, not a manifest"},
		{sign("manifest", s.path("m.json"), "nowhere/x"), "cannot write " + s.path("nowhere/x")},
		{append([]string{"attest", "revoke", "verify", s.path("m")}, keepers...), "it is a manifest, not a revocation list"},
		{append([]string{"attest", "revoke", "verify", s.path("l.json")}, keepers...), "a draft must be signed first"},
		{append([]string{"attest", "manifest", "verify", s.path("l")}, keepers...), "it is a revocation list, not a manifest"},
		{[]string{"attest", "verify", s.path("m"), "--subject", digits, "--nonce", digits}, "it is a manifest, not evidence"},
		{[]string{"attest", "show", s.path("m.json")}, "is JSON, which can be read as it is"},
		{[]string{"attest", "serve", "--key", s.path("appraiser.key"), "--passphrase-file", s.pass, "--trust", s.path("m.json"), "--directory", garbage}, "unknown field \"build\": the fields are constellation"},
		{[]string{"attest", "show", garbage}, "a revocation list nor an enrolment"},
		{[]string{"attest", "manifest", "sign", s.path("m.json"), "--key", s.path("appraiser.key"), "--passphrase-file", s.pass, "--out", s.path("x")}, "role appraiser: a keeper's is needed"},
	} {
		status, out, errOut := cli(c.args...)
		if status != exitFailed || out != "" || !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("ursa %s: exit %d, wanted %q:\n%s%s", strings.Join(c.args[:4], " "), status, c.says, out, errOut)
		}
	}
	if status, _, errOut := cli("attest", "manifest", "sign", s.path("m.json")); status != exitUsage || !strings.Contains(errOut, "--key, --out are missing") {
		t.Error(status, errOut)
	}
	k, err := identity.FromSeed(identity.RoleManifest, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ draft, old, new, says string }{
		{manifest, `"tpm"`, `"tmp"`, `accept entry 1: platform "tmp" is unknown: did you mean tpm?`},
		{manifest, `"tpm"`, `"abacus"`, "the platforms are sim, tpm, sev-snp, tdx, sev-snp+tpm, tdx+tpm"},
		{manifest, `["aa"]`, `[]`, "measurements of tpm are missing"},
		{manifest, `["aa"]`, `["xy"]`, `measurement "xy" of tpm is not hexadecimal`},
		{manifest, `"number":12,`, ``, "a number from 1"},
		{manifest, `"issued"`, `"isued"`, "did you mean issued?"},
		{manifest, to, from, "expire later"},
		{manifest, digits, "xyz", "as sha256sum prints them"},
		{manifest, manifest, manifest[:9], "it ends too early"},
		{manifest, manifest, "garbage", "not a signed list of the keepers"},
		{list, to, late, "by a week at most"},
		{list, `"expires"`, `"expired"`, "did you mean expires?"},
		{list, "aabb", "zz", `"zz" is not hexadecimal digits`},
		{list, `"sequence":3`, `"sequence":0`, "the sequence begins with 1"},
		{list, `["aabb"]`, `["aabb","aabb"]`, "each once"},
		{list, list, "garbage", "not a signed list of the keepers"},
	} {
		file := write("draft", strings.Replace(c.draft, c.old, c.new, 1))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		signer := signManifest
		if c.draft == list {
			signer = signRevocations
		}
		if _, err := signer(file, data, k); err == nil || !strings.HasPrefix(err.Error(), file) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s for %s: %v, wanted %q", c.new, c.old, err, c.says)
		}
	}
}
