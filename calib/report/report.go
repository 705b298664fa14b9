// Package report puts a calibration into tables: what the audit says of each node, what the model says of it, and how well the model
// holds, for each node and for the fleet.
//
// It believes the audit's report and the model that it is handed, and decides nothing. It promises that every figure is of the set it
// names: shares are counted on the set's pairs, also those of the accused. What cannot be said is absent, never zero. What an attacker
// may do: put any text into a node's name; tables quote nothing, JSON and CSV escape it.
package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Status is what the audit says of a node.
type Status string

// The statuses.
const (
	Clear     Status = "clear"
	Suspected Status = "suspected"
	Convicted Status = "convicted"
)

// Line is a bestline: round trip = intercept + slope · distance.
type Line struct {
	SlopeMSPerKM float64 `json:"slope_ms_per_km"`
	InterceptMS  float64 `json:"intercept_ms"`
	SpeedC       float64 `json:"speed_c"` // the slope as a share of the speed of light
}

// Beacon is one node of the set.
type Beacon struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Country  string   `json:"country"`
	Lat      float64  `json:"lat"`
	Lon      float64  `json:"lon"`
	Status   Status   `json:"status"`
	Pairs    int      `json:"pairs"`                // measured
	OffsetMS *float64 `json:"offset_ms,omitempty"`  // access delay beyond the fleet's median; absent for nodes without a fitted pair
	Bestline *Line    `json:"bestline,omitempty"`   // absent when it has none
	Within95 *float64 `json:"within_95,omitempty"`  // share of its pairs in the fleet's 95 % band
	MedianZ  *float64 `json:"median_z,omitempty"`   // median normal score of its pairs: positive is slower than the fleet
	Fastest  *float64 `json:"fastest_c,omitempty"`  // its fastest pair as a share of the speed of light, of pairs 100 km apart or more with unaccused nodes
	MedianMS *float64 `json:"median_ms,omitempty"`  // of its round trips
	Nearest  *float64 `json:"nearest_km,omitempty"` // claimed distance to its nearest measured peer
}

// Row is the fleet's curve at one distance.
type Row struct {
	DistanceKM float64  `json:"distance_km"`
	Pairs      int      `json:"pairs"` // measured within a third of the distance
	FloorMS    float64  `json:"floor_ms"`
	P05MS      float64  `json:"p05_ms"`
	P50MS      float64  `json:"p50_ms"`
	P95MS      float64  `json:"p95_ms"`
	Within95   *float64 `json:"within_95,omitempty"` // share of these pairs in the 95 % band; absent without pairs
}

// Fleet is the model as a whole.
type Fleet struct {
	Model         string             `json:"model"`
	Issued        string             `json:"issued"`
	Expires       string             `json:"expires"`
	Inputs        string             `json:"inputs_sha256"`
	Pairs         int                `json:"pairs"`
	Impossible    int                `json:"impossible"` // left out: faster than light in fibre
	Profile       string             `json:"profile"`
	HeldOut       map[string]float64 `json:"held_out_nats"`
	HeldOutWithin float64            `json:"held_out_within_95"`
	Within95      *float64           `json:"within_95,omitempty"` // of this set's pairs; absent without pairs
	FastestC      float64            `json:"fastest_c"`
	Bestline      *Line              `json:"bestline,omitempty"`
	Curve         []Row              `json:"curve"`
}

// Report is a calibration in tables.
type Report struct {
	Data    string       `json:"data"`
	Fleet   Fleet        `json:"fleet"`
	Beacons []Beacon     `json:"beacons"` // in the set's order
	Audit   audit.Report `json:"audit"`
}

