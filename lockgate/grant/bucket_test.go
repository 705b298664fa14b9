package grant_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func bounded(list ...policy.Budget) granttest.Option {
	return granttest.WithPolicy(func(p *policy.Policy) { p.Budgets = list })
}

// roomy bounds every bucket, so that it is looked at, and never runs dry.
var roomy = []policy.Budget{{Of: policy.BucketFleet, Per: policy.PerDay, Units: 1 << 40}, {Of: policy.BucketPolicy, Per: policy.PerHour, Units: 1 << 40},
	{Of: policy.BucketTenant, Per: policy.PerDay, Units: 1 << 40}}

// drawnSince adds up what each bucket has released in the hours since an instant.
func drawnSince(t *testing.T, st store.Store, from time.Time, name string) map[store.Bucket]lock.Units {
	t.Helper()
	out := map[store.Bucket]lock.Units{}
	for at := from.Truncate(time.Hour); at.Before(time.Now().Add(time.Hour)); at = at.Add(time.Hour) {
		for _, of := range []store.Bucket{store.OfTenant, store.OfPolicy, store.OfFleet} {
			units, err := st.Drawn(t.Context(), store.Draw{Tenant: "t", Policy: name, AtUnixNS: at.UnixNano(), Budgets: []store.Budget{{Of: of, Hours: 1, Units: 1}}})
			if err != nil {
				t.Fatal(err)
			}
			out[of] += units[0]
		}
	}
	return out
}

// allDrew says whether every bucket has released so many units.
func allDrew(t *testing.T, st store.Store, from time.Time, name string, want lock.Units) {
	t.Helper()
	for of, got := range drawnSince(t, st, from, name) {
		if got != want {
			t.Fatalf("%d units were granted, the %s's bucket says %d", want, of, got)
		}
	}
}

