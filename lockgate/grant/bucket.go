package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// bucketRefusal names the check that finds a bucket empty.
func bucketRefusal(of policy.Bucket) string {
	switch of {
	case policy.BucketTenant:
		return RefusedTenantBudget
	case policy.BucketPolicy:
		return RefusedPolicyBudget
	case policy.BucketFleet:
		return RefusedFleetBudget
	}
	return RefusedBudget
}

// emptied says that a budget is spent, and when there is more. It does not say
// how much others have drawn.
func emptied(b policy.Budget, known bool, now int64) string {
	_, to, ok := b.Per.Span(now)
	if !known || !ok {
		return fmt.Sprintf("what was drawn on the %s's budget of this %s is not known", b.Of, b.Per)
	}
	return fmt.Sprintf("the %s's budget of this %s is spent; the next begins at %s", b.Of, b.Per, time.Unix(0, to).UTC().Format(time.RFC3339))
}

// budgets are a policy's in the store's words. Both name buckets alike.
func budgets(p policy.Policy) []store.Budget {
	var out []store.Budget
	for _, b := range p.Budgets {
		out = append(out, store.Budget{Of: store.Bucket(b.Of), Hours: b.Per.Hours(), Units: lock.Units(b.Units)})
	}
	return out
}

// drawn is what the buckets of the policy's budgets have released so far. Others
// may draw until the transaction, which looks again.
func (g *Gate) drawn(ctx context.Context, rec Record) ([]policy.Drawn, error) {
	if len(rec.Policy.Budgets) == 0 {
		return nil, nil
	}
	units, err := g.cfg.Store.Drawn(ctx, store.Draw{Tenant: rec.Account.Tenant, Policy: rec.Policy.Name, AtUnixNS: rec.DecidedUnixNS, Budgets: budgets(rec.Policy)})
	if err != nil {
		return nil, err
	}
	var out []policy.Drawn
	for i, b := range rec.Policy.Budgets {
		out = append(out, policy.Drawn{Of: b.Of, Per: b.Per, Units: units[i]})
	}
	return out, nil
}
