package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/topology/directory"
)

func TestDirectoryFromInitToVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	trust, signed := s.path("dir", trustName), s.path("dir", directoryName)
	if out := ok(t, "directory", "verify", signed, "--trust", trust); !strings.Contains(out, "epoch 1, 2 beacons, 1 gates") {
		t.Error(out)
	}
	var l directoryListing
	if err := json.Unmarshal([]byte(ok(t, "directory", "show", signed, "--json")), &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Beacons) != 2 || !l.Signed || len(l.Signers) != 1 || !l.Sim || l.Beacons[0].Lat != 50.11 || l.Beacons[0].HeightM != 110 || l.Beacons[0].PosUncM != 50 {
		t.Errorf("%+v", l)
	}
	// The same key again, at another address, replaces the entry; the next epoch says so.
	var b beaconFile
	if err := readJSON(s.path("b1", beaconPublicName), "a beacon", &b); err != nil {
		t.Fatal(err)
	}
	b.Address = "moved.example.net:4433"
	if err := writeJSON(s.path("moved.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	ok(t, "directory", "add", s.path("dir"), s.path("moved.json"))
	if out := ok(t, "directory", "show", s.path("dir")); !strings.Contains(out, "moved.example.net") || !strings.Contains(out, "draft; the last signed epoch is 1") {
		t.Error(out)
	}
	ok(t, s.withPass("directory", "sign", s.path("dir"))...)
	if out := ok(t, "directory", "show", signed); !strings.Contains(out, "epoch 2") || !strings.Contains(out, "NOTE: platform sim") {
		t.Error(out)
	}
	// One flipped bit and it is refused.
	data, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(signed, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := cli("directory", "verify", signed, "--trust", trust); status != exitFailed || !strings.Contains(errOut, "refused") {
		t.Error(status, errOut)
	}
}

// Two of three people sign, each at a place of their own.
func TestDirectoryTwoOfThree(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	dir, signed := s.path("three"), s.path("three", directoryName)
	ok(t, s.withPass("directory", "init", dir, "--name", "test", "--keys", "3", "--threshold", "2")...)
	ok(t, "directory", "add", dir, s.path("b1", beaconPublicName))
	key := func(i string) string { return filepath.Join(dir, "directory-"+i+".key") }
	status, _, errOut := cli(s.withPass("directory", "sign", dir, "--key", key("3"))...)
	if status != exitDone || !strings.Contains(errOut, "1 more signatures are needed") {
		t.Error(status, errOut)
	}
	if status, _, _ := cli("directory", "verify", signed, "--trust", filepath.Join(dir, trustName)); status != exitFailed {
		t.Error("one signature was enough")
	}
	ok(t, s.withPass("directory", "sign", dir, "--cosign", "--key", key("1"))...)
	ok(t, "directory", "verify", signed, "--trust", filepath.Join(dir, trustName))
	if status, _, _ := cli("directory", "verify", signed, "--trust", s.path("dir", trustName)); status != exitFailed {
		t.Error("verified with another constellation's trust file")
	}
}

// A draft that cannot be signed is refused with the entry that is wrong, and uses up no epoch.
func TestDirectoryBadDraft(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	d, err := readDraft(s.path("dir"))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*draft){
		"id":       func(d *draft) { d.Beacons[0].ID[0] ^= 1 },
		"position": func(d *draft) { d.Beacons[0].HeightM = 1e6 },
		"survey":   func(d *draft) { d.Beacons[0].PosUncM = 0 },
		"domains":  func(d *draft) { d.Beacons[0].Domains = nil },
		"attest":   func(d *draft) { d.Beacons[0].Attest = nil },
	} {
		bad := *d
		bad.Beacons = append([]beaconFile{}, d.Beacons...)
		spoil(&bad)
		if _, err := bad.directory(time.Now(), time.Hour); err == nil || !strings.Contains(err.Error(), "Frankfurt 1") {
			t.Errorf("%s: %v", name, err)
		}
		if err := bad.save(s.path("dir")); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, errOut := cli(s.withPass("directory", "sign", s.path("dir"))...); status != exitFailed || strings.Count(errOut, "\n") != 1 {
		t.Error(status, errOut)
	}
	if l, err := directoryListingAt(s.path("dir", directoryName)); err != nil || l.Epoch != 1 {
		t.Error(l.Epoch, err)
	}
	quarantined := *d
	quarantined.Quarantine = []draftQuarantine{{Beacon: d.Beacons[0].ID, Since: time.Now(), Reason: "moved"}}
	content, err := quarantined.directory(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Sign(content); err != nil {
		t.Error(err)
	}
}

// Every mistake is one line that says what would be right.
func TestProcessesWrongUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	taken := freePort(t)
	udp, err := listenUDP("--listen", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	open := s.path("open")
	if err := os.WriteFile(open, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, trust, pass := s.path("dir"), s.path("dir", trustName), " --passphrase-file "+s.pass
	signed := " --directory " + s.path("dir", directoryName)
	sim := " --sim-dir " + s.path("dir", "sim")
	beacon := "beacon init " + s.path("new") + " --place X --lon 8 --trust " + trust + pass
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"directory init " + dir + " --name x" + pass, exitFailed, "exists already"},
		{"directory init " + s.path("x"), exitUsage, "--name is missing"},
		{"directory init " + s.path("x") + " --name x", exitUsage, "--passphrase-file FILE or --key-command COMMAND"},
		{"directory init " + s.path("x") + " --name x --keys 2 --threshold 3" + pass, exitUsage, "--threshold 3"},
		{"directory init " + s.path("x") + " --name x --passphrase-file " + open, exitFailed, "chmod 600"},
		{"directory init " + s.path("x") + " --name x --key-command false", exitFailed, `key-command "false"`},
		{"directory add " + dir, exitUsage, "at least 2"},
		{"directory add " + dir + " " + s.path("core", corePublicName), exitFailed, "the key of a beacon or gate or appraiser is needed"},
		{"directory add " + s.path("none") + " " + s.path("b1", beaconPublicName), exitFailed, "'ursa directory init"},
		{"directory sign " + dir + " --valid 1s" + pass, exitUsage, "a minute to ten years"},
		{"directory sign " + dir + " --passphrase-file " + s.path("none"), exitFailed, "none"},
		{"directory verify " + trust, exitUsage, "--trust is missing"},
		{"directory verify " + trust + " --trust " + trust, exitFailed, "refused"},
		{"directory show " + trust, exitFailed, "not a signed directory"},
		{"directory shw", exitUsage, "did you mean 'show'?"},
		{"directory admit-sim " + s.path("core", corePublicName) + " --sim-dir " + dir + " --out x", exitFailed, "no simulated platform"},
		{beacon + " --domain a --address h:1", exitUsage, "--lat is missing"},
		{beacon + " --domain a --address h:1 --lat 95", exitUsage, "latitude 95"},
		{beacon + " --domain a --address h --lat 50", exitUsage, "use HOST:PORT"},
		{beacon + " --domain ä --address h:1 --lat 50", exitUsage, "operator:acme"},
		{beacon + " --domain a --address h:1 --lat 50 --pos-unc 0", exitUsage, "no survey is exact"},
		{"beacon serve --dir " + s.path("b1") + signed + pass, exitUsage, "--attest-result FILE or --sim-dir DIR"},
		{"beacon serve --dir " + s.path("b1") + sim + pass, exitUsage, "--directory FILE"},
		{"beacon serve --dir " + s.path("none") + sim + signed + pass, exitFailed, "'ursa beacon init' makes one"},
		{"beacon serve --dir " + s.path("b1") + sim + signed + pass + " --path warp", exitUsage, "steered, wrapped"},
		{"beacon serve --dir " + s.path("b1") + sim + signed + pass + " --log xml", exitUsage, "text or json"},
		{"beacon serve --dir " + s.path("b1") + sim + signed + pass + " --listen nowhere", exitUsage, "HOST:PORT"},
		{"beacon serve --dir " + s.path("b1") + sim + signed + pass + " --listen " + taken, exitFailed, "port is in use"},
		{"beacon status --metrics 127.0.0.1:1", exitFailed, "no beacon answers"},
		{"beacon relay --to nowhere --delay 1ms", exitUsage, "no address with a port"},
		{"beacon relay --to 127.0.0.1:9 --delay 1ms --loss 2", exitUsage, "0..1"},
		{"beacon relay --to 127.0.0.1:9", exitUsage, "--delay is missing"},
		{"beacon relay --to 127.0.0.1:9 --delay 1ms --listen " + taken, exitFailed, "choose another port"},
		{"core prove --dir " + s.path("core") + sim + signed + pass + " --gate gate:1", exitUsage, "https://"},
		{"core prove --dir " + s.path("core") + sim + signed + pass + " --gate https://127.0.0.1:1 --mode fast", exitUsage, "spinning"},
		{"core run --dir " + s.path("core") + pass, exitUsage, "behind --"},
		{"core status --dir " + s.path("none"), exitFailed, "none"},
		{"gate cores --dir " + s.path("none"), exitFailed, "'ursa gate init' makes one"},
		{"gate revoke --dir " + s.path("gate") + " 12", exitUsage, "eight digits"},
		{"gate revoke --dir " + s.path("gate") + " 12345678", exitFailed, "no enrolled core"},
		{"gate policy show --dir " + s.path("gate"), exitFailed, "'ursa gate policy set'"},
		{"gate policy set --dir " + s.path("gate") + " --permit EU72 --attest sim", exitUsage, "EU72"},
		{"gate policy set --dir " + s.path("gate") + " --permit DE", exitUsage, "--attest is missing"},
		{"gate policy set --dir " + s.path("gate") + " --permit DE --attest tpm", exitUsage, "use sim"},
		{"gate policy set --dir " + s.path("gate") + " --permit DE --attest sim --t-off 0s", exitUsage, "t_off_ms"},
		{"gate enrol " + s.path("gate", gatePublicName) + " --chip sim --tenant a --budget 1", exitFailed, "the key of a core is needed"},
		{"gate enrol " + s.path("core", corePublicName) + " --chip 12 --tenant a --budget 1", exitUsage, "64 hexadecimal digits"},
		{"gate serve --dir " + s.path("gate") + signed + pass, exitFailed, "without a policy nothing is granted"},
		{"gate serve --dir " + s.path("gate") + signed + pass + " --near 99", exitUsage, "1 to 64"},
	} {
		status, out, errOut := cli(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(errOut, c.says) || strings.Count(strings.TrimPrefix(errOut, simNotice+"\n"), "\n") != 1 || out != "" {
			t.Errorf("%s: exit %d, %q %q; want %d and %q", c.args, status, out, errOut, c.status, c.says)
		}
	}
}
