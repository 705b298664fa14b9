package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// asked is the challenge that Nth answers.
func asked(n uint64) store.Challenge {
	g := Nth(n, 1)
	return store.Challenge{Core: Core, Nonce: g.Nonce, LockNonce: g.LockNonce, Envelope: []byte("challenge"), IssuedUnixNS: int64(n), TTLNS: 5}
}

func challenges(t *testing.T, s store.Store) {
	ctx := context.Background()
	if err := s.Ask(ctx, asked(1)); !errors.Is(err, store.ErrUnknownCore) {
		t.Fatal(err)
	}
	Enrol(t, s, 100)
	if _, ok, err := s.Asked(ctx, Core); ok || err != nil {
		t.Fatalf("asked before anybody asked: %v", err)
	}
	if err := s.Ask(ctx, store.Challenge{Core: Core}); !errors.Is(err, store.ErrMalformed) {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 2; n++ {
		if err := s.Ask(ctx, asked(n)); err != nil {
			t.Fatal(err)
		}
	}
	c, ok, err := s.Asked(ctx, Core)
	if want := asked(2); err != nil || !ok || c.Nonce != want.Nonce || c.LockNonce != want.LockNonce || c.IssuedUnixNS != 2 || c.TTLNS != 5 ||
		!bytes.Equal(c.Envelope, want.Envelope) || c.RefusedBy != "" {
		t.Fatalf("%+v %v %v", c, ok, err)
	}
	g := Nth(1, 1)
	g.Asked = true
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrNonceUsed) {
		t.Fatalf("a grant on a challenge that another one has replaced: %v", err)
	}
	g = Nth(2, 1)
	g.Asked, g.PrevSeq = true, 0
	if _, err := s.Grant(ctx, g); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Asked(ctx, Core); ok || err != nil {
		t.Fatalf("open after its grant: %v", err)
	}
	if r, err := s.Grant(ctx, g); err != nil || !r.Repeated {
		t.Fatalf("a retry: %+v %v", r, err)
	}
	refused(t, s)
}

// refused uses a challenge up without a grant.
func refused(t *testing.T, s store.Store) {
	ctx := context.Background()
	if err := s.Ask(ctx, asked(3)); err != nil {
		t.Fatal(err)
	}
	no := asked(3)
	no.Request, no.RefusedBy, no.Reason = [32]byte{7}, "verdict", "outside"
	other := no
	other.Nonce[9]++
	for _, c := range []store.Challenge{other, no} {
		if err := s.Refuse(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	no.Request, no.RefusedBy = [32]byte{8}, "another"
	if err := s.Refuse(ctx, no); err != nil {
		t.Fatal(err)
	}
	if c, ok, err := s.Asked(ctx, Core); err != nil || !ok || c.RefusedBy != "verdict" || c.Reason != "outside" || c.Request != [32]byte{7} {
		t.Fatalf("%+v %v %v", c, ok, err)
	}
	g := Nth(3, 1)
	g.Asked = true
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrNonceUsed) {
		t.Fatalf("a second attempt at a challenge: %v", err)
	}
	if err := s.Refuse(ctx, store.Challenge{Core: Core}); !errors.Is(err, store.ErrMalformed) {
		t.Fatal(err)
	}
}

func pruned(t *testing.T, s store.Store) {
	ctx := context.Background()
	Enrol(t, s, 100)
	if _, err := s.Burn(ctx, store.Burn{ID: [16]byte{1}, Core: Core, Units: 10, Leaf: []byte("burn"), AtUnixNS: 1}); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 8; n++ {
		g := Nth(n, 2)
		if n%2 == 0 {
			g.Burn = [16]byte{1}
		}
		if _, err := s.Grant(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	before, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		before      int64
		limit, want int
	}{{1, 10, 0}, {6, 3, 3}, {6, 3, 2}, {6, 3, 0}, {1 << 60, 100, 2}, {1 << 60, 100, 0}} {
		if n, err := s.Prune(ctx, p.before, p.limit); err != nil || n != p.want {
			t.Fatalf("before %d, at most %d: %d went, want %d (%v)", p.before, p.limit, n, p.want, err)
		}
		if err := s.Check(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := s.Head(ctx); err != nil || h != before {
		t.Fatalf("pruning touched the ledger: %+v, %v", h, err)
	}
	g := Nth(8, 2)
	g.Burn = [16]byte{1}
	if r, err := s.Grant(ctx, g); err != nil || !r.Repeated {
		t.Fatalf("the newest answer is gone: %+v %v", r, err)
	}
	// The same requests as at first, and with new ids: their answers are gone,
	// but no second grant follows.
	for n := uint64(1); n < 8; n++ {
		g := Nth(n, 2)
		if r, err := s.Grant(ctx, g); !errors.Is(err, store.ErrLockNonceUsed) {
			t.Fatalf("granted a second time after pruning: %+v, %v", r, err)
		}
		g.RequestID[0] = 1
		binary.BigEndian.PutUint64(g.LockNonce[8:], n+50)
		if r, err := s.Grant(ctx, g); !errors.Is(err, store.ErrStale) {
			t.Fatalf("granted with another lock nonce after pruning: %+v, %v", r, err)
		}
	}
	if got := spent(t, s); got != 18 { // 8 from the wallet, 10 burnt
		t.Fatalf("%d spent", got)
	}
	for _, bad := range [][2]int64{{0, 1}, {1, 0}, {-1, 5}} {
		if _, err := s.Prune(ctx, bad[0], int(bad[1])); !errors.Is(err, store.ErrMalformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func accounts(t *testing.T, s store.Store) {
	ctx := context.Background()
	for range s.Accounts(ctx) {
		t.Fatal("an account of nobody")
	}
	const n = 300 // more than a page
	for i := range n {
		a := store.Account{Core: [32]byte{byte(i >> 8), byte(i), 1}, Chip: Chip, Tenant: "t", Platform: "sim", Public: []byte("p"), Budget: lock.Units(i)}
		if err := s.Enrol(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	var last [32]byte
	seen := 0
	for a, err := range s.Accounts(ctx) {
		if err != nil || bytes.Compare(last[:], a.Core[:]) >= 0 || a.Tenant != "t" || a.Chip != Chip {
			t.Fatalf("%+v %v", a, err)
		}
		last = a.Core
		seen++
	}
	if seen != n {
		t.Fatalf("%d accounts, want %d", seen, n)
	}
	for range s.Accounts(ctx) {
		break
	}
}
