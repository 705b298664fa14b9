package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Bucket is whose releases a budget bounds, beyond the wallet of each chip.
type Bucket string

// The buckets.
const (
	BucketFleet  Bucket = "fleet"  // every release of the gates on one store
	BucketPolicy Bucket = "policy" // under policies of this name, whatever version
	BucketTenant Bucket = "tenant" // of each tenant, for all its cores together
)

// Buckets are all of them, ascending.
var Buckets = []Bucket{BucketFleet, BucketPolicy, BucketTenant}

// Window is a stretch of time in UTC that a budget is for. Windows are fixed and
// stand side by side. So an instant alone says which window it lies in, and
// whoever adds up the ledger's leaves of that window sees what the gate saw; a
// rolling window would depend on the instant of every release before, to the
// nanosecond, and could not be added up again from leaves. What it costs: at the
// turn of a window a bucket may be drawn on twice within a moment.
type Window string

// The windows.
const (
	PerHour Window = "hour"
	PerDay  Window = "day"
)

// Windows are all of them.
var Windows = []Window{PerHour, PerDay}

// MaxBudget is the most units that a budget may be.
const MaxBudget = 1 << 58

// Budget bounds what a bucket may release in one window.
type Budget struct {
	Of    Bucket `cbor:"1,keyasint"`
	Per   Window `cbor:"2,keyasint"`
	Units uint64 `cbor:"3,keyasint"`
}

// String is such as "tenant: 1000 units per day".
func (b Budget) String() string { return fmt.Sprintf("%s: %d units per %s", b.Of, b.Units, b.Per) }

// Hours is how long a window is; 0 for none of the windows.
func (w Window) Hours() uint64 {
	switch w {
	case PerHour:
		return 1
	case PerDay:
		return 24
	}
	return 0
}

// Span is the window that holds an instant, from its beginning to that of the
// next one, in Unix ns; false for none of the windows or a time before 1970.
func (w Window) Span(unixNS int64) (from, to int64, ok bool) {
	length := int64(w.Hours()) * int64(time.Hour)
	if length == 0 || unixNS < 0 {
		return 0, 0, false
	}
	from = unixNS - unixNS%length
	return from, from + length, true
}

// Drawn is what was drawn on a bucket so far, in the window of some instant.
type Drawn struct {
	Of    Bucket
	Per   Window
	Units lock.Units
}

// Left is what a budget still holds after what was drawn. False when that is not
// known: then nothing may be released.
func (b Budget) Left(drawn []Drawn) (lock.Units, bool) {
	for _, d := range drawn {
		if d.Of == b.Of && d.Per == b.Per {
			return lock.Units(b.Units) - min(lock.Units(b.Units), d.Units), true
		}
	}
	return 0, false
}

// Exceeds says whether a budget lets something through that another one of the
// same bucket does not: an hour's budget may be drawn in each hour of a day, and a
// day's in one hour.
func (b Budget) Exceeds(other Budget) bool {
	if b.Per == PerHour && other.Per == PerDay {
		return b.Units > other.Units/24
	}
	return b.Units > other.Units
}

// Budget of a bucket; false when there is none.
func (p Policy) Budget(of Bucket) (Budget, bool) {
	at := slices.IndexFunc(p.Budgets, func(b Budget) bool { return b.Of == of })
	if at < 0 {
		return Budget{}, false
	}
	return p.Budgets[at], true
}

// budgetProblem is the first thing that is wrong with the budgets; empty: nothing.
func (p Policy) budgetProblem() string {
	for i, b := range p.Budgets {
		switch {
		case !slices.Contains(Buckets, b.Of):
			return fmt.Sprintf("budgets: of %q: use tenant, policy or fleet", b.Of)
		case i > 0 && p.Budgets[i-1].Of >= b.Of:
			return "budgets: fleet, policy and tenant must ascend, each named once"
		case b.Per.Hours() == 0:
			return fmt.Sprintf("budgets: of the %s per %q: use hour or day", b.Of, b.Per)
		case b.Units == 0 || b.Units > MaxBudget:
			return fmt.Sprintf("budgets: of the %s: %d units: set it to 1..%d", b.Of, b.Units, uint64(MaxBudget))
		}
	}
	return ""
}
