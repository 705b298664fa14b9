// Package storetest is the one conformance test that every store passes.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// Core and Chip are those of the account that Enrol makes.
var (
	Core = [32]byte{0xc0}
	Chip = [32]byte{0xcc}
)

// Enrol puts one core with a budget into a store.
func Enrol(t testing.TB, s store.Store, budget lock.Units) {
	t.Helper()
	err := s.Enrol(context.Background(), store.Account{Core: Core, Chip: Chip, Tenant: "t", Platform: "sim",
		Public: []byte("pub"), Enabled: true, Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
}

// Nth is a sound grant: the n-th (from 1) for the enrolled core.
func Nth(n uint64, units lock.Units) store.Grant {
	g := store.Grant{Core: Core, Chip: Chip, LockSeq: n, PrevSeq: n - 1, Units: units, AtUnixNS: int64(n),
		Response: fmt.Appendf(nil, "lease %d", n), Leaf: fmt.Appendf(nil, "leaf %d", n)}
	binary.BigEndian.PutUint64(g.RequestID[:], n)
	binary.BigEndian.PutUint64(g.RequestHash[:], n)
	binary.BigEndian.PutUint64(g.Nonce[:], n)
	binary.BigEndian.PutUint64(g.LockNonce[:], n)
	binary.BigEndian.PutUint64(g.ProofHash[:], n+1)
	binary.BigEndian.PutUint64(g.PrevProof[:], n)
	return g
}

// Run runs the conformance test; open makes an empty store.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"a retry gives the identical bytes", retry},
		{"each refusal has its name and writes nothing", refusals},
		{"the budget hangs on the chip", budget},
		{"one lock nonce, many requests, one grant", parallel},
		{"retry storm, one debit", storm},
		{"the ledger is a chain", ledger},
		{"deposits come into force, once", deposits},
		{"burns pay for grants, once", burns},
		{"denials are counted", denials},
		{"enrolling again never resets", enrol},
		{"challenges are shared, one for a core, one attempt each", challenges},
		{"pruning forgets answers and permits no second grant", pruned},
		{"all accounts are listed", accounts},
		{"buckets hold tenants, policies and the fleet", buckets},
		{"buckets never overflow", huge},
		{"many draw on one bucket at once, never more than it holds", race},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			c.test(t, s)
			if err := s.Check(context.Background()); err != nil {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func spent(t testing.TB, s store.Store) lock.Units {
	t.Helper()
	a, err := s.Account(context.Background(), Core)
	if err != nil {
		t.Fatal(err)
	}
	return a.Spent
}

func retry(t *testing.T, s store.Store) {
	ctx := context.Background()
	Enrol(t, s, 100)
	g := Nth(1, 10)
	first, err := s.Grant(ctx, g)
	if err != nil || first.Repeated {
		t.Fatalf("%v %+v", err, first)
	}
	again := g
	again.Response = []byte("other bytes, made by a second verification")
	second, err := s.Grant(ctx, again)
	if err != nil || !second.Repeated || !bytes.Equal(second.Response, first.Response) || second.Leaf != first.Leaf {
		t.Fatalf("retry: %v %+v", err, second)
	}
	found, ok, err := s.Lookup(ctx, g.Core, g.RequestID, g.RequestHash)
	if err != nil || !ok || !bytes.Equal(found.Response, first.Response) {
		t.Fatalf("lookup: %v %v %+v", err, ok, found)
	}
	if a, ok, err := s.Answer(ctx, g.Core, g.RequestID); err != nil || !ok || !bytes.Equal(a.Response, first.Response) {
		t.Fatalf("answer: %v %v", err, ok)
	}
	if _, ok, err := s.Answer(ctx, g.Core, [16]byte{98}); err != nil || ok {
		t.Fatalf("an answer to nothing: %v %v", err, ok)
	}
	for nonce, want := range map[[32]byte]bool{g.Nonce: true, {9, 9}: false} {
		if used, err := s.Consumed(ctx, nonce); err != nil || used != want {
			t.Fatalf("consumed: %v, want %v (%v)", used, want, err)
		}
	}
	a, err := s.Account(ctx, Core)
	if err != nil || a.LastProof != g.ProofHash || a.PrevProof != g.PrevProof || a.LastAtNS != g.AtUnixNS || a.LastUnits != 10 {
		t.Fatalf("%+v %v", a, err)
	}
	if _, ok, err := s.Lookup(ctx, g.Core, [16]byte{99}, g.RequestHash); ok || err != nil {
		t.Fatalf("found what never was: %v %v", ok, err)
	}
	if got := spent(t, s); got != 10 {
		t.Fatalf("spent %d, want 10", got)
	}
}

func refusals(t *testing.T, s store.Store) {
	ctx := context.Background()
	if _, err := s.Grant(ctx, Nth(1, 1)); !errors.Is(err, store.ErrUnknownCore) {
		t.Fatal(err)
	}
	Enrol(t, s, 100)
	if _, err := s.Grant(ctx, Nth(1, 10)); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*store.Grant)) store.Grant { g := Nth(2, 10); f(&g); return g }
	tests := []struct {
		name string
		g    store.Grant
		want error
	}{
		{"same id, other request", change(func(g *store.Grant) { g.RequestID = Nth(1, 1).RequestID }), store.ErrRequestReused},
		{"challenge nonce again", change(func(g *store.Grant) { g.Nonce = Nth(1, 1).Nonce }), store.ErrNonceUsed},
		{"lock nonce again", change(func(g *store.Grant) { g.LockNonce = Nth(1, 1).LockNonce }), store.ErrLockNonceUsed},
		{"sequence stands still", change(func(g *store.Grant) { g.LockSeq, g.PrevSeq = 1, 1 }), store.ErrSequence},
		{"decided on an old account", change(func(g *store.Grant) { g.PrevSeq = 0 }), store.ErrStale},
		{"more than the budget", change(func(g *store.Grant) { g.Units = 91 }), store.ErrBudget},
		{"zero units", change(func(g *store.Grant) { g.Units = 0 }), store.ErrUnits},
		{"2^63 units", change(func(g *store.Grant) { g.Units = 1 << 63 }), store.ErrUnits},
		{"all units there are", change(func(g *store.Grant) { g.Units = ^lock.Units(0) }), store.ErrUnits},
		{"other chip", change(func(g *store.Grant) { g.Chip = [32]byte{1} }), store.ErrChipMismatch},
		{"no leaf", change(func(g *store.Grant) { g.Leaf = nil }), store.ErrMalformed},
		{"no bytes", change(func(g *store.Grant) { g.Response = nil }), store.ErrMalformed},
		{"no nonce", change(func(g *store.Grant) { g.Nonce = [32]byte{} }), store.ErrMalformed},
		{"no proof", change(func(g *store.Grant) { g.ProofHash = [32]byte{} }), store.ErrMalformed},
		{"redeemed what never was granted", change(func(g *store.Grant) { g.Redeemed = 2 }), store.ErrSequence},
		{"used above accepted", change(func(g *store.Grant) { g.Used = 1 }), store.ErrUnits},
	}
	for _, tt := range tests {
		if _, err := s.Grant(ctx, tt.g); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := s.Enable(ctx, Core, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Grant(ctx, Nth(2, 1)); !errors.Is(err, store.ErrDisabled) {
		t.Error(err)
	}
	if err := s.Enable(ctx, [32]byte{5}, true); !errors.Is(err, store.ErrUnknownCore) {
		t.Error(err)
	}
	h, err := s.Head(ctx)
	if err != nil || h.Size != 1 || spent(t, s) != 10 {
		t.Errorf("a refusal wrote something: head %+v, spent %d, %v", h, spent(t, s), err)
	}
}

func budget(t *testing.T, s store.Store) {
	ctx := context.Background()
	Enrol(t, s, 10)
	twin := store.Account{Core: [32]byte{0xc1}, Chip: Chip, Tenant: "t", Platform: "sim", Public: []byte("p2"), Enabled: true, Budget: 10}
	if err := s.Enrol(ctx, twin); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Grant(ctx, Nth(1, 6)); err != nil {
		t.Fatal(err)
	}
	g := Nth(1, 6)
	g.Core, g.Nonce, g.LockNonce = twin.Core, [32]byte{1}, [32]byte{2}
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrBudget) {
		t.Fatalf("a second core on the chip doubled the budget: %v", err)
	}
	g.Units = 4
	if _, err := s.Grant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Wallet(ctx, Chip, 1); err != nil || left != 0 {
		t.Fatalf("left %d, %v", left, err)
	}
}

func parallel(t *testing.T, s store.Store) {
	Enrol(t, s, 1<<40)
	const n = 1000
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			g := Nth(1, 1)
			binary.BigEndian.PutUint64(g.RequestID[8:], uint64(i)+1)
			binary.BigEndian.PutUint64(g.Nonce[8:], uint64(i)+1)
			_, errs[i] = s.Grant(context.Background(), g)
		})
	}
	wg.Wait()
	granted := 0
	for _, err := range errs {
		switch {
		case err == nil:
			granted++
		case errors.Is(err, store.ErrLockNonceUsed):
		default:
			t.Errorf("refused for another reason: %v", err)
		}
	}
	if granted != 1 || spent(t, s) != 1 {
		t.Fatalf("%d grants for one lock nonce, %d spent", granted, spent(t, s))
	}
}

