package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/pgtemp"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// server is one PostgreSQL for all tests of the package, started when the first
// one asks for it. URSA_POSTGRES names another server to use instead; its
// database is filled with schemas of random names.
var server = sync.OnceValues(func() (*pgtemp.Server, error) {
	if dsn := os.Getenv("URSA_POSTGRES"); dsn != "" {
		return pgtemp.Existing(dsn), nil
	}
	s, err := pgtemp.Start()
	if err == nil {
		stopServer = s.Stop
	}
	return s, err
})

// stopServer is set when a server was started here.
var stopServer func()

func TestMain(m *testing.M) {
	code := m.Run()
	if stopServer != nil {
		stopServer()
	}
	os.Exit(code)
}

// schemaDSN makes a schema of its own and names it in a data source.
func schemaDSN(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no database server is started")
	}
	s, err := server()
	storetest.Postgres(t, err)
	dsn, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func openPG(t testing.TB, dsn string, opt store.Options) *store.SQL {
	t.Helper()
	s, err := store.OpenPostgres(context.Background(), dsn, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestPostgresConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return openPG(t, schemaDSN(t), store.Options{}) })
}

// TestTwoGatesOnOnePostgres: two gates grant at once, for one lock nonce and for
// one budget; one grant for the nonce, and never more than the budget.
func TestTwoGatesOnOnePostgres(t *testing.T) {
	dsn := schemaDSN(t)
	gates := []*store.SQL{openPG(t, dsn, store.Options{}), openPG(t, dsn, store.Options{})}
	storetest.Enrol(t, gates[0], 50)
	ctx := context.Background()
	var mu sync.Mutex
	granted := 0
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			g := storetest.Nth(1, 1)
			g.RequestID[15], g.Nonce[31] = byte(i+1), byte(i+1)
			_, err := gates[i%2].Grant(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				granted++
			} else if !errors.Is(err, store.ErrLockNonceUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted != 1 {
		t.Fatalf("%d grants for one lock nonce", granted)
	}
	// Twenty cores on the one chip, at both gates, want 90 of the 49 units left.
	spent := lock.Units(0)
	for i := range 30 {
		core := [32]byte{0xe0, byte(i)}
		err := gates[0].Enrol(ctx, store.Account{Core: core, Chip: storetest.Chip, Tenant: "t", Platform: "sim", Public: []byte("p"), Enabled: true, Budget: 50})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			g := storetest.Nth(1, 3)
			g.Core = core
			binary.BigEndian.PutUint64(g.Nonce[8:], uint64(i)+1000)
			binary.BigEndian.PutUint64(g.LockNonce[8:], uint64(i)+1000)
			_, err := gates[i%2].Grant(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				spent += 3
			} else if !errors.Is(err, store.ErrBudget) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	a, err := gates[1].Account(ctx, storetest.Core)
	if err != nil || a.Spent != spent+1 || spent != 48 {
		t.Fatalf("spent %d, %d granted by the second wave, %v", a.Spent, spent, err)
	}
	for _, g := range gates {
		if err := g.Check(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestPostgresFaultsInPairs(t *testing.T) {
	ctx := context.Background()
	const seed = 20261121
	rng := rand.New(rand.NewPCG(seed, 2))
	t.Logf("seed %d", seed)
	faults := 0
	s := openPG(t, schemaDSN(t), store.Options{Fault: func(store.Step) error {
		if rng.IntN(12) == 0 { // only the writer goroutine calls it
			faults++
			return errInjected
		}
		return nil
	}})
	for s.Enrol(ctx, store.Account{Core: storetest.Core, Chip: storetest.Chip, Tenant: "t", Platform: "sim", Public: []byte("pub"), Enabled: true, Budget: 1 << 40}) != nil {
	}
	const grants = 40
	for i := uint64(1); i <= grants; i++ {
		for try := 0; ; try++ {
			g := storetest.Nth(i, 3)
			g.Response = fmt.Appendf(nil, "lease %d, try %d", i, try)
			if _, err := s.Grant(ctx, g); err == nil {
				break
			} else if !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
		}
	}
	a, err := s.Account(ctx, storetest.Core)
	if err != nil || a.Spent != 3*grants || faults < 20 {
		t.Fatalf("spent %d of %d, %d faults, %v", a.Spent, 3*grants, faults, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestTwoGatesOneBucket: two gates on one database never release more than a
// bucket holds.
func TestTwoGatesOneBucket(t *testing.T) {
	dsn := schemaDSN(t)
	storetest.Race(t, openPG(t, dsn, store.Options{}), openPG(t, dsn, store.Options{}))
}
