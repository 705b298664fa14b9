package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// Period is over what stretch of time sums are made, in UTC.
type Period string

// The periods.
const (
	Hour  Period = "hour"
	Day   Period = "day"
	Month Period = "month"
)

// ErrPeriod is none of the periods.
var ErrPeriod = errors.New("monitor: a period is hour, day or month")

// ParsePeriod reads a period.
func ParsePeriod(s string) (Period, error) {
	switch p := Period(s); p {
	case Hour, Day, Month:
		return p, nil
	}
	return "", fmt.Errorf("%w, not %q", ErrPeriod, s)
}

// of is the name of the period that holds an instant; names sort by time.
func (p Period) of(t time.Time) string {
	layout := time.DateOnly
	switch p {
	case Hour:
		layout = "2006-01-02T15Z"
	case Month:
		layout = "2006-01"
	}
	return t.UTC().Format(layout)
}

// Row is what one core did in one period in one jurisdiction, by opened evidence.
type Row struct {
	Period  string `json:"period"`
	Core    string `json:"core"`
	Tenant  string `json:"tenant"`
	Touches string `json:"touches"` // what the region of its proofs touched, such as DE, or AT DE
	Grants  uint64 `json:"grants"`
	Units   uint64 `json:"units"` // released
	Used    uint64 `json:"used"`  // that the lock reported since the report before
	Denied  uint64 `json:"denied"`
}

type rowKey struct{ period, core, tenant, touches string }

// usage adds up rows.
type usage struct {
	per  Period
	sums map[rowKey]*Row
	used map[identity.ID]uint64 // by the newest report
}

func newUsage(p Period) usage {
	return usage{per: p, sums: map[rowKey]*Row{}, used: map[identity.ID]uint64{}}
}

const unknown = "unknown"

func (u usage) add(tenant string, d decision) {
	if tenant == "" {
		tenant = unknown
	}
	where := d.Touches
	if where == "" {
		where = unknown
	}
	k := rowKey{u.per.of(d.at()), d.Core.String(), tenant, where}
	row := u.sums[k]
	if row == nil {
		row = &Row{Period: k.period, Core: k.core, Tenant: k.tenant, Touches: k.touches}
		u.sums[k] = row
	}
	if !d.Granted {
		row.Denied++
		return // its report may be a forged one
	}
	row.Grants++
	row.Units += d.Units
	if d.Used > u.used[d.Core] {
		row.Used += d.Used - u.used[d.Core]
		u.used[d.Core] = d.Used
	}
}

// rows lists them by period, tenant, core and jurisdiction.
func (u usage) rows() []Row {
	out := make([]Row, 0, len(u.sums))
	for r := range maps.Values(u.sums) {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Period, b.Period), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Core, b.Core), cmp.Compare(a.Touches, b.Touches))
	})
	return out
}

// totals sums rows over all time.
func totals(rows []Row) (cores, tenants, jurisdictions map[string]*Sum) {
	cores, tenants, jurisdictions = map[string]*Sum{}, map[string]*Sum{}, map[string]*Sum{}
	for _, r := range rows {
		if r.Grants == 0 {
			continue
		}
		for _, s := range []*Sum{sum(cores, r.Core), sum(tenants, r.Tenant), sum(jurisdictions, r.Touches)} {
			s.Grants += r.Grants
			s.Units += r.Units
		}
	}
	return cores, tenants, jurisdictions
}
