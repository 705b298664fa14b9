package grant_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// TestYesterdaysStoreHalts: a gate whose store was put back to an older copy does
// not start beside its ledger, and says why; one whose copy grew on by itself
// neither.
func TestYesterdaysStoreHalts(t *testing.T) {
	ctx := t.Context()
	path, dir := filepath.Join(t.TempDir(), "gate.db"), t.TempDir()
	key, err := ledger.NewKey("grant.test/yesterday")
	if err != nil {
		t.Fatal(err)
	}
	s := granttest.New(t, granttest.WithStore(path, store.Options{}))
	follow := func(st store.Store) (*ledger.Log, error) {
		return ledger.OpenLog(ctx, ledger.LogConfig{Dir: dir, Key: key, Source: ledger.FromStore(st)})
	}
	log, err := follow(s.Store)
	if err != nil {
		t.Fatal(err)
	}
	cfg := grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy, Ledger: log}
	if s.Gate, err = grant.New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	day := func() {
		d := s.Grant(s.Core, 10)
		if !d.Granted {
			t.Fatal(d.RefusedBy, d.Reason)
		}
		feed(t, s, s.Core, d.Lease)
		work(s.Core)
	}
	day()
	yesterday := filepath.Join(t.TempDir(), "gate.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil || os.WriteFile(yesterday+end, b, 0o600) != nil {
			t.Fatal(err)
		}
	}
	day()
	_ = log.Close()
	_ = s.Store.Close()
	old, err := store.OpenSQLite(ctx, yesterday, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if _, err := follow(old); !errors.Is(err, ledger.ErrRolledBack) || !strings.Contains(err.Error(), "older") {
		t.Fatalf("yesterday's store: %v", err)
	}
	for range 3 {
		if _, err := old.Append(ctx, []byte("another day")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := follow(old); !errors.Is(err, ledger.ErrDiverged) {
		t.Fatalf("yesterday's store with another today: %v", err)
	}
}
