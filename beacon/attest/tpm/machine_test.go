package tpm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func (b booted) verifier(t testing.TB, history *tpm.Clocks) *tpm.Verifier {
	t.Helper()
	v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
		Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{b.root}}, History: history})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// check makes a report and verifies it.
func (b booted) check(t testing.TB, v *tpm.Verifier) error {
	t.Helper()
	body, err := b.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(body, time.Now().UnixNano())
	return err
}

// reopen is the same machine after its program was restarted, with its own log in a file.
func (b booted) reopen(t testing.TB, record []byte) booted {
	t.Helper()
	_, issuer := swtpmtest.Authorities(t, b.dir)
	m, err := tpm.Open(tpm.Config{Address: "unix:" + filepath.Join(b.dir, "sock"), FirmwareLog: filepath.Join(b.dir, "firmware.log"),
		OwnLog: filepath.Join(b.dir, "own.log"), Issuers: [][]byte{issuer}, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	b.Machine = m
	return b
}

// A secret for one TPM's key opens nowhere else, and only for a while.
func TestActivation(t *testing.T) {
	a, b := boot(t, takeTPM(t, 1), false), boot(t, takeTPM(t, 2), false)
	e := &tpm.Enroller{Key: key(t, identity.RoleAppraiser, 1), Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{a.root}}}
	application, err := a.Apply()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	challenge, pending, err := e.Challenge(application, rand.Reader, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Activate(challenge); !errors.Is(err, tpm.ErrActivation) {
		t.Error("another TPM:", err)
	}
	if _, err := a.Activate([]byte{0xa0}); !errors.Is(err, tpm.ErrChallenge) {
		t.Error("nonsense:", err)
	}
	if _, err := e.Finish(pending, make([]byte, 32), at); !errors.Is(err, tpm.ErrActivation) {
		t.Error("guessed:", err)
	}
	secret, err := a.Activate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Finish(pending, secret, at.Add(tpm.ActivationTime+1)); !errors.Is(err, tpm.ErrTooLate) {
		t.Error("too late:", err)
	}
	if _, err := e.Finish(pending, secret, at); err != nil {
		t.Error(err)
	}
	if _, err := tryEnrol(b.Machine, e); !errors.Is(err, attest.ErrWrongRoot) {
		t.Error("another manufacturer:", err)
	}
	e.Key = key(t, identity.RoleGate, 1)
	if _, err := tryEnrol(a.Machine, e); !errors.Is(err, tpm.ErrEnroller) {
		t.Error("a gate enrols:", err)
	}
}

// Restarts change nothing, another build shows until the next boot, and a crash between log and register is repaired.
func TestMeasuring(t *testing.T) {
	b := boot(t, takeTPM(t, 1), false)
	record, v := b.enrol(t), b.verifier(t, nil)
	log := filepath.Join(b.dir, "own.log")
	for range 2 {
		b = b.reopen(t, record)
		b.measure(t, "build 1")
		if err := b.check(t, v); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	b.measure(t, "build 2")
	if err := b.check(t, v); !errors.Is(err, tpm.ErrReconfigured) {
		t.Error("two builds:", err)
	}
	after, err := os.ReadFile(log)
	if err != nil || bytes.Equal(before, after) {
		t.Fatal("log did not grow", err)
	}
	if err := os.WriteFile(log, before, 0o600); err != nil {
		t.Fatal(err)
	}
	hiding := b.reopen(t, record)
	if err := hiding.check(t, v); !errors.Is(err, tpm.ErrLogReplay) {
		t.Error("the other build left out of the log:", err)
	}
	if err := hiding.Measure(tpm.Event{Type: tpm.EventBuild, Data: []byte("build 1")}); !errors.Is(err, tpm.ErrOwnLog) {
		t.Error("measuring with a log that does not fit:", err)
	}
	b.stop() // and boot again: registers start anew, the log of the last boot does not fit
	b = boot(t, b.dir, false)
	if err := os.WriteFile(log, after, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.reopen(t, record).Measure(tpm.Event{Type: tpm.EventBuild, Data: []byte("build 1")}); !errors.Is(err, tpm.ErrOwnLog) {
		t.Error("log of the last boot:", err)
	}
	if err := os.WriteFile(log, before, 0o600); err != nil { // as if a crash came after the log was written
		t.Fatal(err)
	}
	b = b.reopen(t, record)
	b.measure(t, "build 1")
	if err := b.check(t, v); err != nil {
		t.Error("after a crash:", err)
	}
}

// Two copies of a virtual TPM, or one set back to an older state.
func TestSnapshot(t *testing.T) {
	original := takeTPM(t, 1)
	b := boot(t, original, false)
	record := b.enrol(t)
	b.stop()
	snapshot := copyTPM(t, original)
	history := &tpm.Clocks{}
	b = boot(t, original, false)
	b.SetRecord(record)
	b.measure(t, "build 1")
	if err := b.check(t, b.verifier(t, history)); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b = boot(t, original, false)
	b.SetRecord(record)
	b.measure(t, "build 1")
	if err := b.check(t, b.verifier(t, history)); err != nil {
		t.Fatal("an honest reboot:", err)
	}
	c := boot(t, snapshot, false)
	c.SetRecord(record)
	c.measure(t, "build 1")
	if err := c.check(t, c.verifier(t, nil)); err != nil {
		t.Fatal("the copy is perfect:", err)
	}
	if err := c.check(t, c.verifier(t, history)); !errors.Is(err, tpm.ErrClockBack) {
		t.Error("the copy:", err)
	}
}

// One machine's enrolment does not cover another machine's quote.
func TestMixedMachines(t *testing.T) {
	a, b := boot(t, takeTPM(t, 1), false), boot(t, takeTPM(t, 2), false)
	b.SetRecord(a.enrol(t))
	b.measure(t, "build 1")
	if err := b.check(t, a.verifier(t, nil)); !errors.Is(err, tpm.ErrRecordChain) {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"tpmrm0", "udp:1.2.3.4:5", "unix:", "tcp:", "/dev/no-such-tpm"} {
		if _, err := tpm.Open(tpm.Config{Address: address}); !errors.Is(err, tpm.ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, pcrs := range [][]int{{24}, {-1}, {2, 1}, {1, 1}} {
		if _, err := tpm.Open(tpm.Config{Address: "unix:x", PCRs: pcrs}); !errors.Is(err, tpm.ErrPCRSelection) {
			t.Errorf("%v: %v", pcrs, err)
		}
	}
	m, err := tpm.Open(tpm.Config{Address: "unix:" + filepath.Join(t.TempDir(), "nobody")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(); err == nil {
		t.Error("nobody listens, and yet")
	}
}

func TestFirmwareLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	want := swtpmtest.Firmware(t, path, 1)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, locality, err := tpm.ParseFirmwareLog(log)
	if err != nil || len(got) != len(want) || locality != 0 {
		t.Fatal(len(got), locality, err)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatal(i, got[i], want[i])
		}
	}
	for n := range log {
		part, _, err := tpm.ParseFirmwareLog(log[:n])
		if err == nil && len(part) >= len(want) || err != nil && !errors.Is(err, tpm.ErrFirmwareLog) {
			t.Fatalf("cut at %d: %d events, %v", n, len(part), err)
		}
	}
	if _, _, err := tpm.ParseFirmwareLog(make([]byte, tpm.MaxFirmwareLog+1)); !errors.Is(err, tpm.ErrFirmwareLog) {
		t.Error(err)
	}
}

func FuzzFirmwareLog(f *testing.F) {
	path := filepath.Join(f.TempDir(), "log")
	swtpmtest.Firmware(f, path, 1)
	log, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log)
	f.Fuzz(func(t *testing.T, data []byte) {
		if events, _, err := tpm.ParseFirmwareLog(data); err == nil && 48*len(events) > len(data) {
			t.Fatal("more events than bytes for them")
		}
	})
}
