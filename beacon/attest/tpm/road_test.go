package tpm_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func key(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n, 0x54})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// booted is a machine with a software TPM after an imaginary boot.
type booted struct {
	*tpm.Machine
	root *x509.Certificate
	dir  string
	stop func()
}

// boot starts the TPM in dir, extends what its firmware's log says and opens it as a machine.
func boot(t testing.TB, dir string, tcp bool) booted {
	t.Helper()
	address, stop := swtpmtest.Start(t, dir, tcp)
	log := filepath.Join(dir, "firmware.log")
	for _, e := range swtpmtest.Firmware(t, log, 1) {
		if err := swtpmtest.Extend(address, e); err != nil {
			t.Fatal(err)
		}
	}
	root, issuer := swtpmtest.Authorities(t, dir)
	m, err := tpm.Open(tpm.Config{Address: address, FirmwareLog: log, Issuers: [][]byte{issuer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return booted{Machine: m, root: root, dir: dir, stop: stop}
}

func (b booted) enrol(t testing.TB) []byte {
	t.Helper()
	record, err := tryEnrol(b.Machine, &tpm.Enroller{Key: key(t, identity.RoleAppraiser, 1), Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{b.root}}})
	if err != nil {
		t.Fatal(err)
	}
	b.SetRecord(record)
	return record
}

func tryEnrol(m *tpm.Machine, e *tpm.Enroller) ([]byte, error) {
	application, err := m.Apply()
	if err != nil {
		return nil, err
	}
	challenge, pending, err := e.Challenge(application, rand.Reader, time.Now())
	if err != nil {
		return nil, err
	}
	secret, err := m.Activate(challenge)
	if err != nil {
		return nil, err
	}
	return e.Finish(pending, secret, time.Now())
}

func (b booted) measure(t testing.TB, build string) {
	t.Helper()
	if err := b.Measure(tpm.Event{Type: tpm.EventBuild, Data: []byte(build)}); err != nil {
		t.Fatal(err)
	}
}

// TestRoad walks enrolment, measuring, quoting, verifying and appraising against a software TPM, on both kinds of socket.
func TestRoad(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		b := boot(t, takeTPM(t, 1), tcp)
		subject, nonce := identity.ID{1}, [32]byte{2}
		if _, err := attest.Collect(context.Background(), b, attest.Binding{Subject: subject, Nonce: nonce}); !errors.Is(err, tpm.ErrNotEnrolled) {
			t.Fatal(err)
		}
		b.enrol(t)
		b.measure(t, "build 1")
		configuration, err := attest.Configuration{ClockSource: "tsc", PositionMM: [3]int64{1, 2, 3}, PosUncMM: 1000}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Measure(tpm.Event{Type: tpm.EventConfiguration, Data: configuration}); err != nil {
			t.Fatal(err)
		}
		v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
			Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{b.root}}, History: &tpm.Clocks{}})
		if err != nil {
			t.Fatal(err)
		}
		evidence, err := attest.Collect(context.Background(), b, attest.Binding{Subject: subject, Nonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		e, err := attest.DecodeEvidence(evidence)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		f, err := v.Examine(e.Body, time.Now().UnixNano())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, verified in %s: %+v", len(evidence), time.Since(start), f.Clock)
		a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key(t, identity.RoleAppraiser, 2), Audience: "test", Verifiers: []attest.Verifier{v},
			Policy: attest.Policy{Accept: []directory.Expectation{{Platform: "tpm", MinTCB: f.Claims.TCB,
				Measurements: [][]byte{attest.Configured(f.Claims.Measurement, attest.HashConfiguration(configuration))}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Appraise(evidence, attest.Want{Subject: subject, Nonce: nonce, NowUnixNS: time.Now().UnixNano()}); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkAppraise appraises a quote of a software TPM with its RSA-signed endorsement chain and both logs.
func BenchmarkAppraise(b *testing.B) {
	m := boot(b, takeTPM(b, 1), false)
	m.enrol(b)
	m.measure(b, "build 1")
	v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{key(b, identity.RoleAppraiser, 1).Public()},
		Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{m.root}}})
	if err != nil {
		b.Fatal(err)
	}
	report, err := m.Report(b.Context(), [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	claims, err := v.Verify(report, time.Now().UnixNano())
	if err != nil {
		b.Fatal(err)
	}
	attesttest.Benchmark(b, v, m, directory.Expectation{Platform: "tpm", Measurements: [][]byte{claims.Measurement}}, time.Now().UnixNano())
}
