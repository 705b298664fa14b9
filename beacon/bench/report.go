package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// What says what kind of round trip a row is about.
type What string

// The kinds of round trips.
const (
	Floor    What = "floor"     // a bare echo by plain system calls
	GoEcho   What = "go-echo"   // a bare echo through net.UDPConn
	PortEcho What = "port-echo" // a round packet through a port, without machine and MAC
	Round    What = "round"     // a round of a real exchange
)

// RoundTrip is what one variant showed. Distances and ratios are against echoes with the same stamps.
type RoundTrip struct {
	Name   string `json:"name"`
	What   What   `json:"what"`
	Path   string `json:"path,omitempty"`
	Stamps string `json:"stamps"` // what stopped the interval: user or kernel
	Summary
	OverFloorMinNS *int64   `json:"over_floor_min_ns,omitempty"`
	OverFloorMinKM *float64 `json:"over_floor_min_km,omitempty"`
	OverFloorP50NS *float64 `json:"over_floor_p50_ns,omitempty"` // median over the turns
	OverFloorP50KM *float64 `json:"over_floor_p50_km,omitempty"`
	OverGoP50      *float64 `json:"p50_by_go_echo,omitempty"` // ratio of the two p50 of a turn, median over the turns
	Noise          *float64 `json:"noise,omitempty"`          // between the quartiles of the blocks' p50, relative to their median
	Lost           int      `json:"lost"`
	Refused        int      `json:"refused"` // by the clock rule

	p50, mins []float64
}

// Kind says what a cost is about.
type Kind string

// The kinds of costs.
const (
	EchoAnswer        Kind = "echo-64"
	Signed64          Kind = "signed-64"
	Signed256         Kind = "signed-256"
	Handshake         Kind = "handshake"
	Session16         Kind = "session-16"
	Session64         Kind = "session-64"
	DatagramSession16 Kind = "datagram-session-16"
	DatagramSession64 Kind = "datagram-session-64"
	Sign              Kind = "sign"
	SignClassical     Kind = "sign-ed25519"
	Verify            Kind = "verify"
	Encapsulate       Kind = "encapsulate"
	ParseKey          Kind = "parse-key"
)

// Cost is the processor time of one item, in the beacon's process alone.
type Cost struct {
	Name          string   `json:"name"`
	Kind          Kind     `json:"kind"`
	Items         int      `json:"items"`
	Micros        float64  `json:"cpu_us"` // median over the blocks
	PerCoreSecond float64  `json:"per_core_second"`
	Batch         *float64 `json:"items_per_signature,omitempty"` // median over the blocks
	Noise         *float64 `json:"noise,omitempty"`
}

// Report is everything that a run showed.
type Report struct {
	CPUs          string      `json:"cpus"`
	Near          int         `json:"near_cpu"`
	Far           int         `json:"far_cpu"`
	Processors    int         `json:"processors"`
	Go            string      `json:"go"`
	Platform      string      `json:"platform"`
	Seed          uint64      `json:"seed"`
	LoadKnown     bool        `json:"load_known"`
	LoadBefore    float64     `json:"load_before"`
	LoadAfter     float64     `json:"load_after"`
	GranularityNS uint64      `json:"clock_granularity_ns"`
	PauseNS       int64       `json:"pause_ns"`
	BlockRounds   int         `json:"rounds_per_block"`
	FailedBlocks  int         `json:"failed_blocks"`
	RoundTrips    []RoundTrip `json:"round_trips"`
	Costs         []Cost      `json:"costs"`
	Two           *Report     `json:"two_cpus,omitempty"` // with goals: the same on two processors, round trips only
	Star          []Ray       `json:"star,omitempty"`     // with goals: through a relay
	Goals         []Goal      `json:"goals,omitempty"`
	Notes         []string    `json:"notes,omitempty"`
}

// file puts measured series into the report, with their distances from the echoes of the same stamps.
func (r *Report) file(all []*series) {
	for _, s := range all {
		sum, ok := summarise(s.all)
		if !ok {
			continue // such as kernel stamps on a platform that has none
		}
		row := s.row
		row.Summary, row.p50, row.mins = sum, s.p50, s.mins
		if noise, ok := spread(s.p50); ok {
			row.Noise = &noise
		}
		r.RoundTrips = append(r.RoundTrips, row)
	}
	for i := range r.RoundTrips {
		r.compare(&r.RoundTrips[i])
	}
	order := []What{Floor, GoEcho, PortEcho, Round}
	slices.SortStableFunc(r.RoundTrips, func(a, b RoundTrip) int {
		return cmp.Or(-cmp.Compare(a.Stamps, b.Stamps), cmp.Compare(slices.Index(order, a.What), slices.Index(order, b.What)))
	})
}

func (r *Report) compare(row *RoundTrip) {
	if floor, ok := r.roundTrip(Floor, "", row.Stamps); ok && row.What != Floor {
		ns := row.MinNS - floor.MinNS
		km := kilometres(float64(ns))
		row.OverFloorMinNS, row.OverFloorMinKM = &ns, &km
		if d, ok := median(pairwise(row.p50, floor.p50, func(a, b float64) float64 { return a - b })); ok {
			km := kilometres(d)
			row.OverFloorP50NS, row.OverFloorP50KM = &d, &km
		}
	}
	if plain, ok := r.roundTrip(GoEcho, "", row.Stamps); ok {
		if ratio, ok := median(pairwise(row.p50, plain.p50, func(a, b float64) float64 { return a / b })); ok {
			row.OverGoP50 = &ratio
		}
	}
}