// reverified seals a decision and makes it again from the file.
func reverified(t *testing.T, s *granttest.Scene, r grant.Request, d grant.Decision) *evidence.Report {
	t.Helper()
	file, err := evidence.Seal(s.GateKey, s.Published, evidence.Trust{Roots: []identity.Public{s.Roots[0].Public()}, Threshold: 1}, r, d)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(file, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestBuckets: a grant is clipped to what its buckets hold and refused by the
// empty one's name; a retry is charged once; the next window is full; and whoever
// has the evidence comes to the same. The clock is a virtual one, which begins at
// a midnight of UTC: no window ends in between.
func TestBuckets(t *testing.T) {
	for of, refused := range map[policy.Bucket]string{policy.BucketTenant: grant.RefusedTenantBudget,
		policy.BucketPolicy: grant.RefusedPolicyBudget, policy.BucketFleet: grant.RefusedFleetBudget} {
		synctest.Test(t, func(t *testing.T) {
			s := granttest.New(t, bounded(policy.Budget{Of: of, Per: policy.PerHour, Units: 150}))
			for i, want := range []uint64{100, 50, 0} {
				proof, hash := s.Prove(s.Core, s.Ask(s.Core))
				r := s.Request(s.Core, proof, 100)
				d := try(t, s, r)
				if again := try(t, s, r); again.Granted != d.Granted || !bytes.Equal(again.Lease, d.Lease) || again.RefusedBy != d.RefusedBy {
					t.Fatalf("%s %d: a retry is answered otherwise: %q", of, i, again.RefusedBy)
				}
				report := reverified(t, s, r, d)
				if want == 0 {
					if d.RefusedBy != refused || !strings.Contains(d.Reason, "01:00:00Z") || strings.Contains(d.Reason, "150") || report.Finding.RefusedBy != refused {
						t.Fatalf("%s: refused by %q: %s", of, d.RefusedBy, d.Reason)
					}
					continue
				}
				if !d.Granted || uint64(d.Finding.Units) != want || report.Bundle.Decision.Units != want {
					t.Fatalf("%s %d: %d units, refused by %q: %s", of, i, d.Finding.Units, d.RefusedBy, d.Reason)
				}
				s.Core.Chain = hash
				feed(t, s, s.Core, d.Lease)
				work(s.Core)
			}
			if a, err := s.Store.Account(t.Context(), s.Core.Key.ID()); err != nil || a.Spent != 150 {
				t.Fatalf("%s: %d spent, %v", of, a.Spent, err)
			}
			if err := s.Store.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTheNextWindowIsFull: what one hour has drawn says nothing of the next.
func TestTheNextWindowIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Duration(0)
		s := granttest.New(t, bounded(policy.Budget{Of: policy.BucketFleet, Per: policy.PerHour, Units: 60}))
		st := s.Store
		for range 2 {
			units, err := st.Drawn(t.Context(), store.Draw{AtUnixNS: time.Now().UnixNano(), Budgets: []store.Budget{{Of: store.OfFleet, Hours: 1, Units: 60}}})
			if err != nil || units[0] != 0 {
				t.Fatalf("after %v: %v %v", ahead, units, err)
			}
			if ahead > 0 {
				return
			}
			if d := s.Grant(s.Core, 100); !d.Granted || d.Finding.Units != 60 {
				t.Fatalf("%d units, refused by %q: %s", d.Finding.Units, d.RefusedBy, d.Reason)
			}
			ahead = time.Hour
			time.Sleep(ahead)
		}
	})
}

// TestTwoGatesOneBucket: gates on one store decide at once on what the bucket
// held before any of them; what comes too late is refused, and charges nothing.
func TestTwoGatesOneBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := granttest.New(t, bounded(policy.Budget{Of: policy.BucketTenant, Per: policy.PerDay, Units: 250}))
		gates := []*grant.Gate{s.Gate, nil}
		var err error
		if gates[1], err = grant.New(t.Context(), grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy}); err != nil {
			t.Fatal(err)
		}
		var asked []grant.Request
		for i := range 6 {
			c := s.NewCore(granttest.Middle, [32]byte{0xd0, byte(i)})
			s.Enrol(c, 1000)
			s.Gate = gates[i%2]
			proof, _ := s.Prove(c, s.Ask(c))
			asked = append(asked, s.Request(c, proof, 100))
		}
		answers := make([]grant.Decision, len(asked))
		var wg sync.WaitGroup
		for i, r := range asked {
			wg.Go(func() {
				var err error
				if answers[i], err = gates[i%2].Grant(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var sum uint64
		for i, d := range answers {
			if d.Granted {
				sum += uint64(d.Finding.Units)
			} else if d.RefusedBy != grant.RefusedTenantBudget {
				t.Errorf("refused by %q: %s", d.RefusedBy, d.Reason)
			}
			reverified(t, s, asked[i], d)
		}
		drawn, err := s.Store.Drawn(t.Context(), store.Draw{Tenant: "t", AtUnixNS: time.Now().UnixNano(), Budgets: []store.Budget{{Of: store.OfTenant, Hours: 24, Units: 250}}})
		if err != nil || uint64(drawn[0]) != sum || sum < 200 || sum > 250 {
			t.Fatalf("%d granted of 250, %v drawn, %v", sum, drawn, err)
		}
	})
}

// TestWhatIsNotKnownDenies: a case without what was drawn is refused.
func TestWhatIsNotKnownDenies(t *testing.T) {
	b := policy.Budget{Of: policy.BucketFleet, Per: policy.PerDay, Units: 10}
	s := granttest.New(t, bounded(b))
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	r := s.Request(s.Core, proof, 10)
	d := try(t, s, r)
	if !d.Granted {
		t.Fatal(d.RefusedBy)
	}
	report := reverified(t, s, r, d)
	if len(report.Bundle.Drawn()) != 1 || report.Bundle.Drawn()[0].Of != b.Of {
		t.Fatalf("%v", report.Bundle.Drawn())
	}
	forged := d
	forged.Record.Drawn = nil
	file, err := evidence.Seal(s.GateKey, s.Published, evidence.Trust{Roots: []identity.Public{s.Roots[0].Public()}, Threshold: 1}, r, forged)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(file, evidence.Options{}); err == nil {
		t.Fatal("granted on a budget of which nothing is known, and nobody notices")
	}
}
