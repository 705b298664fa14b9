package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// bounds is a policy with a budget.
func bounds(t testing.TB, of policy.Bucket, units uint64) (policy.Policy, [32]byte) {
	t.Helper()
	p := stage.DefaultPolicy(time.UnixMilli(1_700_000_000_000))
	p.Budgets = []policy.Budget{{Of: of, Per: policy.PerDay, Units: units}}
	hash, err := p.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return p, hash
}

// gates are auditors of as many ledgers, under one policy.
func gates(p policy.Policy, hash [32]byte, names ...string) []Party {
	var out []Party
	for _, n := range names {
		a := NewAuditor(Options{Policies: []policy.Policy{p}})
		a.Read([]Entry{{Index: 0, Leaf: ledger.Leaf{Kind: ledger.KindDirectory, Epoch: 1}}, {Index: 1, Leaf: ledger.Leaf{Kind: ledger.KindPolicy, PolicyHash: hash}}})
		out = append(out, Party{n, a})
	}
	return out
}

// release lets a gate release units: the leaf, and its evidence unless that is nil.
func (p Party) release(hash [32]byte, atMS int64, units uint64, evidence *decision) {
	at := p.Auditor.size
	p.Auditor.Read([]Entry{{Index: at, Leaf: ledger.Leaf{Kind: ledger.KindGrant, AtUnixMS: atMS, Units: units, PolicyHash: hash, Epoch: 1, NotAfterMS: atMS + 1}}})
	if evidence == nil {
		return
	}
	d := *evidence
	d.Granted, d.Leaf, d.Units, d.LeaseUnits, d.Policy, d.LeasePol, d.Epoch, d.DecidedNS = true, at, units, units, hash, hash, 1, atMS*1e6
	d.HoldsNS = d.DecidedNS + 1e9
	p.Auditor.take(p.Name+".ursa", verified{decision: d, policy: p.Auditor.known[hash]})
}

