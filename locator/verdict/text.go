package verdict

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Text returns the verdict and its explanation in aligned lines for people, ending in a newline.
func (v Verdict) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", v.kind, v.Reason())
	params, judged := v.Params()
	if !judged {
		return b.String()
	}
	fmt.Fprintf(&b, "assumes: signals no faster than in %s, at most f = %d faulty domains, a core below %.0f m/s\n",
		params.Speed, params.F, float64(params.VMax))
	e, _ := v.Explain()
	writeBeacons(&b, e.Beacons)
	area, _ := v.RegionKM2()
	if v.region.Empty() {
		b.WriteString("region: empty")
	} else {
		fmt.Fprintf(&b, "region: at most %.0f km²", area)
	}
	if touches, known := v.Touches(); known && len(touches) > 0 {
		fmt.Fprintf(&b, ", may touch %s", some(touches))
	}
	b.WriteString("\n")
	if f := e.Forbidden; f != nil {
		fmt.Fprintf(&b, "%s\n", f)
	}
	if s := e.Settle; s != nil {
		fmt.Fprintf(&b, "would be Inside if the round trip to %s had been %.3f µs shorter\n", label(s.Beacon, s.Place), float64(s.LessNS)/1e3)
	}
	return b.String()
}

// some cuts a long list of jurisdictions for people; JSON carries it whole.
func some(touches []string) string {
	const shown = 16
	if len(touches) <= shown {
		return strings.Join(touches, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(touches[:shown], " "), len(touches)-shown)
}

// writeBeacons puts the tightest bound first: it is the one that people look for.
func writeBeacons(b *strings.Builder, beacons []Beacon) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "beacon\tplace\trtt\tradius\tslack\t")
	tightest := slices.SortedStableFunc(slices.Values(beacons), func(a, b Beacon) int { return cmp.Compare(a.Radius, b.Radius) })
	for _, l := range tightest {
		note := ""
		switch {
		case l.Ignored:
			note = "too old"
		case l.Decided:
			note = "decided"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", short(l.ID), l.Place, l.RTT, l.Radius, l.Slack, note)
	}
	w.Flush()
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// String is one line for people.
func (f *Forbidden) String() string {
	where := f.At.String()
	if len(f.Touches) > 0 {
		where += " (" + strings.Join(f.Touches, " ") + ")"
	}
	if f.InRegion {
		return fmt.Sprintf("nearest place that the bounds allow and that is not shown to be permitted: %s, %s from %s", where, f.Distance, label(f.Beacon, f.Place))
	}
	return fmt.Sprintf("nearest place that is not shown to be permitted: %s, %s from %s, ruled out", where, f.Distance, label(f.Beacon, f.Place))
}

func label(id, place string) string {
	if place == "" {
		return short(id)
	}
	return place
}

// short cuts long ids for tables; JSON carries them whole.
func short(id string) string {
	if len(id) > 16 {
		return id[:16]
	}
	return id
}

// beaconJSON has the names of the design's contract for `ursa up --json`.
type beaconJSON struct {
	ID       string    `json:"id"`
	Place    string    `json:"place"`
	RTTMinNS earth.RTT `json:"rtt_min_ns"`
	RadiusM  float64   `json:"radius_m"`
	SlackM   float64   `json:"slack_m"`
	Decided  bool      `json:"decided"`
	Ignored  bool      `json:"ignored,omitempty"`
}

type forbiddenJSON struct {
	earth.LatLon
	Beacon    string   `json:"beacon"`
	DistanceM float64  `json:"distance_m"`
	InRegion  bool     `json:"in_region"`
	Touches   []string `json:"touches,omitempty"`
}

type settleJSON struct {
	Beacon string    `json:"beacon"`
	LessNS earth.RTT `json:"less_ns"`
}

type verdictJSON struct {
	Verdict   string         `json:"verdict"`
	Check     Check          `json:"check"`
	Reason    string         `json:"reason"`
	Speed     string         `json:"speed,omitempty"`
	F         *int           `json:"f,omitempty"`
	RegionKM2 *float64       `json:"region_km2"`
	Touches   []string       `json:"touches"`
	Beacons   []beaconJSON   `json:"beacons"`
	Forbidden *forbiddenJSON `json:"forbidden"`
	Settle    *settleJSON    `json:"settle"`
}

// MarshalJSON returns the verdict and its explanation as one object; what is unknown is null.
func (v Verdict) MarshalJSON() ([]byte, error) {
	out := verdictJSON{Verdict: v.kind.String(), Check: v.check, Reason: v.Reason(), Beacons: []beaconJSON{}}
	params, judged := v.Params()
	if !judged {
		return json.Marshal(out)
	}
	out.Speed, out.F = params.Speed.String(), &params.F
	area, _ := v.RegionKM2()
	out.RegionKM2 = &area
	if touches, known := v.Touches(); known {
		out.Touches = append([]string{}, touches...)
	}
	e, _ := v.Explain()
	for _, l := range e.Beacons {
		out.Beacons = append(out.Beacons, beaconJSON{l.ID, l.Place, l.RTT, float64(l.Radius), float64(l.Slack), l.Decided, l.Ignored})
	}
	if f := e.Forbidden; f != nil {
		out.Forbidden = &forbiddenJSON{f.At, f.Beacon, float64(f.Distance), f.InRegion, f.Touches}
	}
	if s := e.Settle; s != nil {
		out.Settle = &settleJSON{s.Beacon, s.LessNS}
	}
	return json.Marshal(out)
}
