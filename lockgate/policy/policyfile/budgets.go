package policyfile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// bucketNames are the keys of the section.
func bucketNames() []string {
	var out []string
	for _, b := range policy.Buckets {
		out = append(out, string(b))
	}
	return out
}

// budgets reads what a tenant, the policy and the fleet may draw in a window.
func budgets(r *reader, n *yaml.Node, f *File) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.bad(n, "write a budget for tenant, policy or fleet, such as tenant: {units: 1000000, per: day}")
		return
	}
	before := len(r.problems)
	values := r.keys(n, nil, bucketNames())
	for _, of := range policy.Buckets { // ascending
		v := values[string(of)]
		if v == nil || len(r.problems) > before {
			continue
		}
		fields := r.keys(v, []string{"units", "per"}, nil)
		if len(r.problems) > before {
			return
		}
		b := policy.Budget{Of: of, Per: policy.Window(fields["per"].Value)}
		if !slices.Contains(policy.Windows, b.Per) {
			r.bad(fields["per"], "%q is no window: write hour or day", b.Per)
		}
		count(func(_ *File, u *uint64) { b.Units = *u })(r, fields["units"], f)
		f.Policy.Budgets = append(f.Policy.Budgets, b)
	}
}

// budgetWords is one sentence for each budget, or none.
func budgetWords(p policy.Policy) []string {
	var out []string
	for _, of := range []policy.Bucket{policy.BucketTenant, policy.BucketPolicy, policy.BucketFleet} {
		b, ok := p.Budget(of)
		if !ok {
			continue
		}
		who := map[policy.Bucket]string{policy.BucketTenant: "To each tenant", policy.BucketPolicy: "Under policies of this name", policy.BucketFleet: "To the whole fleet"}[of]
		out = append(out, who+" at most "+plain(b.Units)+" units are released in any "+string(b.Per)+" (of UTC).")
	}
	return out
}

// budgetText is the budget of a bucket in a few words.
func budgetText(p policy.Policy, of policy.Bucket) string {
	b, ok := p.Budget(of)
	if !ok {
		return "none"
	}
	return strings.TrimPrefix(b.String(), string(of)+": ")
}

// budgetDirection: no budget bounds nothing.
func budgetDirection(before, after policy.Policy, of policy.Bucket) Direction {
	a, had := before.Budget(of)
	b, has := after.Budget(of)
	switch {
	case !had && !has:
		return Neither
	case !had:
		return Narrows
	case !has:
		return Widens
	}
	return direction(b.Exceeds(a), a.Exceeds(b))
}

// nameDirection: policies of another name draw on a bucket of their own, which is
// full.
func nameDirection(before, after policy.Policy) Direction {
	if _, had := before.Budget(policy.BucketPolicy); had && before.Name != after.Name {
		return Widens
	}
	return Neither
}