func storm(t *testing.T, s store.Store) {
	Enrol(t, s, 1<<40)
	out := make([]store.Result, 300)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			g := Nth(1, 7)
			g.Response = fmt.Appendf(nil, "attempt %d", i)
			var err error
			if out[i], err = s.Grant(context.Background(), g); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, r := range out {
		if !bytes.Equal(r.Response, out[0].Response) {
			t.Fatalf("two answers to one request: %q and %q", r.Response, out[0].Response)
		}
	}
	if got := spent(t, s); got != 7 {
		t.Fatalf("spent %d, want 7", got)
	}
}

func ledger(t *testing.T, s store.Store) {
	ctx := context.Background()
	Enrol(t, s, 1<<40)
	if h, err := s.Head(ctx); err != nil || h != (store.Head{}) {
		t.Fatalf("an empty ledger has head %+v, %v", h, err)
	}
	if _, err := s.Append(ctx, []byte("policy 1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, nil); !errors.Is(err, store.ErrMalformed) {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 5; n++ {
		if r, err := s.Grant(ctx, Nth(n, 1)); err != nil || r.Leaf != n {
			t.Fatal(r, err)
		}
	}
	leaves, err := s.Leaves(ctx, 0, 6)
	if err != nil {
		t.Fatal(err)
	}
	var prev [32]byte
	for i, l := range leaves {
		prev = store.ChainHash(prev, uint64(i), l.Data)
		if l.Hash != prev || l.Index != uint64(i) {
			t.Fatalf("leaf %d does not follow", i)
		}
	}
	if h, err := s.Head(ctx); err != nil || h.Size != 6 || h.Hash != prev {
		t.Fatalf("head %+v %v", h, err)
	}
	for _, r := range [][2]uint64{{0, 7}, {3, 3}, {9, 2}} {
		if _, err := s.Leaves(ctx, r[0], r[1]); !errors.Is(err, store.ErrRange) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func denials(t *testing.T, s store.Store) {
	ctx := context.Background()
	for range 3 {
		if err := s.Deny(ctx, "verdict"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Deny(ctx, ""); !errors.Is(err, store.ErrMalformed) {
		t.Error(err)
	}
	if d, err := s.Denials(ctx); err != nil || len(d) != 1 || d["verdict"] != 3 {
		t.Fatalf("%v %v", d, err)
	}
}

func enrol(t *testing.T, s store.Store) {
	ctx := context.Background()
	Enrol(t, s, 10)
	if _, err := s.Grant(ctx, Nth(1, 10)); err != nil {
		t.Fatal(err)
	}
	Enrol(t, s, 15)
	a, err := s.Account(ctx, Core)
	if left, werr := s.Wallet(ctx, Chip, 1); err != nil || werr != nil || a.Spent != 10 || a.LastSeq != 1 || left != 5 {
		t.Fatalf("%+v, left %d, %v %v", a, left, err, werr)
	}
	Enrol(t, s, 5) // a budget cut below what is spent leaves nothing, and wraps nowhere
	if _, err := s.Grant(ctx, Nth(2, 1)); !errors.Is(err, store.ErrBudget) {
		t.Fatal(err)
	}
	a.Chip = [32]byte{7}
	if err := s.Enrol(ctx, a); !errors.Is(err, store.ErrChipMismatch) {
		t.Fatalf("moved to a fresh chip and a fresh budget: %v", err)
	}
	if err := s.Enrol(ctx, store.Account{}); !errors.Is(err, store.ErrMalformed) {
		t.Fatal(err)
	}
	if _, err := s.Account(ctx, [32]byte{9}); !errors.Is(err, store.ErrUnknownCore) {
		t.Fatal(err)
	}
}

func deposits(t *testing.T, s store.Store) {
	ctx := context.Background()
	d := store.Deposit{ID: [16]byte{1}, Chip: Chip, Units: 50, Leaf: []byte("deposit"), AtUnixNS: 1}
	if _, err := s.Deposit(ctx, d); !errors.Is(err, store.ErrUnknownCore) {
		t.Fatal(err)
	}
	Enrol(t, s, 10)
	first, err := s.Deposit(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Deposit(ctx, d); err != nil || again != first {
		t.Fatalf("the same deposit twice: %d and %d, %v", first, again, err)
	}
	later := d
	later.ID, later.Units, later.NotBeforeNS = [16]byte{2}, 100, 1000
	if _, err := s.Deposit(ctx, later); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*store.Deposit)) store.Deposit { x := d; f(&x); return x }
	for name, tt := range map[string]struct {
		d    store.Deposit
		want error
	}{
		"other units under the id": {change(func(d *store.Deposit) { d.Units++ }), store.ErrDeposit},
		"nothing":                  {change(func(d *store.Deposit) { d.Units = 0 }), store.ErrUnits},
		"more than can be counted": {change(func(d *store.Deposit) { d.ID[0], d.Units = 9, 1<<63-1 }), store.ErrUnits},
		"no id":                    {change(func(d *store.Deposit) { d.ID = [16]byte{} }), store.ErrMalformed},
	} {
		if _, err := s.Deposit(ctx, tt.d); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for at, want := range map[int64]lock.Units{1: 60, 999: 60, 1000: 160} {
		if got, err := s.Wallet(ctx, Chip, at); err != nil || got != want {
			t.Errorf("at %d the wallet holds %d, want %d (%v)", at, got, want, err)
		}
	}
	g := Nth(1, 61)
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrBudget) {
		t.Fatalf("a deposit was used before its time: %v", err)
	}
	g.AtUnixNS = 1000
	if _, err := s.Grant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Wallet(ctx, Chip, 1); err != nil || got != 0 {
		t.Errorf("before the deposit's time the wallet holds %d, %v", got, err)
	}
	if h, err := s.Head(ctx); err != nil || h.Size != 3 {
		t.Errorf("%d leaves, %v", h.Size, err)
	}
}

func burns(t *testing.T, s store.Store) {
	ctx := context.Background()
	b := store.Burn{ID: [16]byte{1}, Core: Core, Units: 30, Leaf: []byte("burn"), AtUnixNS: 1}
	if _, err := s.Burn(ctx, b); !errors.Is(err, store.ErrUnknownCore) {
		t.Fatal(err)
	}
	Enrol(t, s, 40)
	first, err := s.Burn(ctx, b)
	if err != nil || first.Left() != 30 {
		t.Fatal(first, err)
	}
	g := Nth(1, 20)
	g.Burn = b.ID
	if _, err := s.Grant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Burn(ctx, b); err != nil || again.Leaf != first.Leaf || again.Left() != 10 {
		t.Fatalf("the same burn twice: %+v, %v", again, err)
	}
	if got := spent(t, s); got != 30 {
		t.Fatalf("burnt 30, granted 20 of it, spent %d", got)
	}
	g = Nth(2, 11)
	g.Burn = b.ID
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrBurnUsed) {
		t.Fatalf("more than was burnt: %v", err)
	}
	g.Burn = [16]byte{9}
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrUnknownBurn) {
		t.Fatalf("a burn that never was: %v", err)
	}
	if _, err := s.Burnt(ctx, [32]byte{7}, b.ID); !errors.Is(err, store.ErrUnknownBurn) {
		t.Fatalf("another core's burn: %v", err)
	}
	more := b
	more.Units = 31
	if _, err := s.Burn(ctx, more); !errors.Is(err, store.ErrRequestReused) {
		t.Fatalf("other units under the id: %v", err)
	}
	more.ID = [16]byte{2}
	more.Units = 11
	if _, err := s.Burn(ctx, more); !errors.Is(err, store.ErrBudget) {
		t.Fatalf("more than the wallet holds: %v", err)
	}
	g = Nth(2, 10) // the rest of the wallet pays without a burn
	if _, err := s.Grant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if err := s.Enable(ctx, Core, false); err != nil {
		t.Fatal(err)
	}
	more.Units = 1
	if _, err := s.Burn(ctx, more); !errors.Is(err, store.ErrDisabled) {
		t.Fatal(err)
	}
}
