package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func TestSelfTest(t *testing.T) {
	t.Parallel()
	clock, err := timing.HostClock()
	if err != nil {
		t.Skip(err)
	}
	checks := selfTest(t.Context(), clock)
	if len(checks) != 2 || !checks[1].OK || !strings.Contains(checks[1].Detail, "over loopback") {
		t.Errorf("%+v", checks)
	}
}

// A result is used for half of its life, replaced then, and used on while there is no other.
func TestPassport(t *testing.T) {
	t.Parallel()
	simDir := filepath.Join(t.TempDir(), "sim")
	if _, _, err := newSim(simDir, "test"); err != nil {
		t.Fatal(err)
	}
	key, err := identity.FromSeed(identity.RoleBeacon, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, now := context.Background(), time.Now()
	p, err := (&passportFlags{simDir: simDir}).open(ctx, key.ID(), identity.TimedKeyID{})
	if err != nil {
		t.Fatal(err)
	}
	first, r, err := p.current(ctx, now)
	if err != nil || r.Platform != attest.Sim || r.Subject != key.ID() || r.Machine != simMachine(key.ID()) {
		t.Fatal(r, err)
	}
	if again, _, _ := p.current(ctx, now.Add(29*time.Minute)); string(again) != string(first) {
		t.Error("replaced before half of its life was over")
	}
	renewed, _, err := p.current(ctx, now.Add(31*time.Minute))
	if err != nil || string(renewed) == string(first) {
		t.Error("not replaced", err)
	}

	file := filepath.Join(t.TempDir(), "result")
	if err := os.WriteFile(file, first, 0o600); err != nil {
		t.Fatal(err)
	}
	q, err := (&passportFlags{file: file}).open(ctx, key.ID(), identity.TimedKeyID{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if b, _, err := q.current(ctx, now.Add(59*time.Minute)); err != nil || string(b) != string(first) {
		t.Error("a result that could not be replaced was dropped", err)
	}
	if _, _, err := q.current(ctx, now.Add(61*time.Minute)); !errors.Is(err, os.ErrNotExist) {
		t.Error("an expired result is used", err)
	}
	if err := os.WriteFile(file, first, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.current(ctx, now.Add(61*time.Minute)); !errors.Is(err, errPassportExpired) {
		t.Error("an expired result is read", err)
	}
	if _, err := (&passportFlags{file: file}).open(ctx, identity.ID{1}, identity.TimedKeyID{}); !errors.Is(err, errPassportSubject) {
		t.Error("another key's result", err)
	}
}

// A core's result that people carry is waited for until it names the timed key of this start, and says which key that is.
func TestPassportByHand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	simDir, file := filepath.Join(dir, "sim"), filepath.Join(dir, "result")
	if _, _, err := newSim(simDir, "test"); err != nil {
		t.Fatal(err)
	}
	sim, err := openSim(simDir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.FromSeed(identity.RoleCore, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	deliver := func(timed identity.TimedKeyID) {
		b, err := sim.admit(t.Context(), key.ID(), timed, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := writeWhole(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deliver(identity.TimedKeyID{}) // as of a time when there was no process
	p, err := (&passportFlags{file: file}).openCore(t.Context(), dir, key, identity.TimedKeyID{3}, func(told string) {
		name, err := os.ReadFile(filepath.Join(dir, timedKeyName))
		if err != nil || !strings.Contains(told, strings.TrimSpace(string(name))) || !strings.Contains(told, file) {
			t.Errorf("%q, %q: %v", told, name, err)
		}
		timed, err := identity.ParseTimedKeyID(strings.TrimSpace(string(name)))
		if err != nil {
			t.Error(err)
		}
		deliver(timed)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, r, err := p.current(t.Context(), time.Now()); err != nil || r.TimedKey != (identity.TimedKeyID{3}) {
		t.Error(r.TimedKey, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := (&passportFlags{file: file}).openCore(ctx, dir, key, identity.TimedKeyID{4}, func(string) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Error("the result of an earlier start is used:", err)
	}
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	unit := ok(t, "beacon", "unit", "--listen", "192.0.2.7:4433", "--dir", "/srv/fra")
	for _, want := range []string{"ExecStart=/usr/local/bin/ursa beacon serve --dir /srv/fra ", "--listen 192.0.2.7:4433", "LoadCredential=passphrase:",
		"NoNewPrivileges=yes", "CapabilityBoundingSet=\n", "SystemCallFilter=@system-service", "ExecReload="} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %q:\n%s", want, unit)
		}
	}
	for _, plain := range []string{"DeviceAllow", "firmware-log", "ReadWritePaths"} {
		if strings.Contains(unit, plain) {
			t.Errorf("without a TPM the unit says %q:\n%s", plain, unit)
		}
	}
	withTPM := ok(t, "beacon", "unit", "--attest", "--attest tpm --service a:1 --appraiser /etc/ursa/appraiser.json")
	for _, want := range []string{"DeviceAllow=/dev/tpmrm0 rw\n", "PrivateDevices=no\n", "RuntimeDirectory=ursa\n", "--attest tpm --service a:1 --appraiser /etc/ursa/appraiser.json --firmware-log ${CREDENTIALS_DIRECTORY}/firmware-log --listen"} {
		if !strings.Contains(withTPM, want) {
			t.Errorf("the unit with a TPM lacks %q:\n%s", want, withTPM)
		}
	}
	container := ok(t, "beacon", "container", "--metrics", "127.0.0.1:9999")
	for _, want := range []string{"FROM scratch", "USER 65532", "127.0.0.1:9999", "HEALTHCHECK"} {
		if !strings.Contains(container, want) {
			t.Errorf("the container file lacks %q:\n%s", want, container)
		}
	}
	if status, _, _ := cli("beacon", "unit", "--dir", "/srv\nExecStartPre=evil"); status != exitUsage {
		t.Error("a line break was written into a unit")
	}
	// Every command that the templates run exists with every flag that they give.
	for line := range strings.Lines(unit) {
		if words := strings.Fields(line); strings.HasPrefix(line, "ExecStart=") {
			for _, w := range words[3:] {
				if flag, isFlag := strings.CutPrefix(w, "--"); isFlag && beaconServeCommand().Flags().Lookup(flag) == nil {
					t.Errorf("beacon serve has no flag --%s", flag)
				}
			}
		}
	}
}
