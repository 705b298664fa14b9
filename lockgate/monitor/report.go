package monitor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
)

// Sum is what was released.
type Sum struct {
	Grants uint64 `json:"grants"`
	Units  uint64 `json:"units"`
}

// Report is what an audit came to. Cores, tenants and jurisdictions are known of
// opened evidence only; days are of all leaves.
type Report struct {
	Leaves        uint64          `json:"leaves"`
	Grants        uint64          `json:"grants"`
	Units         uint64          `json:"units"`
	Deposited     uint64          `json:"deposited_units"`
	Burnt         uint64          `json:"burnt_units"`
	Opened        uint64          `json:"opened"`   // decisions whose evidence verified
	Unopened      uint64          `json:"unopened"` // grants whose evidence nobody opened
	Days          map[string]*Sum `json:"days"`     // UTC
	Cores         map[string]*Sum `json:"cores"`
	Tenants       map[string]*Sum `json:"tenants"`
	Jurisdictions map[string]*Sum `json:"jurisdictions"` // what the region touched, such as DE, or AT DE
	Denied        map[string]int  `json:"denied"`        // opened refusals, by check
	Findings      []Finding       `json:"findings"`
}

func newReport() Report {
	return Report{Days: map[string]*Sum{}, Cores: map[string]*Sum{}, Tenants: map[string]*Sum{}, Jurisdictions: map[string]*Sum{}, Denied: map[string]int{}}
}

func sum(m map[string]*Sum, key string) *Sum {
	if m[key] == nil {
		m[key] = &Sum{}
	}
	return m[key]
}

func (r *Report) day(unixMS int64) *Sum {
	return sum(r.Days, time.UnixMilli(unixMS).UTC().Format(time.DateOnly))
}

// add counts an opened release.
func (r *Report) add(tenant string, e *evidence.Report) {
	if tenant == "" {
		tenant = "unknown"
	}
	where := "unknown"
	if t, ok := e.Finding.Verdict.Touches(); ok && len(t) > 0 {
		where = strings.Join(t, " ")
	}
	for _, s := range []*Sum{sum(r.Cores, e.Bundle.Request.Core.String()), sum(r.Tenants, tenant), sum(r.Jurisdictions, where)} {
		s.Grants++
		s.Units += e.Lease.Terms.Units
	}
}

// Sound says whether nothing was found.
func (r Report) Sound() bool { return len(r.Findings) == 0 }

// Text tells the report.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ledger     %d leaves; %d grants of %d units; deposits of %d, burns of %d\n", r.Leaves, r.Grants, r.Units, r.Deposited, r.Burnt)
	fmt.Fprintf(&b, "evidence   %d decisions opened and made again; %d grants unopened\n", r.Opened, r.Unopened)
	for _, t := range []struct {
		name string
		m    map[string]*Sum
	}{{"day", r.Days}, {"core", r.Cores}, {"tenant", r.Tenants}, {"touches", r.Jurisdictions}} {
		for _, k := range slices.Sorted(maps.Keys(t.m)) {
			name := k
			if t.name == "core" {
				name = k[:min(len(k), 8)]
			}
			fmt.Fprintf(&b, "%-10s %-16s %6d grants %12d units\n", t.name, name, t.m[k].Grants, t.m[k].Units)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Denied)) {
		fmt.Fprintf(&b, "%-10s %-16s %6d\n", "denied by", k, r.Denied[k])
	}
	if r.Sound() {
		b.WriteString("nothing was found\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "FOUND      %s\n", f)
	}
	return b.String()
}
