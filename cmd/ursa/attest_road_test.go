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

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
)

// tpmSite is a constellation without the simulated platform: an appraiser as a service, one beacon and one core, each on a machine with a
// software TPM.
type tpmSite struct {
	attestSite
	service, beacon, gate, status string
	machines                      [2]tpmHost // the beacon's, the core's
}

type tpmHost struct{ address, log, own, name string }

func newTPMSite(t *testing.T) *tpmSite {
	t.Helper()
	s := &tpmSite{attestSite: newAttestSite(t), service: freePort(t), beacon: freePort(t), gate: freePort(t), status: freePort(t)}
	maker, err := swtpm.NewAuthority(swtpmtest.ShortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.machines {
		dir := swtpmtest.ShortDir(t)
		if err := maker.Manufacture(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		h := &s.machines[i]
		h.address, _ = swtpmtest.Start(t, dir, i == 1)
		h.address = strings.Replace(h.address, "tcp:", "swtpm:", 1)
		h.log, h.own = s.path(fmt.Sprintf("firmware%d.log", i)), s.path(fmt.Sprintf("own%d.log", i))
		if err := swtpm.Boot(strings.Replace(h.address, "swtpm:", "tcp:", 1), h.log, 1); err != nil {
			t.Fatal(err)
		}
		h.name = strings.TrimSpace(ok(t, "attest", "machine", "--tpm", h.address))
	}
	root, issuer, err := maker.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"root.pem": root.Raw, "issuer.pem": issuer} {
		if err := os.WriteFile(s.path(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *tpmSite) withPass(args ...string) []string {
	return append(args, "--passphrase-file", s.pass)
}

// found makes everybody's folders and an unsigned directory.
func (s *tpmSite) found() {
	t, trust := s.t, s.path("dir", trustName)
	ok(t, s.withPass("directory", "init", s.path("dir"), "--name", "test", "--no-sim")...)
	ok(t, s.withPass("attest", "key", s.path("judge"))...)
	ok(t, "directory", "maker", s.path("dir"), "--platform", "tpm", s.path("root.pem"))
	ok(t, s.withPass("beacon", "init", s.path("fra"), "--place", "Frankfurt, DE", "--lat", "50.11", "--lon", "8.68", "--domain", "operator:a", "--address", s.beacon,
		"--trust", trust, "--attest", "tpm")...)
	ok(t, s.withPass("gate", "init", s.path("gate"), "--trust", trust)...)
	ok(t, s.withPass("core", "init", s.path("core"), "--gate-key", s.path("gate", gatePublicName), "--trust", trust, "--lat", "50.11", "--lon", "8.68")...)
	ok(t, "directory", "add", s.path("dir"), s.path("fra", beaconPublicName), s.path("gate", gatePublicName), s.path("judge", appraiserPublicName))
}

// measure enrols the beacon's machine by hand and reads off what it measures as, as those who write reference values do.
func (s *tpmSite) measure() (measurement string) {
	t, h := s.t, s.machines[0]
	about := []string{"--subject", s.subject.String(), "--nonce", s.nonce}
	ok(t, s.withPass("attest", "enrol", "--tpm", h.address, "--root", s.path("root.pem"), "--issuer", s.path("issuer.pem"),
		"--key", s.path("judge", appraiserKeyName), "--out", s.path("record.ursa"))...)
	ok(t, append([]string{"attest", "collect", "--platform", "tpm", "--tpm", h.address, "--issuer", s.path("issuer.pem"), "--firmware-log", h.log,
		"--own-log", h.own, "--record", s.path("record.ursa"), "--out", s.path("evidence.ursa")}, about...)...)
	var v map[string]string
	out := ok(t, append([]string{"attest", "verify", s.path("evidence.ursa"), "--json", "--root", s.path("root.pem"), "--enroller", s.path("judge", appraiserPublicName)}, about...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	return v["measurement"]
}

// policy puts one into force that knows no platform but the TPM.
func (s *tpmSite) policy(measurement string) {
	text := fmt.Sprintf("name: demo\nversion: 1\npermit: EU27\nspeed: vacuum\nf: 0\nmin_domains: 1\nmin_statements: 1\nmax_age: 1m\nv_max: 350 m/s\ntiming: both\n"+
		"attest:\n  - platform: tpm\n    measurements: [%q]\n    min_tcb: 0\naudience: test\nscheme: combined\nstep_units: 500\nmax_units: 30000\nt_off: 30s\n"+
		"lease_ttl: 1m\nnot_before: %s\nnot_after: %s\n", measurement, time.Now().AddDate(0, 0, -1).UTC().Format(time.RFC3339), time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339))
	if err := os.WriteFile(s.path("policy.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	ok(s.t, s.withPass("policy", "sign", s.path("policy.yaml"), "--key", s.path("gate", "author-1.key"), "--out", s.path("policy.ursa"))...)
	ok(s.t, "gate", "policy", "set", "--dir", s.path("gate"), s.path("policy.ursa"))
	ok(s.t, "gate", "enrol", "--dir", s.path("gate"), s.path("core", corePublicName), "--chip", s.machines[1].name, "--platform", "tpm", "--tenant", "acme", "--budget", "1000000")
}

// attesting are the flags of whoever attests on machine n.
func (s *tpmSite) attesting(n int, args ...string) []string {
	h := s.machines[n]
	return s.withPass(append(args, "--directory", s.path("dir", directoryName), "--attest", "tpm", "--tpm", h.address, "--tpm-log", h.own, "--firmware-log", h.log,
		"--issuer", s.path("issuer.pem"), "--service", s.service, "--appraiser", s.path("judge", appraiserPublicName))...)
}

// TestTheRoadOnTPMs goes from nothing to a lease on software TPMs: enrolment and appraisal over the network, a directory that says what the
// beacon must measure as, a gate that knows no simulated platform, and a core that looks before it is timed.
func TestTheRoadOnTPMs(t *testing.T) {
	swtpmtest.Need(t)
	t.Parallel()
	s := newTPMSite(t)
	s.found()
	if status, _, errOut := cli(s.withPass("directory", "sign", s.path("dir"))...); status != exitFailed || !strings.Contains(errOut, "directory expect") {
		t.Errorf("signed without an expectation: %d %s", status, errOut)
	}
	measurement := s.measure()
	manifest := s.manifest("m.ursa", "tpm", measurement, 7)
	keepers := s.path("keepers", keepersName)
	public, err := readPublic(s.path("fra", beaconPublicName), "beacon")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, "directory", "expect", s.path("dir"), "--beacon", public.ID.String()[:8], "--manifest", manifest, "--keepers", keepers, "--machine", s.machines[0].name)
	ok(t, s.withPass("directory", "sign", s.path("dir"))...)
	s.policy(measurement)

	// Nobody is enrolled whose machine the appraiser's people have not looked at.
	machines := s.path("machines.txt")
	if err := os.WriteFile(machines, []byte("# looked at\n"+s.machines[0].name+" the beacon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	appraiser := s.withPass("attest", "serve", "--key", s.path("judge", appraiserKeyName), "--trust", s.path("dir", trustName), "--directory", s.path("dir", directoryName),
		"--machines", machines, "--manifest", manifest, "--keepers", keepers, "--listen", s.service)
	stop := serve(t, appraiser...)
	prove := s.attesting(1, "core", "prove", "--dir", s.path("core"), "--gate", "https://"+s.gate)
	eventually(t, "an unknown machine is refused", func() bool {
		status, _, errOut := cli(prove...)
		return status == exitFailed && strings.Contains(errOut, tpm.ErrNotAdmitted.Error()) && strings.Contains(errOut, s.machines[1].name)
	})
	stop()
	if err := os.WriteFile(machines, []byte(s.machines[0].name+"\n"+s.machines[1].name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, appraiser...)

	serve(t, s.withPass("gate", "serve", "--dir", s.path("gate"), "--directory", s.path("dir", directoryName), "--listen", s.gate, "--metrics", "")...)
	var stopBeacon func()
	eventually(t, "the service answers", func() bool { status, _, _ := cli(prove...); return status == exitFailed || status == exitDone })
	stopBeacon = serve(t, s.attesting(0, "beacon", "serve", "--dir", s.path("fra"), "--listen", s.beacon, "--metrics", s.status)...)
	eventually(t, "the beacon is well", func() bool {
		status, out, _ := cli("beacon", "status", "--metrics", s.status)
		return status == exitDone && strings.Contains(out, "platform tpm")
	})
	var got provenJSON
	eventually(t, "the core is granted", func() bool {
		status, out, _ := cli(append(prove, "--json")...)
		return status == exitDone && json.Unmarshal([]byte(out), &got) == nil
	})
	if got.Decision != "granted" || len(got.Beacons) != 1 || !strings.Contains(fmt.Sprint(got.Beacons[0].Flags), "clock-attested") {
		t.Errorf("%+v", got)
	}

	if out := ok(t, "attest", "show", s.path("fra", recordName)); !strings.Contains(out, s.machines[0].name) || !strings.Contains(out, "not verified") {
		t.Error(out)
	}
	s.byHand(public.ID.String(), manifest, keepers)
	s.seals()
	s.revokes(prove)

	// Somebody extends a register of the running beacon: the next core notices, although the beacon's result is good for an hour.
	if err := swtpm.Extend(s.machines[0].address, tpm.Extend{PCR: 4, Digest: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	if status, out, errOut := cli(prove...); status == exitDone || !strings.Contains(out+errOut, tpm.ErrLogReplay.Error()) {
		t.Errorf("a beacon with a changed register: exit %d, %s%s", status, out, errOut)
	}
	stopBeacon()
	if status, _, errOut := cli(s.attesting(0, "beacon", "serve", "--dir", s.path("fra"), "--listen", s.beacon, "--metrics", "")...); status != exitFailed ||
		!strings.Contains(errOut, tpm.ErrLogReplay.Error()) {
		t.Errorf("it is appraised no more: exit %d, %s", status, errOut)
	}
}

// byHand makes the beacon's result by files: what is measured then is what the directory expects.
func (s *tpmSite) byHand(id, manifest, keepers string) {
	t, h := s.t, s.machines[0]
	about := []string{"--subject", id, "--nonce", s.nonce}
	ok(t, append([]string{"attest", "collect", "--platform", "tpm", "--tpm", h.address, "--issuer", s.path("issuer.pem"), "--firmware-log", h.log,
		"--own-log", h.own, "--beacon", s.path("fra"), "--record", s.path("fra", recordName), "--out", s.path("by-hand.ursa")}, about...)...)
	ok(t, s.withPass(append([]string{"attest", "appraise", s.path("by-hand.ursa"), "--manifest", manifest, "--keepers", keepers, "--key", s.path("judge", appraiserKeyName),
		"--audience", "test", "--root", s.path("root.pem"), "--enroller", s.path("judge", appraiserPublicName), "--out", s.path("result.ursa")}, about...)...)...)
	trust, err := readTrust(s.path("dir", trustName))
	if err != nil {
		t.Fatal(err)
	}
	d, err := trust.openDirectory(s.path("dir", directoryName), nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := os.ReadFile(s.path("result.ursa"))
	if err != nil {
		t.Fatal(err)
	}
	entry := d.Beacons[0]
	if _, err := attest.VerifyResult(result, attest.Relying{Directory: d.Directory, Policy: attest.PolicyOf(entry), Subject: entry.ID(), Audience: "test",
		NowUnixNS: time.Now().UnixNano()}); err != nil {
		t.Error(err)
	}
}

// seals seals a passphrase on the core's machine, and tries to open it on the beacon's.
func (s *tpmSite) seals() {
	t, core, beacon := s.t, s.machines[1], s.machines[0]
	on := func(h tpmHost, words ...string) []string {
		return append(append([]string{"attest"}, words...), "--tpm", h.address, "--tpm-log", h.own, "--firmware-log", h.log)
	}
	ok(t, on(core, "seal", s.path("sealed"))...)
	one, two := ok(t, on(core, "unseal", s.path("sealed"))...), ok(t, on(core, "unseal", s.path("sealed"))...)
	if len(strings.TrimSpace(one)) != 64 || one != two {
		t.Errorf("unsealed %q and %q", one, two)
	}
	if status, _, errOut := cli(on(beacon, "unseal", s.path("sealed"))...); status != exitFailed || !strings.Contains(errOut, tpm.ErrSealed.Error()) {
		t.Errorf("on another machine: exit %d, %s", status, errOut)
	}
}

// revokes withdraws the beacon's machine, whose result is good for an hour: a core that has the list is not timed by it.
func (s *tpmSite) revokes(prove []string) {
	t := s.t
	draft := fmt.Sprintf(`{"sequence":1,"issued":%q,"expires":%q,"machines":[%q]}`, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339),
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339), s.machines[0].name)
	if err := os.WriteFile(s.path("revoke.json"), []byte(draft), 0o600); err != nil {
		t.Fatal(err)
	}
	list := s.path("revoked.ursa")
	ok(t, s.withPass("attest", "revoke", "sign", s.path("revoke.json"), "--key", s.path("keepers", "manifest-1.key"), "--out", list)...)
	ok(t, s.withPass("attest", "revoke", "sign", list, "--key", s.path("keepers", "manifest-2.key"), "--out", list)...)
	if status, out, errOut := cli(append(prove, "--attest-revocations", list, "--keepers", s.path("keepers", keepersName))...); status == exitDone ||
		!strings.Contains(out+errOut, attest.ErrMachineRevoked.Error()) {
		t.Errorf("a revoked machine: exit %d, %s%s", status, out, errOut)
	}
}

func TestAttestRevoke(t *testing.T) {
	t.Parallel()
	s := newAttestSite(t)
	draft := fmt.Sprintf(`{"sequence":3,"issued":%q,"expires":%q,"machines":[%q],"measurements":["aabb"],"credentials":[%q]}`,
		time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), strings.Repeat("11", 32), strings.Repeat("22", 32))
	if err := os.WriteFile(s.path("draft.json"), []byte(draft), 0o600); err != nil {
		t.Fatal(err)
	}
	keepers := s.path("keepers", keepersName)
	sign := func(what, key string) {
		ok(t, "attest", "revoke", "sign", what, "--key", s.path("keepers", key), "--passphrase-file", s.pass, "--out", s.path("list.ursa"))
	}
	sign(s.path("draft.json"), "manifest-1.key")
	if status, _, errOut := cli("attest", "revoke", "verify", s.path("list.ursa"), "--keepers", keepers); status != exitFailed || !strings.Contains(errOut, "too few") {
		t.Error(status, errOut)
	}
	sign(s.path("list.ursa"), "manifest-2.key")
	if out := ok(t, "attest", "revoke", "verify", s.path("list.ursa"), "--keepers", keepers); !strings.Contains(out, strings.Repeat("22", 32)) || !strings.Contains(out, "aabb") {
		t.Error(out)
	}
	if status, _, errOut := cli("attest", "revoke", "verify", s.manifest("m.ursa", "tpm", "aabb", 1), "--keepers", keepers); status != exitFailed || !strings.Contains(errOut, "it is a manifest, not a revocation list") {
		t.Error("a manifest as a list:", status, errOut)
	}
}

func TestUpOnTPMs(t *testing.T) {
	swtpmtest.Need(t)
	t.Parallel()
	var got decisionJSON
	file := filepath.Join(t.TempDir(), "proof")
	status, out, errOut := cli("up", "--once", "--json", "--attest", "tpm", "--beacons", "3", "--save-proof", file)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("exit %d: %s%s", status, out, errOut)
	}
	if got.Attestation != "tpm" || got.Attack != "none" || got.RefusedBy == "attestation" || len(got.Beacons) == 0 {
		t.Errorf("%s", out)
	}
	if out := ok(t, "verify", file); !strings.Contains(out, "core on tpm, beacons ") || strings.Contains(out, " on sim") {
		t.Errorf("the verdict does not say on what:\n%s", out)
	}
	if status, _, errOut := cli("up", "--attest", "abacus"); status != exitUsage || !strings.Contains(errOut, "sim or tpm") {
		t.Error(status, errOut)
	}
}
