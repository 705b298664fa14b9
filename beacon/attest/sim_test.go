package attest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const (
	now    int64 = 1_800_000_000_000_000_000
	second int64 = 1_000_000_000
)

var expectation = directory.Expectation{Platform: "sim", Measurements: [][]byte{{0xb1}, {0xb2}}, MinTCB: 3}

func key(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n, 0x77})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// machine returns a simulated machine that the expectation accepts, save for the variation.
func machine(t testing.TB, v attesttest.Variation) attest.SimMachine {
	m := attest.SimMachine{Root: key(t, identity.RoleSimRoot, 1), Measurement: []byte{0xb2}, TCB: 3, Debug: v.Debug,
		Migratable: v.Migratable, Machine: [32]byte{7}, NowUnixNS: func() int64 { return now + v.ClockOffsetNS }}
	if v.OtherMeasurement {
		m.Measurement = []byte{0xb3}
	}
	if v.LowTCB {
		m.TCB = 2
	}
	if v.ForeignRoot {
		m.Root = key(t, identity.RoleSimRoot, 2)
	}
	return m
}

func TestSimConforms(t *testing.T) {
	v, err := attest.NewSimVerifier(key(t, identity.RoleSimRoot, 1).Public())
	if err != nil {
		t.Fatal(err)
	}
	attesttest.Run(t, attesttest.Fixture{Verifier: v, Expect: expectation, NowUnixNS: now,
		Attester: func(t *testing.T, v attesttest.Variation) (attest.Attester, string) { return machine(t, v), "" }})
}

// A report signed in another context, or in a wrong form by the right root, is refused.
func TestSimVerifier(t *testing.T) {
	root := key(t, identity.RoleSimRoot, 1)
	v, err := attest.NewSimVerifier(root.Public())
	if err != nil {
		t.Fatal(err)
	}
	seal := func(typ identity.ObjectType, payload []byte) []byte {
		e, err := identity.Seal(root, typ, payload)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := v.Verify(seal(identity.TypeResult, []byte{0xa0}), now); !errors.Is(err, attest.ErrReportSignature) {
		t.Error(err)
	}
	if _, err := v.Verify(seal(identity.TypeEvidence, []byte{0xa0}), now); !errors.Is(err, attest.ErrEvidence) {
		t.Error(err)
	}
	if _, err := attest.NewSimVerifier(key(t, identity.RoleCore, 1).Public()); !errors.Is(err, attest.ErrRoots) {
		t.Error(err)
	}
	if _, err := attest.SimVerifierOf(nil); !errors.Is(err, directory.ErrUnverified) {
		t.Error(err)
	}
	if _, err := attest.Collect(context.Background(), attest.SimMachine{Root: root}, attest.Binding{Subject: identity.ID{1}, Nonce: [32]byte{1}}); err == nil {
		t.Error("a machine without clock attests")
	}
}
