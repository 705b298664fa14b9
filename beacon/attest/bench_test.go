package attest_test

import (
	"context"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Appraisal happens at enrolment and at most once an hour, never inside a timed round.
func BenchmarkAppraiseSim(b *testing.B) {
	d := constellation(b)
	v, err := attest.SimVerifierOf(d)
	if err != nil {
		b.Fatal(err)
	}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key(b, identity.RoleAppraiser, 1), Audience: "test",
		Policy: attest.Policy{Accept: []directory.Expectation{expectation}}, Verifiers: []attest.Verifier{v}})
	if err != nil {
		b.Fatal(err)
	}
	evidence, err := attest.Collect(context.Background(), machine(b, attesttest.Variation{}), attest.Binding{Subject: identity.ID{1}, Nonce: nonce})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Appraise(evidence, attest.Want{Subject: identity.ID{1}, Nonce: nonce, NowUnixNS: now}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyResult(b *testing.B) {
	d := constellation(b)
	id := d.Beacons[0].ID()
	encoded := affirm(b, d, id, machine(b, attesttest.Variation{}))
	r := attest.Relying{Directory: d, Policy: attest.PolicyOf(d.Beacons[0]), Subject: id, Audience: "test", NowUnixNS: now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attest.VerifyResult(encoded, r); err != nil {
			b.Fatal(err)
		}
	}
}
