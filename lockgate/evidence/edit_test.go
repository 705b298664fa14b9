package evidence_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/policy"
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