// TestAcross: what two ledgers show together, and none of them alone, and what looks like it and is not.
func TestAcross(t *testing.T) {
	t.Parallel()
	const day = int64(86_400_000)
	core, other := identity.ID{1}, identity.ID{2}
	wallet := func(c identity.ID, chip byte, nonce byte, available uint64) *decision {
		return &decision{Core: c, Chip: [32]byte{chip}, Tenant: "t", Nonce: word(nonce), Previous: word(nonce), Available: available}
	}
	for _, tt := range []struct {
		name string
		of   policy.Bucket
		do   func(a, b Party, h [32]byte)
		want []Kind
		says string
	}{
		{"each within its wallet, and so together", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 40, wallet(core, 1, 1, 100))
			b.release(h, day, 50, wallet(core, 1, 2, 100))
		}, nil, ""},
		{"the same core from two gates", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 40, wallet(core, 1, 1, 100))
			a.release(h, 2*day, 40, wallet(core, 1, 2, 60))
			b.release(h, 3*day, 50, wallet(core, 1, 3, 90))
		}, []Kind{BudgetAcross}, "130 units from 2 gates (a 80, b 50); the most that one of them lets it have is 100"},
		{"another core on the same chip", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 80, wallet(core, 1, 1, 80))
			b.release(h, 2*day, 50, wallet(other, 1, 2, 50))
		}, []Kind{BudgetAcross}, "130 units"},
		{"another chip", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 80, wallet(core, 1, 1, 80))
			b.release(h, 2*day, 50, wallet(other, 2, 2, 50))
		}, nil, ""},
		{"a wallet that was filled up", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 80, wallet(core, 1, 1, 80))
			a.release(h, 2*day, 10, wallet(core, 1, 2, 60))
			b.release(h, 3*day, 50, wallet(core, 1, 3, 50))
		}, nil, ""},
		{"burns pay for themselves", policy.BucketTenant, func(a, b Party, h [32]byte) {
			for i, p := range []Party{a, b} {
				d := wallet(core, 1, byte(i), 80)
				d.Burnt = true
				p.release(h, day+int64(i)*day, 80, d)
			}
		}, nil, ""},
		{"a tenant of two gates", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 60, wallet(core, 1, 1, 100))
			b.release(h, day+1, 60, wallet(other, 2, 2, 100))
		}, []Kind{BudgetAcross}, `tenant "t": with it 120 units in the day from 1970-01-02T00:00:00Z, of a budget of 100, from 2 gates (a 60, b 60)`},
		{"on two days", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day-1, 60, wallet(core, 1, 1, 100))
			b.release(h, day, 60, wallet(other, 2, 2, 100))
		}, nil, ""},
		{"tenants that nobody opened", policy.BucketTenant, func(a, b Party, h [32]byte) {
			a.release(h, day, 60, nil)
			b.release(h, day, 60, nil)
		}, nil, ""},
		{"a fleet, by leaves alone", policy.BucketFleet, func(a, b Party, h [32]byte) {
			b.release(h, day, 60, nil)
			a.release(h, day+1, 60, nil)
		}, []Kind{BudgetAcross}, "fleet: with it 120 units"},
		{"one gate alone is its own finding", policy.BucketFleet, func(a, b Party, h [32]byte) {
			a.release(h, day, 101, nil)
			b.release(h, day+1, 60, nil)
		}, nil, ""},
		{"one lock nonce", policy.BucketTenant, func(a, b Party, h [32]byte) {
			first, second := wallet(core, 1, 1, 100), wallet(core, 1, 1, 100)
			second.Previous = word(9)
			a.release(h, day, 1, first)
			b.release(h, day, 1, second)
		}, []Kind{GrantedTwice}, "the lock nonce had a lease of a, too, by a.ursa"},
		{"one place in the chain of proofs", policy.BucketTenant, func(a, b Party, h [32]byte) {
			first, second := wallet(core, 1, 1, 100), wallet(core, 1, 2, 100)
			second.Previous = first.Previous
			a.release(h, day, 1, first)
			b.release(h, day, 1, second)
		}, []Kind{ProofsForked}, "at a name the same one before"},
		{"after a lost answer", policy.BucketTenant, func(a, b Party, h [32]byte) {
			first, second := wallet(core, 1, 1, 100), wallet(core, 1, 2, 100)
			second.Previous, second.LastSeq = first.Previous, 1
			a.release(h, day, 1, first)
			b.release(h, day, 1, second)
		}, nil, ""},
	} {
		p, h := bounds(t, tt.of, 100)
		list := gates(p, h, "a", "b")
		tt.do(list[0], list[1], h)
		found := Across(list)
		if got := kindsOf(found, Kinds...); !slices.Equal(got, tt.want) || len(got) > 0 && !strings.Contains(found[0].Detail, tt.says) {
			t.Errorf("%s: %v, want %v and %q", tt.name, found, tt.want, tt.says)
		}
		var reports []Report
		for _, x := range list {
			reports = append(reports, x.Auditor.Report(time.UnixMilli(9*day)))
		}
		r := Together(list, reports, found)
		if r.Grants != reports[0].Grants+reports[1].Grants || len(r.Findings) != len(found)+len(reports[0].Findings)+len(reports[1].Findings) || r.Units != reports[0].Units+reports[1].Units {
			t.Errorf("%s, together: %s", tt.name, r.Text())
		}
	}
}

// TestOneLedgerInParts: the releases of one ledger, dealt out to two gates, exceed what they exceeded on one, unless one of the
// two did so alone.
func TestOneLedgerInParts(t *testing.T) {
	t.Parallel()
	p, h := bounds(t, policy.BucketFleet, 100)
	rapid.Check(t, func(t *rapid.T) {
		whole, parts := gates(p, h, "whole"), gates(p, h, "a", "b")
		days := map[int64][2]uint64{}
		at := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "releases") {
			at += rapid.Int64Range(0, 30_000_000).Draw(t, "later")
			units, side := rapid.Uint64Range(1, 60).Draw(t, "units"), rapid.IntRange(0, 1).Draw(t, "gate")
			whole[0].release(h, at, units, nil)
			parts[side].release(h, at, units, nil)
			d := days[at/86_400_000]
			d[side] += units
			days[at/86_400_000] = d
		}
		exceeded, alone := 0, 0
		for _, d := range days {
			if d[0]+d[1] > 100 {
				exceeded++
			}
			for _, u := range d {
				if u > 100 {
					alone++
				}
			}
		}
		count := func(list []Finding, k Kind) int { return len(kindsOf(list, k)) }
		if got := count(whole[0].Auditor.Report(time.Now()).Findings, BudgetExceeded); got != exceeded {
			t.Fatalf("%d days on one ledger, want %d", got, exceeded)
		}
		single := 0
		for _, x := range parts {
			single += count(x.Auditor.Report(time.Now()).Findings, BudgetExceeded)
		}
		if across := count(Across(parts), BudgetAcross); single != alone || across+single < exceeded || across > exceeded {
			t.Fatalf("%d days on several ledgers and %d on one, of %d", across, single, exceeded)
		}
	})
}
