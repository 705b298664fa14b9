package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

const (
	hour = int64(3600_000_000_000)
	noon = 24*1000*hour + 12*hour // of some day
)

// windows are a budget for each bucket and window.
var windows = []store.Budget{{Of: store.OfTenant, Hours: 1, Units: 10}, {Of: store.OfTenant, Hours: 24, Units: 25},
	{Of: store.OfPolicy, Hours: 24, Units: 40}, {Of: store.OfFleet, Hours: 24, Units: 50}}

// drawing is the n-th grant of a core at an instant, under all windows.
func drawing(core byte, n uint64, units lock.Units, at int64) store.Grant {
	g := Nth(n, units)
	g.Core[1], g.Chip[1], g.Nonce[31], g.LockNonce[31] = core, core, core, core
	g.AtUnixNS, g.Policy, g.Budgets = at, "p", windows
	return g
}

// enrolTenant enrols a core on a chip of its own for a tenant.
func enrolTenant(t testing.TB, s store.Store, core byte, tenant string) {
	t.Helper()
	g := drawing(core, 1, 1, 1)
	if err := s.Enrol(context.Background(), store.Account{Core: g.Core, Chip: g.Chip, Tenant: tenant, Platform: "sim",
		Public: []byte{core}, Enabled: true, Budget: 1 << 40}); err != nil {
		t.Fatal(err)
	}
}

