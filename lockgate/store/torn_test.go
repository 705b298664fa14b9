package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// TestTornLog cuts the engine's write-ahead log anywhere, as a disk does that
// loses power in the middle of a write or kept back what it had said was durable,
// and at times flips a bit of what is left or puts rubbish behind it. What is
// found is always what the store once was, whole grants and no others; next to
// the ledger it is called by its name, old; and retries end as if nothing had
// happened. URSA_CAMPAIGN sets the number of cuts.
func TestTornLog(t *testing.T) {
	const seed, grants = 20261121, 14
	cuts := 30
	if n, err := strconv.Atoi(os.Getenv("URSA_CAMPAIGN")); err == nil {
		cuts = n
	} else if testing.Short() {
		cuts = 6
	}
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "gate.db")
	s := open(t, path, store.Options{})
	storetest.Enrol(t, s, 1<<40)
	for n := uint64(1); n <= grants; n++ {
		if _, err := s.Grant(ctx, storetest.Nth(n, 3)); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	t.Logf("seed %d, a log of %d bytes", seed, len(wal))
	old, whole := 0, 0
	for i := range cuts {
		torn := bytes.Clone(wal[:rng.IntN(len(wal)+1)])
		if len(torn) > 0 && rng.IntN(3) == 0 {
			torn[rng.IntN(len(torn))] ^= 1 << rng.IntN(8)
		}
		if rng.IntN(4) == 0 {
			torn = append(torn, bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(9000))...)
		}
		at := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if os.WriteFile(at, db, 0o600) != nil || os.WriteFile(at+"-wal", torn, 0o600) != nil {
			t.Fatal("cannot write the image")
		}
		if last := resume(t, at, grants); last < grants {
			old++
			if _, err := store.OpenSQLite(ctx, at+".old", store.Options{Seen: seen}); !errors.Is(err, store.ErrRolledBack) {
				t.Fatalf("cut %d holds %d of %d grants and is not called old: %v", i, last, grants, err)
			}
		} else {
			whole++
		}
	}
	t.Logf("%d cuts: %d were old, %d whole", cuts, old, whole)
	if cuts >= 30 && old == 0 {
		t.Fatal("the hard cases did not happen")
	}
}

// resume opens what a cut left, checks it, sends every request again, and
// returns how many grants it held. It leaves a copy of what it found, as .old.
func resume(t *testing.T, path string, grants uint64) uint64 {
	t.Helper()
	ctx := t.Context()
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil || os.WriteFile(path+".old"+end, b, 0o600) != nil {
			t.Fatal("cannot copy the image: ", err)
		}
	}
	s, err := store.OpenSQLite(ctx, path, store.Options{})
	if err != nil {
		return 0 // refused: nothing is granted from it
	}
	defer func() { _ = s.Close() }()
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, storetest.Core)
	if errors.Is(err, store.ErrUnknownCore) {
		return 0 // of before the enrolment
	}
	if err != nil || a.Spent != lock.Units(3*a.LastSeq) || a.LastSeq > grants {
		t.Fatalf("%+v %v", a, err)
	}
	for n := uint64(1); n <= grants; n++ {
		g := storetest.Nth(n, 3)
		g.Response = []byte("bytes of a second verification")
		r, err := s.Grant(ctx, g)
		if err != nil || r.Repeated != (n <= a.LastSeq) || r.Repeated != (string(r.Response) == fmt.Sprintf("lease %d", n)) {
			t.Fatalf("grant %d of %d again: %+v, %v", n, a.LastSeq, r, err)
		}
	}
	if b, err := s.Account(ctx, storetest.Core); err != nil || b.Spent != lock.Units(3*grants) {
		t.Fatalf("spent %d, %v", b.Spent, err)
	}
	return a.LastSeq
}
