package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Bucket is whose units a window counts.
type Bucket string

// The buckets besides the chips' wallets. Every grant is counted in all three,
// whether a budget bounds them or not: one that comes into force in the middle of
// a window finds what was drawn before it.
const (
	OfTenant Bucket = "tenant" // all cores of the tenant that the core is enrolled for
	OfPolicy Bucket = "policy" // all grants under policies of one name, whatever version
	OfFleet  Bucket = "fleet"  // all grants of this store
)

// Budget bounds what may be drawn on a bucket in one window. Windows are fixed
// and begin with an hour or a day of UTC, so that an instant has one window, the
// same for whoever looks at it later; a rolling one would depend on the moment of
// every grant before.
type Budget struct {
	Of    Bucket
	Hours uint64     // length of a window: 1 or 24
	Units lock.Units // most that one window may hold, at most MaxBudget
}

// MaxBudget is the most that a bucket counts: a day of hours of it still fits
// into a whole number of the database.
const MaxBudget = lock.Units(1) << 58

// Draw says on which buckets a grant draws, and when.
type Draw struct {
	Tenant, Policy string
	AtUnixNS       int64
	Budgets        []Budget
}

// Refusals by a bucket: a budget that no longer holds what a decision took it to
// hold, because other grants came first.
var (
	ErrTenantBudget = errors.New("store: the tenant's budget for this window does not hold that many units any more")
	ErrPolicyBudget = errors.New("store: the policy's budget for this window does not hold that many units any more")
	ErrFleetBudget  = errors.New("store: the fleet's budget for this window does not hold that many units any more")
)

const (
	hourNS     = int64(time.Hour)
	keepHours  = 48 // the longest window, and as much again for clocks that differ
	maxBudgets = 6  // three buckets, two windows
)

// problem finds what is wrong with a draw.
func (d Draw) problem() error {
	if d.AtUnixNS <= 0 || len(d.Budgets) > maxBudgets {
		return ErrMalformed
	}
	for _, b := range d.Budgets {
		switch {
		case b.Hours != 1 && b.Hours != 24,
			b.Of != OfTenant && b.Of != OfPolicy && b.Of != OfFleet,
			b.Of == OfTenant && d.Tenant == "",
			b.Of == OfPolicy && d.Policy == "":
			return ErrMalformed
		case b.Units == 0 || b.Units > MaxBudget:
			return ErrUnits
		}
	}
	return nil
}

// name of a bucket among those of its kind.
func (d Draw) name(of Bucket) string {
	switch of {
	case OfTenant:
		return d.Tenant
	case OfPolicy:
		return d.Policy
	}
	return ""
}

// Drawn is what was drawn on buckets so far; see Store.
func (s *SQL) Drawn(ctx context.Context, d Draw) ([]lock.Units, error) {
	if err := d.problem(); err != nil {
		return nil, err
	}
	return drawn(ctx, s.reader(), d)
}

// drawn sums up the hours of each budget's window.
func drawn(ctx context.Context, q querier, d Draw) ([]lock.Units, error) {
	if len(d.Budgets) == 0 {
		return nil, nil
	}
	var query strings.Builder
	var args []any
	sums := make([]int64, len(d.Budgets))
	to := make([]any, len(sums))
	for i, b := range d.Budgets {
		query.WriteString([]string{"SELECT ", ", "}[min(i, 1)])
		query.WriteString(`(SELECT CAST(coalesce(sum(units), 0) AS BIGINT) FROM bucket WHERE kind = ? AND name = ? AND hour >= ? AND hour < ?)`)
		hour := d.AtUnixNS / hourNS
		from := hour - hour%int64(b.Hours)
		args = append(args, string(b.Of), d.name(b.Of), from, from+int64(b.Hours))
		to[i] = &sums[i]
	}
	if err := q.QueryRowContext(ctx, query.String(), args...).Scan(to...); err != nil {
		return nil, fmt.Errorf("store: cannot read buckets: %w", err)
	}
	out := make([]lock.Units, len(sums))
	for i, n := range sums {
		if n < 0 {
			return nil, fmt.Errorf("%w: a negative bucket", ErrChain)
		}
		out[i] = lock.Units(n)
	}
	return out, nil
}

