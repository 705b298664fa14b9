// Package swtpmtest is package swtpm for tests: what fails there ends the test here, and every TPM ends with its test.
package swtpmtest

import (
	"crypto/x509"
	"os"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpm"
)

// Need skips where the programs are absent; in CI their absence is a failure.
func Need(t testing.TB) {
	t.Helper()
	err := swtpm.Installed()
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal("CI must test against it: ", err)
	case err != nil:
		t.Skip(err)
	}
}

// Manufacture makes a TPM's state in dir with an endorsement certificate of a fresh authority in the same folder.
func Manufacture(t testing.TB, dir string) {
	t.Helper()
	a, err := swtpm.NewAuthority(dir)
	if err == nil {
		err = a.Manufacture(t.Context(), dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Start boots the TPM in dir on a unix or TCP socket and returns its address as package tpm takes it; stop ends it, as a power cut would.
func Start(t testing.TB, dir string, tcp bool) (address string, stop func()) {
	t.Helper()
	r, err := swtpm.Start(dir, tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r.Address, r.Stop
}

// ShortDir is a folder whose sockets' names fit into a socket address.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Authorities reads the authority that Manufacture made: the root, and the issuer in between in DER.
func Authorities(t testing.TB, dir string) (root *x509.Certificate, issuer []byte) {
	t.Helper()
	a, err := swtpm.NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, issuer, err = a.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	return root, issuer
}

// Extend plays the firmware: it extends a digest into a register of the TPM at the address.
func Extend(address string, e tpm.Extend) error { return swtpm.Extend(address, e) }

// Firmware writes a log of a small imaginary boot in the TCG's format, and returns what it extended.
func Firmware(t testing.TB, path string, flavour byte) []tpm.Extend {
	t.Helper()
	out, err := swtpm.Firmware(path, flavour)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
