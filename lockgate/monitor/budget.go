package monitor

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// bucket is one bucket in one window.
type bucket struct {
	of   policy.Bucket
	name string // of the tenant or the policy; empty for the fleet
	per  policy.Window
	from int64 // Unix ns
}

// overdrawn adds up the releases of every window in the order of the ledger, which
// is the order in which a store counts them, and finds the first leaf with which a
// bucket holds more than the policy in force let it.
//
// A leaf alone says what the fleet draws. Which policy's name a leaf draws on is
// known when that policy is; which tenant's, when its evidence was opened: tenants
// do not stand in the ledger. What is not known is not added, so a finding is
// never a guess, and an auditor without evidence finds nothing of tenants.
func (a *Auditor) overdrawn() []Finding {
	var out []Finding
	bounded := false
	for _, p := range a.known {
		bounded = bounded || len(p.Budgets) > 0
	}
	if !bounded {
		return nil
	}
	sums := map[bucket]uint64{}
	over := map[bucket]bool{}
	for _, at := range slices.Sorted(maps.Keys(a.grants)) {
		l := a.grants[at]
		p, known := a.known[l.PolicyHash]
		names := map[policy.Bucket]string{policy.BucketFleet: ""}
		if known {
			names[policy.BucketPolicy] = p.Name
		}
		if tenant, opened := a.tenants[at]; opened {
			names[policy.BucketTenant] = tenant
		}
		for _, of := range policy.Buckets {
			name, ok := names[of]
			if !ok {
				continue
			}
			budget, bounds := p.Budget(of) // none of a policy that is not known
			for _, w := range policy.Windows {
				from, _, ok := w.Span(l.AtUnixMS * int64(time.Millisecond))
				if !ok {
					continue
				}
				b := bucket{of, name, w, from}
				sum, carry := bits.Add64(sums[b], l.Units, 0)
				sums[b] = max(sum, -carry) // all ones once it cannot be counted
				if bounds && budget.Per == w && sums[b] > budget.Units && !over[b] {
					over[b] = true
					out = append(out, Finding{Kind: BudgetExceeded, Leaf: &at, Detail: b.exceeded(sums[b], budget.Units)})
				}
			}
		}
	}
	return out
}

func (b bucket) exceeded(sum, budget uint64) string {
	who := string(b.of)
	if b.name != "" {
		who += fmt.Sprintf(" %q", b.name)
	}
	return fmt.Sprintf("%s: with it %d units in the %s from %s, of a budget of %d", who, sum, b.per, time.Unix(0, b.from).UTC().Format(time.RFC3339), budget)
}
