package grant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// combined asks for burns, and opens leases in steps of a hundred.
func combined(p *policy.Policy) {
	p.Scheme, p.StepUnits = policy.SchemeCombined, new(uint64(100))
}

// TestCombined: deposit, burn, lease on the burn, steps.
func TestCombined(t *testing.T) {
	s := granttest.New(t, granttest.WithPolicy(combined))
	c := s.NewCore(granttest.Middle, [32]byte{0xd0})
	s.Enrol(c, 0) // an empty wallet
	ctx := t.Context()
	if d := s.Grant(c, 500); d.RefusedBy != grant.RefusedBurn {
		t.Fatalf("without a burn: %q (%s)", d.RefusedBy, d.Reason)
	}
	burn := grant.BurnQuestion{Core: c.Key.ID(), ID: [16]byte{7}, Units: 600}
	var no *grant.Denial
	if _, err := s.Gate.Burn(ctx, burn); !errors.As(err, &no) || no.RefusedBy != grant.RefusedBudget {
		t.Fatalf("burnt out of an empty wallet: %v", err)
	}
	if _, err := s.Gate.Deposit(ctx, [16]byte{1}, c.Chip, 1000, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Gate.Deposit(ctx, [16]byte{2}, c.Chip, 9000, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r, err := s.Gate.Burn(ctx, burn)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Gate.Burn(ctx, burn); err != nil || again.Index != r.Index || string(again.Leaf) != string(r.Leaf) {
		t.Fatalf("a retry: %+v %v", again, err)
	}
	if l, err := ledger.Decode(r.Leaf); err != nil || l.Kind != ledger.KindBurn || l.Units != 600 || l.Object != ledger.ObjectOf(ledger.KindBurn, burn.ID, c.Key.ID()) {
		t.Fatalf("%+v %v", l, err)
	}
	ask := func(units lock.Units, id [16]byte) grant.Decision {
		proof, hash := s.Prove(c, s.Ask(c))
		q := s.Request(c, proof, units)
		q.Burn = id
		d := try(t, s, q)
		if d.Granted {
			c.Chain = hash
			feed(t, s, c, d.Lease)
		}
		return d
	}
	d := ask(500, burn.ID)
	if !d.Granted || d.Finding.Units != 500 || c.Lock.Allowance() != 100 {
		t.Fatalf("%q (%s), %d open", d.RefusedBy, d.Reason, c.Lock.Allowance())
	}
	leaves, err := s.Store.Leaves(ctx, d.Record.Leaf, d.Record.Leaf+1)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := ledger.Decode(leaves[0].Data); err != nil || l.Burn == nil || *l.Burn != r.Index {
		t.Fatalf("the grant's leaf does not name its burn: %+v %v", l, err)
	}
	work(c)
	if d := ask(500, burn.ID); !d.Granted || d.Finding.Units != 100 {
		t.Fatalf("of 100 left on the burn, %d were granted, %q", d.Finding.Units, d.RefusedBy)
	}
	work(c)
	if d := ask(500, burn.ID); d.RefusedBy != grant.RefusedBudget {
		t.Fatalf("a burn that is used up: %q", d.RefusedBy)
	}
	if d := ask(500, [16]byte{8}); d.RefusedBy != grant.RefusedBurn {
		t.Fatalf("a burn that never was: %q", d.RefusedBy)
	}
	if _, err := s.Gate.Burn(ctx, grant.BurnQuestion{Core: c.Key.ID(), ID: [16]byte{9}, Units: 401}); !errors.As(err, &no) || no.RefusedBy != grant.RefusedBudget {
		t.Fatalf("more than the wallet holds by now: %v", err)
	}
	if _, err := s.Gate.Burn(ctx, grant.BurnQuestion{Core: c.Key.ID(), ID: [16]byte{9}}); !errors.As(err, &no) || no.RefusedBy != grant.RefusedUnits {
		t.Fatalf("a burn of nothing: %v", err)
	}
	if err := s.Store.Check(ctx); err != nil {
		t.Fatal(err)
	}
}
