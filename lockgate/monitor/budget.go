package monitor

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// bucket is one bucket in one window.
type bucket struct {
	of   policy.Bucket
	name string // of the tenant or the policy; empty for the fleet
	per  policy.Window
	from int64 // Unix ns
}

// charge is a release as its ledger and its evidence tell it.
type charge struct {
	party  int // whose ledger, where there are several
	at     uint64
	leaf   ledger.Leaf
	policy *policy.Policy // nil: not known
	tenant *string        // nil: its evidence was not opened
}

// charges are the releases in the order of the ledger.
func (a *Auditor) charges(party int) []charge {
	out := make([]charge, 0, len(a.grants))
	for _, at := range slices.Sorted(maps.Keys(a.grants)) {
		d := charge{party: party, at: at, leaf: a.grants[at]}
		if p, ok := a.known[d.leaf.PolicyHash]; ok {
			d.policy = &p
		}
		if t, ok := a.tenants[at]; ok {
			d.tenant = &t
		}
		out = append(out, d)
	}
	return out
}

// bounded says whether any policy that is known bounds a bucket.
func (a *Auditor) bounded() bool {
	for _, p := range a.known {
		if len(p.Budgets) > 0 {
			return true
		}
	}
	return false
}

// excess is the first release with which a bucket holds more than the policy in
// force let it.
type excess struct {
	bucket
	charge
	sum, budget uint64
	parts       map[int]uint64 // of sum, by party
}

// exceeded adds up the releases of every window in their order.
//
// A leaf alone says what the fleet draws. Which policy's name a leaf draws on is
// known when that policy is; which tenant's, when its evidence was opened: tenants
// do not stand in the ledger. What is not known is not added, so a finding is
// never a guess, and an auditor without evidence finds nothing of tenants.
func exceeded(charges []charge) []excess {
	var out []excess
	sums := map[bucket]map[int]uint64{}
	over := map[bucket]bool{}
	for _, d := range charges {
		names := map[policy.Bucket]string{policy.BucketFleet: ""}
		if d.policy != nil {
			names[policy.BucketPolicy] = d.policy.Name
		}
		if d.tenant != nil {
			names[policy.BucketTenant] = *d.tenant
		}
		for _, of := range policy.Buckets {
			name, ok := names[of]
			if !ok {
				continue
			}
			var budget policy.Budget
			bounds := false
			if d.policy != nil {
				budget, bounds = d.policy.Budget(of)
			}
			for _, w := range policy.Windows {
				from, _, ok := w.Span(d.leaf.AtUnixMS * int64(time.Millisecond))
				if !ok {
					continue
				}
				b := bucket{of, name, w, from}
				if sums[b] == nil {
					sums[b] = map[int]uint64{}
				}
				sums[b][d.party] = add(sums[b][d.party], d.leaf.Units)
				if !bounds || budget.Per != w || over[b] {
					continue
				}
				if sum := total(sums[b]); sum > budget.Units {
					over[b] = true
					out = append(out, excess{b, d, sum, budget.Units, maps.Clone(sums[b])})
				}
			}
		}
	}
	return out
}

// add is a sum that stays at all ones once it cannot be counted.
func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	return max(sum, -carry)
}

func total(parts map[int]uint64) (sum uint64) {
	for _, u := range parts {
		sum = add(sum, u)
	}
	return sum
}

// overdrawn finds the buckets that hold more than the policy in force let them, in
// the order in which a store counts.
func (a *Auditor) overdrawn() []Finding {
	if !a.bounded() {
		return nil
	}
	var out []Finding
	for _, x := range exceeded(a.charges(0)) {
		out = append(out, Finding{Kind: BudgetExceeded, Leaf: &x.at, Detail: x.String()})
	}
	return out
}

// String tells it in a line.
func (x excess) String() string {
	who := string(x.of)
	if x.name != "" {
		who += fmt.Sprintf(" %q", x.name)
	}
	return fmt.Sprintf("%s: with it %d units in the %s from %s, of a budget of %d", who, x.sum, x.per, time.Unix(0, x.from).UTC().Format(time.RFC3339), x.budget)
}