// roundTrip finds a row; an empty path is any.
func (r *Report) roundTrip(what What, path, stamps string) (RoundTrip, bool) {
	for _, row := range r.RoundTrips {
		if row.What == what && row.Stamps == stamps && (path == "" || row.Path == path) {
			return row, true
		}
	}
	return RoundTrip{}, false
}

// cost finds a row.
func (r *Report) cost(k Kind) (Cost, bool) {
	for _, c := range r.Costs {
		if c.Kind == k {
			return c, true
		}
	}
	return Cost{}, false
}

// pairwise compares what two variants measured in the same turns.
func pairwise(a, b []float64, f func(a, b float64) float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			out = append(out, f(a[i], b[i]))
		}
	}
	return out
}

func (r *Report) fileCosts(all []*ledger) {
	for _, l := range all {
		m, ok := median(l.micros)
		if !ok {
			continue
		}
		row := l.row
		row.Micros = m
		if m > 0 {
			row.PerCoreSecond = 1e6 / m
		}
		if noise, ok := spread(l.micros); ok {
			row.Noise = &noise
		}
		if size, ok := median(l.sizes); ok && row.Kind != EchoAnswer {
			row.Batch = &size
		}
		r.Costs = append(r.Costs, row)
	}
}

// Text prints the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	where := fmt.Sprintf("both ends on processor %d", r.Near)
	if r.CPUs == Two.String() {
		where = fmt.Sprintf("the beacon on processor %d, the core on %d", r.Near, r.Far)
	}
	fmt.Fprintf(&b, "%s of %d, %s, %s, order by seed %d", where, r.Processors, r.Platform, r.Go, r.Seed)
	if r.LoadKnown {
		fmt.Fprintf(&b, "; load %.1f before, %.1f after", r.LoadBefore, r.LoadAfter)
	}
	b.WriteString("\n")
	r.textRoundTrips(&b)
	r.textCosts(&b)
	if r.Two != nil {
		b.WriteString("\n" + r.Two.Text())
	}
	r.textStar(&b)
	r.textGoals(&b)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	if r.FailedBlocks > 0 {
		fmt.Fprintf(&b, "note: %d blocks failed and are not counted\n", r.FailedBlocks)
	}
	return b.String()
}

const micro = 1e3

func (r *Report) textRoundTrips(b *strings.Builder) {
	if len(r.RoundTrips) == 0 {
		return
	}
	fmt.Fprintf(b, "\nround trips in µs, blocks of %d in random order, %d µs apart; km: the radius that the distance to the floor with the same stamps costs\n\n", r.BlockRounds, r.PauseNS/micro)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "round trip\tstamps\tmin\tp50\tp90\tp99\tkm at min\tkm at p50\tp50 : Go echo\tnoise\trounds")
	for _, row := range r.RoundTrips {
		rounds := fmt.Sprint(row.N)
		if row.Lost > 0 {
			rounds += fmt.Sprintf(", %d lost", row.Lost)
		}
		if row.Refused > 0 {
			rounds += fmt.Sprintf(", %d refused by the clock rule", row.Refused)
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.Stamps, float64(row.MinNS)/micro, float64(row.P50NS)/micro,
			float64(row.P90NS)/micro, float64(row.P99NS)/micro, maybe("%.2f", row.OverFloorMinKM, 1), maybe("%.2f", row.OverFloorP50KM, 1),
			maybe("%.2f", row.OverGoP50, 1), maybe("%.0f %%", row.Noise, 100), rounds)
	}
	_ = t.Flush()
}

// maybe prints a figure that may be unknown.
func maybe(format string, v *float64, times float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v*times)
}

func (r *Report) textCosts(b *strings.Builder) {
	if len(r.Costs) == 0 {
		return
	}
	b.WriteString("\nprocessor time of the beacon's process, median over the blocks\n\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tµs\ta second and core\titems a signature\tnoise\titems")
	for _, c := range r.Costs {
		fmt.Fprintf(t, "%s\t%.2f\t%.0f\t%s\t%s\t%d\n", c.Name, c.Micros, c.PerCoreSecond, maybe("%.0f", c.Batch, 1), maybe("%.0f %%", c.Noise, 100), c.Items)
	}
	_ = t.Flush()
}

func (r *Report) textStar(b *strings.Builder) {
	if len(r.Star) == 0 {
		return
	}
	fmt.Fprintf(b, "\nstar of one core and %d beacons through a relay, %v to %v: the minimum of %d rounds beyond what is configured, in µs\n\n",
		len(starRTTs), starRTTs[0], starRTTs[len(starRTTs)-1], starRounds)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "path\tqueues\tmedian excess\tleast excess of any round\trounds below the delay\tminima\trounds")
	for _, a := range r.Star {
		queues := "none"
		if a.HalfEmpty {
			queues = "half empty, else 2 ms"
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%d\t%d\t%d\n", a.Path, queues, a.ExcessP50/micro, float64(a.LeastNS)/micro, a.BelowCount, a.Sessions, a.Rounds)
	}
	_ = t.Flush()
}
