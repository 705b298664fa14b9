package monitor_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// TestBudgetsInTheLedger: leaves alone show that the fleet, or policies of one
// name, drew more than was theirs, at the first leaf of the window that is too much.
func TestBudgetsInTheLedger(t *testing.T) {
	const hour = int64(3_600_000)
	budget := func(of policy.Bucket, per policy.Window) policy.Policy {
		p := granttest.DefaultPolicy()
		p.Budgets = []policy.Budget{{Of: of, Per: per, Units: 10}}
		return p
	}
	free := granttest.DefaultPolicy()
	other := free
	other.Name, other.Version = "other", 2
	for _, tt := range []struct {
		name     string
		policies []policy.Policy // in force from the beginning; the first bounds
		grants   [][3]int64      // policy, at (ms), units
		want     []uint64        // which grants are too much
	}{
		{"just enough", []policy.Policy{budget("fleet", "hour")}, [][3]int64{{0, 0, 6}, {0, hour - 1, 4}, {0, hour, 10}}, nil},
		{"too much", []policy.Policy{budget("fleet", "hour")}, [][3]int64{{0, 0, 6}, {0, hour - 1, 5}, {0, hour, 10}}, []uint64{1}},
		{"a window is found once", []policy.Policy{budget("fleet", "hour")}, [][3]int64{{0, 0, 11}, {0, 1, 1}, {0, hour, 11}}, []uint64{0, 2}},
		{"a day", []policy.Policy{budget("fleet", "day")}, [][3]int64{{0, 0, 6}, {0, 23 * hour, 5}, {0, 24 * hour, 10}}, []uint64{1}},
		{"what others drew counts for the fleet", []policy.Policy{budget("fleet", "day"), other}, [][3]int64{{1, 0, 6}, {0, 1, 5}}, []uint64{1}},
		{"what was not bounded is no finding", []policy.Policy{budget("fleet", "day"), other}, [][3]int64{{0, 0, 6}, {1, 1, 50}}, nil},
		{"another name is another bucket", []policy.Policy{budget("policy", "day"), other}, [][3]int64{{1, 0, 50}, {0, 1, 10}, {1, 2, 50}}, nil},
		{"another version is not", []policy.Policy{budget("policy", "day"), free}, [][3]int64{{1, 0, 6}, {0, 1, 5}}, []uint64{1}},
		{"tenants are not in the ledger", []policy.Policy{budget("tenant", "day")}, [][3]int64{{0, 0, 60}}, nil},
		{"more than can be counted", []policy.Policy{budget("fleet", "day"), other}, [][3]int64{{1, 0, 1<<63 - 1}, {1, 0, 1<<63 - 1}, {1, 0, 1<<63 - 1}, {0, 0, 1}}, []uint64{3}},
	} {
		leaves := []ledger.Leaf{{Version: 1, Kind: ledger.KindDirectory, Epoch: 1, Object: [32]byte{1}}}
		var hashes [][32]byte
		for _, p := range tt.policies {
			h, err := p.Hash()
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, h)
			leaves = append(leaves, ledger.Leaf{Version: 1, Kind: ledger.KindPolicy, PolicyHash: h, Object: h})
		}
		first := uint64(len(leaves))
		for _, g := range tt.grants {
			leaves = append(leaves, ledger.Leaf{Version: 1, Kind: ledger.KindGrant, AtUnixMS: g[1], Units: uint64(g[2]), PolicyHash: hashes[g[0]], Epoch: 1})
		}
		a := monitor.NewAuditor(monitor.Options{Policies: tt.policies})
		for i, l := range leaves {
			a.Read([]monitor.Entry{{Index: uint64(i), Leaf: l}})
		}
		var got []uint64
		for _, f := range a.Report(time.Now()).Findings {
			if f.Kind == monitor.BudgetExceeded {
				got = append(got, *f.Leaf-first)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: found at %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestBudgetsOfTenants: with the evidence of each release an auditor adds up the
// tenants, too. The gate here is made to forget what the tenant has drawn.
func TestBudgetsOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{Scene: granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) {
			p.Budgets = []policy.Budget{{Of: policy.BucketTenant, Per: policy.PerDay, Units: 100}}
		})), t: t}
		if d := s.decide(s.Core, 80, false); !d.Granted {
			t.Fatal(d.RefusedBy, d.Reason)
		}
		audit := func() []monitor.Finding {
			a := monitor.NewAuditor(monitor.Options{Trust: s.trust().Fingerprint(), Complete: true,
				Tenant: map[identity.ID]string{s.Core.Key.ID(): "as it calls itself"}})
			h, err := s.Store.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stored, err := s.Store.Leaves(t.Context(), 0, h.Size)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range stored {
				l, err := ledger.Decode(x.Data)
				if err != nil {
					t.Fatal(err)
				}
				a.Read([]monitor.Entry{{Index: x.Index, Leaf: l}})
			}
			for _, f := range s.files {
				a.Open(f)
			}
			return a.Report(time.Now()).Findings
		}
		if found := audit(); len(found) != 0 {
			t.Fatal(found)
		}
		s.forget(t)
		d := s.decide(s.Core, 80, false)
		if !d.Granted || d.Finding.Units <= 20 {
			t.Fatalf("%d units, %q", d.Finding.Units, d.RefusedBy)
		}
		found := audit()
		if !slices.Equal(kinds(found), []monitor.Kind{monitor.BudgetExceeded}) || *found[0].Leaf != d.Record.Leaf || !strings.Contains(found[0].Detail, `tenant "t"`) {
			t.Fatal(found)
		}
	})
}

// forget lets the store forget what its buckets counted, by pruning with a clock
// that is days ahead.
func (s *scene) forget(t *testing.T) {
	t.Helper()
	if _, err := s.Store.Prune(t.Context(), time.Now().Add(100*time.Hour).UnixNano(), 100); err != nil {
		t.Fatal(err)
	}
}