// draw is what a grant draws on. Whose core it is, the account says.
func (g Grant) draw(tenant string) Draw {
	return Draw{Tenant: tenant, Policy: g.Policy, AtUnixNS: g.AtUnixNS, Budgets: g.Budgets}
}

// budgeted refuses a grant that a bucket does not hold.
func (t *txn) budgeted(d Draw, units lock.Units) error {
	have, err := drawn(context.Background(), t.tx, d)
	if err != nil {
		return err
	}
	for i, b := range d.Budgets {
		if have[i] <= b.Units && units <= b.Units-have[i] {
			continue
		}
		switch b.Of {
		case OfTenant:
			return ErrTenantBudget
		case OfPolicy:
			return ErrPolicyBudget
		}
		return ErrFleetBudget
	}
	return nil
}

// charge is the write that counts a grant in its buckets.
func (d Draw) charge(units lock.Units) write {
	var rows []string
	var args []any
	for _, of := range []Bucket{OfTenant, OfPolicy, OfFleet} {
		if of == OfPolicy && d.Policy == "" {
			continue
		}
		rows = append(rows, "(?, ?, ?, ?)")
		args = append(args, string(of), d.name(of), d.AtUnixNS/hourNS, int64(min(units, MaxBudget)))
	}
	return write{StepDebit, fmt.Sprintf(`INSERT INTO bucket (kind, name, hour, units) VALUES %s ON CONFLICT (kind, name, hour) DO UPDATE SET
		units = CASE WHEN bucket.units > %d - excluded.units THEN %d ELSE bucket.units + excluded.units END`,
		strings.Join(rows, ", "), MaxBudget, MaxBudget), args}
}

// pruneBuckets forgets hours that no window of after an instant holds.
func (t *txn) pruneBuckets(before int64) error {
	last := before/hourNS - keepHours
	var n int64
	if err := t.tx.QueryRowContext(context.Background(), `SELECT count(*) FROM bucket WHERE kind = 'fleet' AND hour < ?`, last).Scan(&n); err != nil {
		return fmt.Errorf("store: cannot read buckets: %w", err)
	}
	if n == 0 {
		return nil
	}
	return t.exec(StepDebit, `DELETE FROM bucket WHERE hour < ?`, last)
}

// bucketChecks compare the hours that are kept with one another and with the
// answers that are kept; each counts what is wrong.
var bucketChecks = []struct{ what, query string }{
	{"what the tenants have drawn in an hour is not what the fleet has", fmt.Sprintf(`SELECT count(*) FROM bucket f WHERE f.kind = 'fleet' AND f.units < %d AND
		f.units <> (SELECT coalesce(sum(t.units), 0) FROM bucket t WHERE t.kind = 'tenant' AND t.hour = f.hour)`, MaxBudget)},
	{"the policies have drawn more in an hour than the fleet has", fmt.Sprintf(`SELECT count(*) FROM bucket f WHERE f.kind = 'fleet' AND f.units < %d AND
		f.units < (SELECT coalesce(sum(p.units), 0) FROM bucket p WHERE p.kind = 'policy' AND p.hour = f.hour)`, MaxBudget)},
	{"the answers of an hour are more than the fleet has drawn in it", fmt.Sprintf(`SELECT count(*) FROM
		(SELECT at / %[2]d AS hour, sum(units) AS units FROM request GROUP BY at / %[2]d) AS r
		JOIN bucket f ON f.kind = 'fleet' AND f.hour = r.hour WHERE f.units < %[1]d AND f.units < r.units`, MaxBudget, hourNS)},
}
