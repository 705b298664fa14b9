package tpm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
)

// A sealed secret opens after the same boot with the same program, and nowhere else: not before the program was measured, not under another
// program or firmware, not on another TPM.
func TestSeal(t *testing.T) {
	dir := takeTPM(t, 1)
	m := boot(t, dir, false)
	m.measure(t, "build 1")
	secret := []byte("a passphrase")
	data, err := m.Seal(secret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Unseal(data); err != nil || !bytes.Equal(got, secret) {
		t.Fatal(got, err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if got, err := m.Unseal(bad); !errors.Is(err, tpm.ErrSealed) {
			t.Errorf("byte %d flipped: %q %v", i, got, err)
			break
		}
		if i > 40 {
			break
		}
	}
	m.stop()
	again := boot(t, dir, false) // the power was cut; the state is the disk's
	if _, err := again.Unseal(data); !errors.Is(err, tpm.ErrSealed) {
		t.Error("before the program was measured:", err)
	}
	again.measure(t, "build 1")
	if got, err := again.Unseal(data); err != nil || !bytes.Equal(got, secret) {
		t.Error("after a boot:", got, err)
	}
	if err := swtpmtest.Extend(address(dir), tpm.Extend{PCR: 7, Digest: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Unseal(data); !errors.Is(err, tpm.ErrSealed) {
		t.Error("after another boot loader:", err)
	}
	again.stop()
	other := boot(t, dir, false)
	other.measure(t, "build 2")
	if _, err := other.Unseal(data); !errors.Is(err, tpm.ErrSealed) {
		t.Error("another program:", err)
	}
	elsewhere := boot(t, takeTPM(t, 2), false)
	elsewhere.measure(t, "build 1")
	if _, err := elsewhere.Unseal(data); !errors.Is(err, tpm.ErrSealed) {
		t.Error("another machine:", err)
	}
	if _, err := elsewhere.Seal(nil); err == nil {
		t.Error("sealed nothing")
	}
}

func address(dir string) string { return "unix:" + dir + "/sock" }
