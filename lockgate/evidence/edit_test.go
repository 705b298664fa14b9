package evidence_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
)

type policyEdit = policy.Policy

// editPolicy rewrites the policy of a file; the hash of its region stays what
// it was when the region does not change.
func editPolicy(t testing.TB, b *evidence.Bundle, f func(*policy.Policy)) {
	t.Helper()
	p, err := policy.Decode(b.Policy)
	if err != nil {
		t.Fatal(err)
	}
	f(&p)
	if b.Policy, err = p.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := grant.Permit(p.Permit); err != nil {
		t.Fatal(err)
	}
}

// TestRevocationsBelongToTheDecision: a decision under a list of revocations is
// made again under the same list, and not without it.
func TestRevocationsBelongToTheDecision(t *testing.T) {
	s := granttest.New(t)
	now := time.Now().UnixNano()
	l := revoke.List{Version: revoke.Version, Epoch: 1, IssuedUnixNS: now - 1000, ExpiresUnixNS: now + int64(time.Hour),
		Entries: []revoke.Entry{{Kind: revoke.Region, Name: "DE-BY", Reason: "talks"}}}
	if _, err := s.Gate.SetRevocations(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	file, d := decided(t, s, 10)
	r, err := evidence.Verify(file, evidence.Options{})
	if err != nil || r.Revoked.Epoch != 1 {
		t.Fatal(err, d.RefusedBy)
	}
	without := reseal(t, s.GateKey, file, func(b *evidence.Bundle) { b.Revoked = nil })
	if _, err := evidence.Verify(without, evidence.Options{}); !errors.Is(err, evidence.ErrPermit) {
		t.Errorf("without its list: %v", err)
	}
	bad := reseal(t, s.GateKey, file, func(b *evidence.Bundle) { b.Revoked = []byte{0xa0} })
	if _, err := evidence.Verify(bad, evidence.Options{}); !errors.Is(err, evidence.ErrRevoked) {
		t.Errorf("with rubbish for a list: %v", err)
	}
}
