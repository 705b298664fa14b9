package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// TestPruningProperty: grants, retries, replays under other names and prunings of
// any instant come in any order, for several cores on one chip. Whatever comes:
// the units granted are those of the lock nonces that were granted, each once;
// the books add up; and a newest answer is always there.
func TestPruningProperty(t *testing.T) {
	const seed = 20261121
	events := 250
	if testing.Short() {
		events = 80
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	t.Logf("seed %d", seed)
	s := open(t, filepath.Join(t.TempDir(), "gate.db"), store.Options{})
	ctx := t.Context()
	cores := [3][32]byte{{1}, {2}, {3}}
	for _, c := range cores {
		a := store.Account{Core: c, Chip: storetest.Chip, Tenant: "t", Platform: "sim", Public: []byte("p"), Enabled: true, Budget: 1 << 40}
		if err := s.Enrol(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	var sent [3][]store.Grant // by core
	granted, replays, gone := lock.Units(0), 0, 0
	clock := int64(1)
	for range events {
		clock += rng.Int64N(5)
		c := rng.IntN(len(cores))
		n := uint64(len(sent[c]))
		switch event := rng.IntN(6); {
		case event < 3 || n == 0: // a new one
			g := storetest.Nth(n+1, lock.Units(1+rng.IntN(9)))
			g.Core, g.AtUnixNS = cores[c], clock
			binary.BigEndian.PutUint64(g.Nonce[8:], uint64(c)+1)
			binary.BigEndian.PutUint64(g.LockNonce[8:], uint64(c)+1)
			if _, err := s.Grant(ctx, g); err != nil {
				t.Fatal(err)
			}
			sent[c], granted = append(sent[c], g), granted+g.Units
		case event < 5: // an old one again, as it was or disguised
			g := sent[c][rng.IntN(len(sent[c]))]
			newest := g.LockSeq == n
			if rng.IntN(2) == 0 {
				g.RequestID[0]++
				newest = false
			}
			if rng.IntN(2) == 0 {
				g.LockSeq, g.PrevSeq = n+1, n // says that it is a new one
			}
			r, err := s.Grant(ctx, g)
			replays++
			if err == nil && !r.Repeated {
				t.Fatalf("core %d was granted a second time on lock nonce %x", c, g.LockNonce[:8])
			}
			if newest && (err != nil || string(r.Response) != fmt.Sprintf("lease %d", n)) {
				t.Fatalf("the newest answer of core %d is not there: %v", c, err)
			}
			if err != nil && !errors.Is(err, store.ErrNonceUsed) && !errors.Is(err, store.ErrLockNonceUsed) && !errors.Is(err, store.ErrStale) {
				t.Fatal(err)
			}
		default:
			k, err := s.Prune(ctx, 1+rng.Int64N(clock+3), 1+rng.IntN(20))
			if err != nil {
				t.Fatal(err)
			}
			gone += k
		}
		if a, err := s.Account(ctx, cores[c]); err != nil || a.Spent != granted {
			t.Fatalf("%d granted, %d spent, %v", granted, a.Spent, err)
		}
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d units granted, %d answers pruned, %d replays", granted, gone, replays)
	if gone == 0 || replays == 0 {
		t.Fatal("the hard cases did not happen")
	}
}
