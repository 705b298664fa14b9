package store_test

import (
	"path/filepath"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// TestMigratesVersion1: what an older program wrote is taken over as it is, its
// answer still answers, and its nonces are still used.
func TestMigratesVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	g := storetest.Nth(1, 10)
	if err := store.WriteVersion1(path, storetest.Core[:], storetest.Chip[:], g.RequestID[:], g.RequestHash[:], g.Nonce[:], g.LockNonce[:],
		g.ProofHash[:], g.PrevProof[:], string(g.Response), string(g.Leaf)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to migrate
		s := open(t, path, store.Options{})
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		drawn, err := s.Drawn(t.Context(), store.Draw{Tenant: "t", AtUnixNS: 1, Budgets: []store.Budget{
			{Of: store.OfFleet, Hours: 24, Units: 1}, {Of: store.OfTenant, Hours: 1, Units: 1}}})
		if err != nil || drawn[0] != 10 || drawn[1] != 10 {
			t.Fatalf("what was drawn before is not counted: %v %v", drawn, err)
		}
		if r, err := s.Grant(t.Context(), g); err != nil || !r.Repeated || string(r.Response) != "lease 1" {
			t.Fatalf("%+v %v", r, err)
		}
		_ = s.Close()
	}
	s := open(t, path, store.Options{})
	for n := uint64(2); n <= 3; n++ {
		if _, err := s.Grant(t.Context(), storetest.Nth(n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	// The answer of version 1 names no nonce, so it stays; the one after it goes.
	if n, err := s.Prune(t.Context(), 1<<60, 10); err != nil || n != 1 {
		t.Fatalf("%d went, %v", n, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Grant(t.Context(), g); err != nil || !r.Repeated {
		t.Fatalf("%+v %v", r, err)
	}
}