// Make reports on a set with its audit and a model, which may have been fitted elsewhere.
func Make(set *dataset.Set, r audit.Report, m *model.Model) Report {
	out := Report{Data: set.Name, Audit: r, Beacons: make([]Beacon, set.Len())}
	status := make([]Status, set.Len())
	for _, a := range r.Suspected {
		status[a.Index] = Suspected
	}
	for _, a := range r.Convicted {
		status[a.Index] = Convicted
	}
	known := map[string]model.Beacon{}
	for _, b := range m.Beacons {
		known[b.ID] = b
	}
	all := make([]model.Pair, 0, set.Pairs())
	for i, n := range set.Nodes {
		b := &out.Beacons[i]
		*b = Beacon{ID: n.ID, Name: n.Name, Country: n.Country, Lat: n.At.Lat, Lon: n.At.Lon, Status: status[i]}
		if b.Status == "" {
			b.Status = Clear
		}
		if k, ok := known[n.ID]; ok && k.Pairs > 0 {
			b.OffsetMS, b.Bestline = ptr(round(k.OffsetMS, 3)), lineOf(k.Bestline)
		}
		pairs := pairsOf(set, i)
		b.measure(pairs, m.Curve)
		b.Fastest = fastest(set, i, status)
		all = append(all, pairs...)
	}
	out.Fleet = fleetOf(m, all)
	return out
}

// pairsOf returns the pairs of one node; each pair of the set is met twice, once from either end.
func pairsOf(set *dataset.Set, i int) (pairs []model.Pair) {
	for j, n := range set.Nodes {
		if rtt, ok := set.RTT(i, j); ok && i != j {
			pairs = append(pairs, model.Pair{Distance: model.Kilometres(earth.GreatCircle(set.Nodes[i].At, n.At).Kilometres()), RTT: rtt})
		}
	}
	return pairs
}

// measure fills in what the node's own pairs say.
func (b *Beacon) measure(pairs []model.Pair, c *model.Curve) {
	b.Pairs = len(pairs)
	if len(pairs) == 0 {
		return
	}
	within, _ := c.Within(0.95, pairs)
	var z, ms []float64
	nearest := math.Inf(1)
	for _, p := range pairs {
		score, _ := c.Score(p.RTT, p.Distance)
		z, ms = append(z, score), append(ms, p.RTT.Millis())
		nearest = min(nearest, float64(p.Distance))
	}
	b.Within95, b.MedianZ, b.MedianMS, b.Nearest = ptr(round(within, 4)), ptr(round(median(z), 3)), ptr(round(median(ms), 3)), ptr(round(nearest, 1))
}

// fastest is the greatest speed between a node and those that nobody accuses.
func fastest(set *dataset.Set, i int, status []Status) *float64 {
	most := 0.0
	for j, n := range set.Nodes {
		rtt, ok := set.RTT(i, j)
		if km := earth.GreatCircle(set.Nodes[i].At, n.At).Kilometres(); ok && i != j && status[j] == "" && km >= 100 {
			most = max(most, 2e6*km/rtt.Millis()/float64(earth.Light))
		}
	}
	if most == 0 {
		return nil
	}
	return ptr(round(most, 4))
}

func fleetOf(m *model.Model, pairs []model.Pair) Fleet {
	f := Fleet{Model: m.Name, Issued: utc(m.IssuedUnixNS), Expires: utc(m.ExpiresUnixNS), Inputs: fmt.Sprintf("%x", m.Inputs), Pairs: m.Pairs,
		Impossible: m.Impossible, Profile: m.Profile.String(), HeldOut: map[string]float64{}, HeldOutWithin: round(m.HeldOutWithin, 4),
		FastestC: round(m.FastestShareOC, 4), Bestline: lineOf(m.Bestline)}
	for _, s := range m.Scores {
		f.HeldOut[s.Profile.String()] = round(s.HeldOut, 4)
	}
	if within, ok := m.Curve.Within(0.95, pairs); ok {
		f.Within95 = ptr(round(within, 4))
	}
	for _, d := range []model.Kilometres{50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000} {
		near := slices.DeleteFunc(slices.Clone(pairs), func(p model.Pair) bool { return p.Distance < d*3/4 || p.Distance > d*4/3 })
		ms := func(p float64) float64 { return round(m.Curve.Quantile(p, d).Millis(), 3) }
		row := Row{DistanceKM: float64(d), Pairs: len(near) / 2, FloorMS: round(model.Floor(d).Millis(), 3), P05MS: ms(0.05), P50MS: ms(0.5), P95MS: ms(0.95)}
		if share, ok := m.Curve.Within(0.95, near); ok {
			row.Within95 = ptr(round(share, 4))
		}
		f.Curve = append(f.Curve, row)
	}
	return f
}

func lineOf(l *model.Bestline) *Line {
	if l == nil {
		return nil
	}
	return &Line{SlopeMSPerKM: round(l.Slope, 6), InterceptMS: round(l.Intercept, 3), SpeedC: round(2e6/(l.Slope*float64(earth.Light)), 4)}
}

