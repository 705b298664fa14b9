package tpm_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
)

// factory makes each of a few TPMs once for the whole run; tests take copies, as of a virtual machine's disk.
var factory struct {
	sync.Mutex
	made map[byte]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range factory.made {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// takeTPM returns a folder with a copy of TPM number n.
func takeTPM(t testing.TB, n byte) string {
	t.Helper()
	swtpmtest.Need(t)
	factory.Lock()
	defer factory.Unlock()
	if factory.made[n] == "" {
		dir, err := os.MkdirTemp("", "tpm")
		if err != nil {
			t.Fatal(err)
		}
		swtpmtest.Manufacture(t, dir)
		if factory.made == nil {
			factory.made = map[byte]string{}
		}
		factory.made[n] = dir
	}
	return copyTPM(t, factory.made[n])
}

// copyTPM copies a TPM that is switched off.
func copyTPM(t testing.TB, from string) string {
	t.Helper()
	dir := swtpmtest.ShortDir(t)
	for _, part := range []string{"state", "ca"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
