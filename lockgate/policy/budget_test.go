package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
)

func TestBudgetsAreChecked(t *testing.T) {
	sound := policy.Budget{Of: policy.BucketTenant, Per: policy.PerDay, Units: 1}
	for name, tt := range map[string]struct {
		budgets []policy.Budget
		valid   bool
	}{
		"none":              {nil, true},
		"one":               {[]policy.Budget{sound}, true},
		"all":               {[]policy.Budget{{Of: "fleet", Per: "hour", Units: 1}, {Of: "policy", Per: "day", Units: policy.MaxBudget}, sound}, true},
		"twice":             {[]policy.Budget{sound, sound}, false},
		"out of order":      {[]policy.Budget{sound, {Of: "fleet", Per: "hour", Units: 1}}, false},
		"of nobody":         {[]policy.Budget{{Per: policy.PerDay, Units: 1}}, false},
		"in no window":      {[]policy.Budget{{Of: policy.BucketTenant, Units: 1}}, false},
		"of nothing":        {[]policy.Budget{{Of: policy.BucketTenant, Per: policy.PerDay}}, false},
		"more than counted": {[]policy.Budget{{Of: policy.BucketTenant, Per: policy.PerDay, Units: policy.MaxBudget + 1}}, false},
	} {
		p := good()
		p.Budgets = tt.budgets
		if problems := p.Validate(); (len(problems) == 0) != tt.valid {
			t.Errorf("%s: %v", name, problems)
		}
		if o := policy.Evaluate(p, facts()); (o.Answer == policy.True) != tt.valid {
			t.Errorf("%s: %v", name, o.Answer)
		}
	}
}

// TestWindowsStandSideBySide: every instant has exactly one window of each kind,
// and it begins with an hour or a day of UTC.
func TestWindowsStandSideBySide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(0, 1<<62).Draw(t, "at")
		for w, layout := range map[policy.Window]string{policy.PerHour: "2006-01-02T15", policy.PerDay: "2006-01-02"} {
			from, to, ok := w.Span(at)
			if !ok || from > at || to <= at || to-from != int64(w.Hours())*int64(time.Hour) {
				t.Fatalf("%s: %d to %d does not hold %d", w, from, to, at)
			}
			name := func(ns int64) string { return time.Unix(0, ns).UTC().Format(layout) }
			if name(from) != name(at) || name(to-1) != name(at) || name(to) == name(at) {
				t.Fatalf("%s of %d begins at %d", w, at, from)
			}
		}
	})
}

// TestLeft: what is left and what was drawn is the budget; drawn more, nothing is
// left; what is not known releases nothing.
func TestLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := policy.Budget{Of: policy.BucketFleet, Per: policy.PerHour, Units: rapid.Uint64Range(1, policy.MaxBudget).Draw(t, "budget")}
		drawn := lock.Units(rapid.Uint64().Draw(t, "drawn"))
		left, ok := b.Left([]policy.Drawn{{Of: b.Of, Per: policy.PerDay, Units: 0}, {Of: b.Of, Per: b.Per, Units: drawn}})
		if !ok || drawn <= lock.Units(b.Units) && left+drawn != lock.Units(b.Units) || drawn > lock.Units(b.Units) && left != 0 {
			t.Fatalf("%v after %d: %d left", b, drawn, left)
		}
		if left, ok := b.Left([]policy.Drawn{{Of: policy.BucketTenant, Per: b.Per}, {Of: b.Of, Per: policy.PerDay}}); ok || left != 0 {
			t.Fatalf("%d left of what is not known", left)
		}
	})
}
