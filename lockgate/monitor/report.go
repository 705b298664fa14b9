package monitor

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Sum is what was released.
type Sum struct {
	Grants uint64 `json:"grants"`
	Units  uint64 `json:"units"`
}

// Report is what an audit came to. Cores, tenants and jurisdictions are known of
// opened evidence only; periods are of all leaves.
type Report struct {
	Leaves        uint64          `json:"leaves"`
	Grants        uint64          `json:"grants"`
	Units         uint64          `json:"units"`
	Deposited     uint64          `json:"deposited_units"`
	Burnt         uint64          `json:"burnt_units"`
	Opened        uint64          `json:"opened"`   // decisions whose evidence verified
	Unopened      uint64          `json:"unopened"` // grants whose evidence nobody opened
	Periods       map[string]*Sum `json:"periods"`  // UTC
	Cores         map[string]*Sum `json:"cores"`
	Tenants       map[string]*Sum `json:"tenants"`
	Jurisdictions map[string]*Sum `json:"jurisdictions"` // what the region touched, such as DE, or AT DE
	Denied        map[string]int  `json:"denied"`        // opened refusals, by check
	Usage         []Row           `json:"usage"`         // over time
	Halls         []Hall          `json:"halls"`         // cores that answer as if from one place
	Findings      []Finding       `json:"findings"`
}

func newReport() Report {
	return Report{Periods: map[string]*Sum{}, Denied: map[string]int{}}
}

func sum(m map[string]*Sum, key string) *Sum {
	if m[key] == nil {
		m[key] = &Sum{}
	}
	return m[key]
}

// Sound says whether nothing was found.
func (r Report) Sound() bool { return len(r.Findings) == 0 }

// Text tells the report: sums, then what was found, one line each.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ledger     %d leaves; %d grants of %d units; deposits of %d, burns of %d\n", r.Leaves, r.Grants, r.Units, r.Deposited, r.Burnt)
	fmt.Fprintf(&b, "evidence   %d decisions opened and made again; %d grants unopened\n", r.Opened, r.Unopened)
	for _, t := range []struct {
		name string
		m    map[string]*Sum
	}{{"period", r.Periods}, {"core", r.Cores}, {"tenant", r.Tenants}, {"touches", r.Jurisdictions}} {
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
	for _, h := range r.Halls {
		fmt.Fprintf(&b, "%-10s %-16s %6d cores  %12d units, %.3f ms from %s\n", "one hall?", h.Period, len(h.Cores), h.Units, float64(h.RTTNS)/1e6, h.Nearest)
	}
	return b.String() + r.FoundText()
}

// FoundText tells what was found, one line each.
func (r Report) FoundText() string {
	if r.Sound() {
		return "nothing was found\n"
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "FOUND      %s\n", f)
	}
	return b.String()
}

// CSV writes the usage over time: period,core,tenant,touches,grants,units,used,denied.
func (r Report) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"period", "core", "tenant", "touches", "grants", "units", "used", "denied"}}
	for _, u := range r.Usage {
		rows = append(rows, []string{u.Period, u.Core, plain(u.Tenant), u.Touches, strconv.FormatUint(u.Grants, 10), strconv.FormatUint(u.Units, 10),
			strconv.FormatUint(u.Used, 10), strconv.FormatUint(u.Denied, 10)})
	}
	if err := c.WriteAll(rows); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}

// plain keeps a tenant's name from being a formula to a spreadsheet.
func plain(name string) string {
	if strings.ContainsAny(name[:min(len(name), 1)], "=+-@\t\r") {
		return "'" + name
	}
	return name
}
