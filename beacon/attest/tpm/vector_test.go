package tpm_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/identity"
)

var recordNew = flag.Bool("record", false, "make new genuine evidence with swtpm and write it to testdata")

// vector is evidence that a real TPM implementation made, with everything another implementation needs to verify it.
type vector struct {
	Note          string      `json:"note"`
	Root          []byte      `json:"root_der"`
	Enroller      []byte      `json:"enroller_public"`
	Evidence      []byte      `json:"evidence"`
	Subject       identity.ID `json:"subject"`
	Nonce         []byte      `json:"nonce"`
	UnixNS        int64       `json:"verified_at_unix_ns"`
	Measurement   []byte      `json:"measurement"`
	Configuration []byte      `json:"configuration_hash"`
	Machine       []byte      `json:"machine"`
	TCB           uint64      `json:"tcb"`
}

const vectorFile = "testdata/swtpm.json"

func makeVector(t *testing.T) vector {
	b := boot(t, takeTPM(t, 1), false)
	b.enrol(t)
	b.measure(t, "build 1")
	configuration, err := attest.Configuration{ClockSource: "tsc", PositionMM: [3]int64{4_075_540_000, 931_735_000, 4_801_629_000}, PosUncMM: 2000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Measure(tpm.Event{Type: tpm.EventConfiguration, Data: configuration}); err != nil {
		t.Fatal(err)
	}
	enroller, err := key(t, identity.RoleAppraiser, 1).Public().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Note: "quote by swtpm 0.7.1 (libtpms), enrolled by credential activation of its RSA endorsement key", Root: b.root.Raw, Enroller: enroller,
		Subject: identity.ID{1}, Nonce: bytes.Repeat([]byte{2}, 32), UnixNS: time.Now().UnixNano()}
	if v.Evidence, err = attest.Collect(context.Background(), b, attest.Binding{Subject: v.Subject, TimedKey: identity.TimedKeyID{3}, Nonce: [32]byte(v.Nonce)}); err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeEvidence(v.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.verifier(t, nil).Examine(e.Body, v.UnixNS)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Claims
	v.Measurement, v.Configuration, v.Machine, v.TCB = c.Measurement, c.Configuration[:], c.Machine[:], c.TCB
	return v
}

// TestVector verifies recorded genuine evidence, everywhere and for ever: time is handed in.
func TestVector(t *testing.T) {
	if *recordNew {
		data, err := json.MarshalIndent(makeVector(t), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(vectorFile), 0o755), os.WriteFile(vectorFile, append(data, '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	v, verifier, body := loadVector(t)
	f, err := verifier.Examine(body, v.UnixNS)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Claims
	if c.ReportData != (attest.Binding{Subject: v.Subject, TimedKey: identity.TimedKeyID{3}, Nonce: [32]byte(v.Nonce)}).ReportData() || !bytes.Equal(c.Measurement, v.Measurement) || c.TCB != v.TCB ||
		!bytes.Equal(c.Configuration[:], v.Configuration) || !bytes.Equal(c.Machine[:], v.Machine) || string(f.Measured.Build) != "build 1" {
		t.Fatalf("%+v", f)
	}
	for i := 0; i < len(body); i += 7 {
		bad := bytes.Clone(body)
		bad[i] ^= 1 << (i % 8)
		if _, err := verifier.Verify(bad, v.UnixNS); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(body))
		}
	}
	if _, err := verifier.Verify(body, v.UnixNS+int64(tpm.MaxEnrolment)); !errors.Is(err, tpm.ErrRecordExpired) {
		t.Error("a year later:", err)
	}
}

func loadVector(t testing.TB) (vector, *tpm.Verifier, []byte) {
	t.Helper()
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(v.Root)
	if err != nil {
		t.Fatal(err)
	}
	enroller, err := identity.ParsePublic(v.Enroller)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{enroller}, Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{root}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeEvidence(v.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	return v, verifier, e.Body
}

// BenchmarkVerifySwtpm is the appraiser's work on a genuine quote with an RSA-signed endorsement chain.
func BenchmarkVerifySwtpm(b *testing.B) {
	v, verifier, body := loadVector(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(body, v.UnixNS); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReport is the attesting machine's work, against a running software TPM.
func BenchmarkReport(b *testing.B) {
	m := boot(b, takeTPM(b, 1), false)
	m.enrol(b)
	m.measure(b, "build 1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Report(context.Background(), [32]byte{1}); err != nil {
			b.Fatal(err)
		}
	}
}