// Text tells people: the fleet, then the nodes, the slowest and the accused first.
func (r Report) Text(w io.Writer) error {
	b := &strings.Builder{}
	f := r.Fleet
	fmt.Fprintf(b, "%s: %d nodes, %d pairs; %d convicted, %d suspected\n", r.Data, len(r.Beacons), r.Audit.Pairs, len(r.Audit.Convicted), len(r.Audit.Suspected))
	fmt.Fprintf(b, "model %s of %s, valid until %s, inputs sha-256 %.16s: %d pairs, profile %s\n", f.Model, f.Issued, f.Expires, f.Inputs, f.Pairs, f.Profile)
	fmt.Fprintf(b, "95 %% band: %.1f %% of held-out pairs, %s of this set's\n", 100*f.HeldOutWithin, percent(f.Within95))
	if l := f.Bestline; l != nil {
		fmt.Fprintf(b, "bestline of the fleet: %.2f ms + %.4f ms/km (%.3f c)\n", l.InterceptMS, l.SlopeMSPerKM, l.SpeedC)
	}
	fmt.Fprintf(b, "\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "km\tpairs\tfloor ms\t5 %\tmedian\t95 %\tin 95 % band\t")
	for _, c := range f.Curve {
		fmt.Fprintf(t, "%.0f\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t\n", c.DistanceKM, c.Pairs, c.FloorMS, c.P05MS, c.P50MS, c.P95MS, percent(c.Within95))
	}
	t.Flush()
	fmt.Fprintf(b, "\n")
	t = tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "id\tname\tclaims\tstatus\tpairs\toffset ms\tbestline\tin 95 % band\tmedian z\tfastest\tnearest km")
	for _, n := range r.ranked() {
		line := "-"
		if n.Bestline != nil {
			line = fmt.Sprintf("%.1f ms + %.3f c", n.Bestline.InterceptMS, n.Bestline.SpeedC)
		}
		fmt.Fprintf(t, "%.8s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", n.ID, n.Name, n.Country, n.Status, n.Pairs, shown(n.OffsetMS, "%+.1f"), line,
			shown(n.Within95, "%.3f"), shown(n.MedianZ, "%+.2f"), shown(n.Fastest, "%.3f c"), shown(n.Nearest, "%.0f"))
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

// ranked orders the nodes by status, then by how far their pairs lie from the fleet.
func (r Report) ranked() []Beacon {
	rank := map[Status]int{Convicted: 0, Suspected: 1, Clear: 2}
	list := slices.Clone(r.Beacons)
	away := func(b Beacon) float64 {
		if b.MedianZ == nil {
			return -1
		}
		return math.Abs(*b.MedianZ)
	}
	slices.SortStableFunc(list, func(a, b Beacon) int {
		if d := rank[a.Status] - rank[b.Status]; d != 0 {
			return d
		}
		switch x, y := away(a), away(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// WriteBeacons writes the nodes as a table for other programs, units in the names; what is unknown is empty.
func (r Report) WriteBeacons(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id", "name", "country_iso2", "lat_deg", "lon_deg", "status", "pairs", "offset_ms", "bestline_slope_ms_per_km", "bestline_intercept_ms",
		"within_95_share", "median_z", "fastest_c", "median_ms", "nearest_km"}); err != nil {
		return err
	}
	for _, b := range r.Beacons {
		slope, intercept := "", ""
		if b.Bestline != nil {
			slope, intercept = number(b.Bestline.SlopeMSPerKM), number(b.Bestline.InterceptMS)
		}
		if err := out.Write([]string{b.ID, b.Name, b.Country, number(b.Lat), number(b.Lon), string(b.Status), strconv.Itoa(b.Pairs), optional(b.OffsetMS), slope, intercept,
			optional(b.Within95), optional(b.MedianZ), optional(b.Fastest), optional(b.MedianMS), optional(b.Nearest)}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

func shown(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**share)
}

func ptr(v float64) *float64 { return &v }

func round(v float64, digits int) float64 {
	s := math.Pow(10, float64(digits))
	return math.Round(v*s) / s
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func utc(unixNS int64) string { return time.Unix(0, unixNS).UTC().Format(time.RFC3339) }
