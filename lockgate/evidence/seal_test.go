package evidence_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func TestOnlyAuditorsOpen(t *testing.T) {
	key := func(role identity.Role, n byte) *identity.Private {
		k, err := identity.FromSeed(role, [identity.SeedSize]byte{n})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, b, stranger := key(identity.RoleAuditor, 1), key(identity.RoleAuditor, 2), key(identity.RoleAuditor, 3)
	file := []byte("where the core was")
	locked, err := evidence.Lock(file, a.Public(), b.Public())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(locked, file) {
		t.Fatal("it can be read")
	}
	for _, k := range []*identity.Private{a, b} {
		if got, err := evidence.Unlock(locked, k); err != nil || !bytes.Equal(got, file) {
			t.Fatal(err)
		}
	}
	if _, err := evidence.Unlock(locked, stranger); !errors.Is(err, evidence.ErrNotAuditor) {
		t.Error(err)
	}
	for i := range locked {
		bad := bytes.Clone(locked)
		bad[i] ^= 1 << (i % 8)
		// A flip in the other auditor's slot is the other's to notice.
		if got, err := evidence.Unlock(bad, a); err == nil && !bytes.Equal(got, file) {
			t.Fatalf("byte %d: opened to something else", i)
		}
	}
	bad := bytes.Clone(locked)
	bad[len(bad)-1] ^= 1
	if _, err := evidence.Unlock(bad, a); !errors.Is(err, evidence.ErrOpened) {
		t.Error(err)
	}
	for _, wrong := range [][]identity.Public{nil, {key(identity.RoleCore, 4).Public()}} {
		if _, err := evidence.Lock(file, wrong...); !errors.Is(err, evidence.ErrAuditors) {
			t.Error(err)
		}
	}
	if _, err := evidence.Unlock([]byte{0xa0}, a); !errors.Is(err, evidence.ErrLocked) {
		t.Error(err)
	}
}