// drawnAt is what was drawn in all windows.
func drawnAt(t testing.TB, s store.Store, tenant string, at int64) []lock.Units {
	t.Helper()
	out, err := s.Drawn(context.Background(), store.Draw{Tenant: tenant, Policy: "p", AtUnixNS: at, Budgets: windows})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func buckets(t *testing.T, s store.Store) {
	ctx := context.Background()
	for core, tenant := range map[byte]string{1: "a", 2: "b", 3: "a"} {
		enrolTenant(t, s, core, tenant)
	}
	other := drawing(2, 2, 13, noon+1)
	other.Policy, other.Budgets = "q", nil // counted all the same
	for _, tt := range []struct {
		name   string
		g      store.Grant
		want   error
		tenant string
		drawn  []lock.Units
	}{
		{"the first", drawing(1, 1, 6, noon), nil, "a", []lock.Units{6, 6, 6, 6}},
		{"again", drawing(1, 1, 6, noon), nil, "a", []lock.Units{6, 6, 6, 6}},
		{"more than the tenant's hour", drawing(3, 1, 5, noon+hour-1), store.ErrTenantBudget, "a", []lock.Units{6, 6, 6, 6}},
		{"all of the tenant's hour, by another core", drawing(3, 1, 4, noon+hour-1), nil, "a", []lock.Units{10, 10, 10, 10}},
		{"the next hour", drawing(1, 2, 10, noon+hour), nil, "a", []lock.Units{10, 20, 20, 20}},
		{"more than the tenant's day", drawing(1, 3, 6, noon+2*hour), store.ErrTenantBudget, "a", []lock.Units{0, 20, 20, 20}},
		{"another tenant", drawing(2, 1, 10, noon), nil, "b", []lock.Units{10, 10, 30, 30}},
		{"under another policy", other, nil, "b", []lock.Units{23, 23, 30, 43}},
		{"more than the fleet's day", drawing(3, 2, 8, noon+3*hour), store.ErrTenantBudget, "a", []lock.Units{0, 20, 30, 43}},
		{"the tenant's rest", drawing(3, 2, 5, noon+3*hour), nil, "a", []lock.Units{5, 25, 35, 48}},
		{"another day", drawing(3, 3, 10, noon+12*hour), nil, "a", []lock.Units{10, 10, 10, 10}},
	} {
		before, _ := s.Head(ctx)
		_, err := s.Grant(ctx, tt.g)
		if !errors.Is(err, tt.want) || err != nil && tt.want == nil {
			t.Fatalf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if got := drawnAt(t, s, tt.tenant, tt.g.AtUnixNS); !slices.Equal(got, tt.drawn) {
			t.Fatalf("%s: drawn %v, want %v", tt.name, got, tt.drawn)
		}
		if after, _ := s.Head(ctx); tt.want != nil && after != before {
			t.Fatalf("%s: a refusal wrote", tt.name)
		}
	}
	malformedBudgets(t, s)
	bucketsKept(t, s)
}

// malformedBudgets: what cannot be counted is refused before anything else.
func malformedBudgets(t *testing.T, s store.Store) {
	t.Helper()
	ctx := context.Background()
	for _, tt := range []struct {
		of    store.Bucket
		hours uint64
		units lock.Units
		want  error
	}{
		{"core", 1, 1, store.ErrMalformed}, {store.OfFleet, 2, 1, store.ErrMalformed}, {store.OfFleet, 24, 0, store.ErrUnits},
		{store.OfFleet, 24, store.MaxBudget + 1, store.ErrUnits}, {store.OfPolicy, 24, 1, store.ErrMalformed},
	} {
		g := drawing(3, 4, 1, noon)
		g.Policy, g.Budgets = "", []store.Budget{{Of: tt.of, Hours: tt.hours, Units: tt.units}}
		if _, err := s.Grant(ctx, g); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
		if _, err := s.Drawn(ctx, store.Draw{AtUnixNS: noon, Budgets: g.Budgets}); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// bucketsKept: pruning leaves the windows that count, and forgets the others.
func bucketsKept(t *testing.T, s store.Store) {
	t.Helper()
	if _, err := s.Prune(context.Background(), noon+24*hour, 100); err != nil {
		t.Fatal(err)
	}
	if got := drawnAt(t, s, "a", noon)[3]; got != 48 {
		t.Fatalf("after pruning %d drawn, want 48", got)
	}
	if _, err := s.Prune(context.Background(), noon+100*hour, 100); err != nil {
		t.Fatal(err)
	}
	if got := drawnAt(t, s, "a", noon)[3]; got != 0 {
		t.Fatalf("%d drawn in a day that nobody asks for", got)
	}
}

// huge: counters stay where they can be counted, and a budget is never opened again.
func huge(t *testing.T, s store.Store) {
	ctx := context.Background()
	enrolTenant(t, s, 1, "a")
	if err := s.Enrol(ctx, store.Account{Core: drawing(1, 1, 1, 1).Core, Chip: drawing(1, 1, 1, 1).Chip, Tenant: "a", Platform: "sim",
		Public: []byte{1}, Enabled: true, Budget: 1<<63 - 1}); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 3; n++ {
		g := drawing(1, n, 1<<61, noon)
		g.Budgets = nil
		if _, err := s.Grant(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	g := drawing(1, 4, 1, noon)
	g.Budgets = []store.Budget{{Of: store.OfFleet, Hours: 24, Units: store.MaxBudget}}
	if _, err := s.Grant(ctx, g); !errors.Is(err, store.ErrFleetBudget) {
		t.Fatal(err)
	}
}

// Race lets many cores draw at once on one fleet's budget, at any of some gates on
// one store: exactly as much is granted as it holds.
func Race(t *testing.T, gates ...store.Store) {
	t.Helper()
	const cores, units, budget = 40, 3, 50
	for i := range cores {
		enrolTenant(t, gates[0], byte(i+1), []string{"a", "b"}[i%2])
	}
	var wg sync.WaitGroup
	errs := make([]error, 2*cores)
	for i := range errs { // every request twice, at different gates
		wg.Go(func() {
			g := drawing(byte(i%cores+1), 1, units, noon)
			g.Budgets = []store.Budget{{Of: store.OfFleet, Hours: 24, Units: budget}}
			_, errs[i] = gates[(i+i/cores)%len(gates)].Grant(context.Background(), g)
		})
	}
	wg.Wait()
	granted := 0
	for i, err := range errs {
		if err != nil && !errors.Is(err, store.ErrFleetBudget) {
			t.Fatal(err)
		}
		if i < cores && (err == nil || errs[i+cores] == nil) {
			granted++
		}
	}
	got := drawnAt(t, gates[0], "a", noon)
	if b := drawnAt(t, gates[0], "b", noon); granted != budget/units || got[3] != budget/units*units || got[0]+b[0] != got[3] {
		t.Fatalf("%d grants of %d units on a budget of %d; drawn %v and %v", granted, units, budget, got, b)
	}
}

func race(t *testing.T, s store.Store) { Race(t, s) }
