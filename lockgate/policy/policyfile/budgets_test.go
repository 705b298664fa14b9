package policyfile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
)

const budgeted = `budgets:
  tenant: {units: 1000, per: day}
  fleet: {units: 500, per: hour}
`

func TestBudgetsAreRead(t *testing.T) {
	f, err := policyfile.Parse("x.yaml", []byte(good(t)+budgeted))
	if err != nil {
		t.Fatal(err)
	}
	want := []policy.Budget{{Of: policy.BucketFleet, Per: policy.PerHour, Units: 500}, {Of: policy.BucketTenant, Per: policy.PerDay, Units: 1000}}
	if !slices.Equal(f.Policy.Budgets, want) {
		t.Fatalf("%v", f.Policy.Budgets)
	}
	words := policyfile.Words(f.Policy, 1)
	for _, part := range []string{"To each tenant at most 1000 units are released in any day", "To the whole fleet at most 500 units are released in any hour"} {
		if !strings.Contains(words, part) {
			t.Errorf("%q is not in:\n%s", part, words)
		}
	}
	for text, want := range map[string]string{
		"budgets: 5\n":  "write a budget for tenant, policy or fleet",
		"budgets: {}\n": "write a budget for tenant, policy or fleet",
		"budgets:\n  core: {units: 1, per: day}\n":        "unknown field",
		"budgets:\n  fleet: {units: 1}\n":                 "per is missing",
		"budgets:\n  fleet: {units: 1, per: week}\n":      "write hour or day",
		"budgets:\n  fleet: {units: 1e9, per: day}\n":     "write digits only",
		"budgets:\n  fleet: {units: 0, per: day}\n":       "of the fleet: 0 units",
		"budgets:\n  fleet: 7\n":                          "write the fields",
		"budgets:\n  fleet: {units: 1, per: [day]}\n":     "write hour or day",
		"budgets:\n  fleet: {units: [1], per: day}\n":     "a whole number",
		"budgets:\n  fleet: {units: 1, per: day, x: y}\n": "unknown field",
	} {
		_, err := policyfile.Parse("x.yaml", []byte(good(t)+text))
		if !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
			continue
		}
		if p := policyfile.Problems(err); len(p) != 1 || p[0].Line == 0 {
			t.Errorf("%q: %v", text, p)
		}
	}
}

func TestDiffOfBudgets(t *testing.T) {
	f, err := policyfile.Parse("x.yaml", []byte(good(t)))
	if err != nil {
		t.Fatal(err)
	}
	budget := func(of policy.Bucket, per policy.Window, units uint64) []policy.Budget {
		return []policy.Budget{{Of: of, Per: per, Units: units}}
	}
	tenant := policy.BucketTenant
	for _, tt := range []struct {
		name          string
		before, after []policy.Budget
		want          policyfile.Direction
	}{
		{"new", nil, budget(tenant, policy.PerDay, 9), policyfile.Narrows},
		{"gone", budget(tenant, policy.PerDay, 9), nil, policyfile.Widens},
		{"more", budget(tenant, policy.PerDay, 9), budget(tenant, policy.PerDay, 10), policyfile.Widens},
		{"less", budget(tenant, policy.PerDay, 9), budget(tenant, policy.PerDay, 8), policyfile.Narrows},
		{"a day's, now in each hour", budget(tenant, policy.PerDay, 9), budget(tenant, policy.PerHour, 9), policyfile.Widens},
		{"spread over the hours", budget(tenant, policy.PerDay, 240), budget(tenant, policy.PerHour, 10), policyfile.Narrows},
		{"spread and a little more", budget(tenant, policy.PerDay, 240), budget(tenant, policy.PerHour, 11), policyfile.Both},
		{"the hours' in one day", budget(tenant, policy.PerHour, 10), budget(tenant, policy.PerDay, 240), policyfile.Widens},
		{"an hour's for a day", budget(tenant, policy.PerHour, 10), budget(tenant, policy.PerDay, 10), policyfile.Narrows},
	} {
		before, after := f.Policy, f.Policy
		before.Budgets, after.Budgets = tt.before, tt.after
		changes, err := policyfile.Diff(before, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) != 1 || changes[0].Field != "budgets.tenant" || changes[0].Direction != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, changes, tt.want)
		}
	}
	// Another name opens another bucket of the policy.
	before, after := f.Policy, f.Policy
	before.Budgets = budget(policy.BucketPolicy, policy.PerDay, 9)
	after.Budgets, after.Name = before.Budgets, "other"
	if changes, err := policyfile.Diff(before, after); err != nil || !policyfile.Widened(changes) {
		t.Errorf("%v %v", changes, err)
	}
}
