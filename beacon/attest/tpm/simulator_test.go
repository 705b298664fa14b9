//go:build tpmsimulator

package tpm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/simulator"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// endorse plays the maker of the TPM: it certifies its endorsement key and leaves the certificate where machines look for it.
func endorse(t *testing.T, s transport.TPM) *x509.Certificate {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "maker"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	must(err)
	root, err = x509.ParseCertificate(der)
	must(err)
	ek, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.RSAEKTemplate)}.Execute(s)
	must(err)
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: ek.ObjectHandle}.Execute(s) }()
	area, err := ek.OutPublic.Contents()
	must(err)
	parms, err := area.Parameters.RSADetail()
	must(err)
	unique, err := area.Unique.RSA()
	must(err)
	public, err := tpm2.RSAPub(parms, unique)
	must(err)
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageKeyEncipherment}, root, public, key)
	must(err)
	index := tpm2.TPMSNVPublic{NVIndex: 0x01c00002, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(der)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true}}
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(index)}.Execute(s)
	must(err)
	name, err := tpm2.NVName(&index)
	must(err)
	for at := 0; at < len(der); at += 512 {
		// What was written is part of the index's name from the first write on.
		_, err = tpm2.NVWrite{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex: tpm2.NamedHandle{Handle: index.NVIndex, Name: *name}, Offset: uint16(at),
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: der[at:min(at+512, len(der))]}}.Execute(s)
		must(err)
		index.Attributes.Written = true
		name, err = tpm2.NVName(&index)
		must(err)
	}
	return root
}

// TestInProcessSimulator is the road in one process, without any socket: the reference implementation's simulator is certified, enrolled
// by credential activation, measured, asked for a quote and verified. It needs a C compiler and OpenSSL's headers.
func TestInProcessSimulator(t *testing.T) {
	s, err := simulator.OpenSimulator()
	if err != nil {
		t.Fatal(err)
	}
	root := endorse(t, s)
	log := filepath.Join(t.TempDir(), "firmware.log")
	for _, e := range swtpmtest.Firmware(t, log, 1) {
		if _, err := (tpm2.PCRExtend{PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.PCR), Auth: tpm2.PasswordAuth(nil)},
			Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.Digest[:]}}}}).Execute(s); err != nil {
			t.Fatal(err)
		}
	}
	m, err := tpm.Open(tpm.Config{TPM: s, FirmwareLog: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	b := booted{Machine: m, root: root}
	b.enrol(t)
	b.measure(t, "build 1")
	v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
		Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{root}}})
	if err != nil {
		t.Fatal(err)
	}
	binding := attest.Binding{Subject: identity.ID{1}, TimedKey: identity.TimedKeyID{3}, Nonce: [32]byte{2}}
	evidence, err := attest.Collect(context.Background(), m, binding)
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeEvidence(evidence)
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Examine(e.Body, time.Now().UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	if f.Claims.ReportData != binding.ReportData() || string(f.Measured.Build) != "build 1" || f.Claims.Machine == [32]byte{} {
		t.Fatalf("%+v", f)
	}
	bad := bytes.Clone(e.Body)
	bad[len(bad)/2] ^= 1
	if _, err := v.Verify(bad, time.Now().UnixNano()); err == nil {
		t.Error("a changed quote verifies")
	}
	if _, err := (tpm2.PCREvent{PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(7), Auth: tpm2.PasswordAuth(nil)},
		EventData: tpm2.TPM2BEvent{Buffer: []byte("more")}}).Execute(s); err != nil {
		t.Fatal(err)
	}
	if evidence, err = attest.Collect(context.Background(), m, binding); err != nil {
		t.Fatal(err)
	}
	if e, err = attest.DecodeEvidence(evidence); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(e.Body, time.Now().UnixNano()); !errors.Is(err, tpm.ErrLogReplay) {
		t.Errorf("a register that the log does not explain: %v", err)
	}
}
