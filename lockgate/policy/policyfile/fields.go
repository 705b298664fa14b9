package policyfile

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// field is one key of the file.
type field struct {
	name     string
	required bool
	means    string // what to write, for people
	read     func(*reader, *yaml.Node, *File)
}

// fields is the language, one line a key. The published schema says the same,
// and a test holds them together.
var fields []field

func init() { // the table mentions functions that mention the table (hint)
	fields = []field{
		{"name", true, "a name for people", text(func(f *File, s string) { f.Policy.Name = s })},
		{"version", true, "1, then higher with every change", count(func(f *File, n *uint64) { f.Policy.Version = *n })},
		{"permit", true, "a region, such as DE or EU27+CH", permit},
		{"speed", true, "vacuum or fibre", text(func(f *File, s string) { f.Policy.Speed = s })},
		{"f", true, "how many beacon domains may be faulty, such as 1", count(func(f *File, n *uint64) { f.Policy.F = n })},
		{"min_domains", true, "how many domains must answer, at least 2f+1", count(func(f *File, n *uint64) { f.Policy.MinDomains = n })},
		{"min_statements", true, "how many beacons must answer", count(func(f *File, n *uint64) { f.Policy.MinStatements = n })},
		{"max_age", true, "how old a challenge may be, such as 10s", duration(func(f *File, n *uint64) { f.Policy.MaxAgeMS = n })},
		{"v_max", true, "how fast a core may travel, such as 350 m/s", speed},
		{"timing", true, "both or beacon", text(func(f *File, s string) { f.Policy.Timing = policy.Timing(s) })},
		{"attest", true, "the attestation profiles accepted, a list", attested},
		{"audience", true, "the constellation's name", text(func(f *File, s string) { f.Policy.Audience = s })},
		{"max_units", true, "most units in one lease, in ms of CPU time", count(func(f *File, n *uint64) { f.Policy.MaxUnits = n })},
		{"t_off", true, "within what time of its last lease a core stops, such as 20s", duration(func(f *File, n *uint64) { f.Policy.TOffMS = n })},
		{"lease_ttl", true, "how long a lease lives at most, such as 60s", duration(func(f *File, n *uint64) { f.Policy.LeaseTTLMS = n })},
		{"not_before", true, "when the policy comes into force, such as 2026-01-01T00:00:00Z", instant(func(f *File, n *int64) { f.Policy.NotBeforeUnixNS = n })},
		{"not_after", true, "when it ends, such as 2027-01-01T00:00:00Z", instant(func(f *File, n *int64) { f.Policy.NotAfterUnixNS = n })},
		{"per_mille", false, "the speed granted in thousandths, such as 250", count(func(f *File, n *uint64) { f.Policy.PerMille = n })},
		{"scheme", true, "lease, keys, burn or combined", text(func(f *File, s string) { f.Policy.Scheme = policy.Scheme(s) })},
		{"step_units", false, "units that one key opens, so that a lease is opened in steps", count(func(f *File, n *uint64) { f.Policy.StepUnits = n })},
		{"hours", false, "when in the week, in UTC, a list of days, from and to", hours},
		{"veto_outside", false, "deny when the estimate puts so much outside, such as 95%", share(func(f *File, n *uint64) { f.Policy.VetoPerMille = n })},
		{"exemptions", false, "who may do more, and until when, a list", exemptions},
		{"budgets", false, "what tenant, policy and fleet may draw in an hour or a day, such as tenant: {units: 1000000, per: day}", budgets},
		{"examples", false, "proofs with the decision expected, a list", examples},
	}
}

// scalar is a node's text, when it has one.
func (r *reader) scalar(n *yaml.Node, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		r.bad(n, "write %s", want)
		return "", false
	}
	return n.Value, true
}

func text(set func(*File, string)) func(*reader, *yaml.Node, *File) {
	return func(r *reader, n *yaml.Node, f *File) {
		if s, ok := r.scalar(n, "a word"); ok {
			set(f, s)
		}
	}
}

// count is a plain decimal number: no sign, no underscore, no other base.
func count(set func(*File, *uint64)) func(*reader, *yaml.Node, *File) {
	return func(r *reader, n *yaml.Node, f *File) {
		s, ok := r.scalar(n, "a whole number")
		if !ok {
			return
		}
		v, err := strconv.ParseUint(s, 10, 63)
		if err != nil || strconv.FormatUint(v, 10) != s {
			r.bad(n, "%q is no whole number: write digits only", s)
			return
		}
		set(f, &v)
	}
}

// duration is written with its unit and kept in milliseconds.
func duration(set func(*File, *uint64)) func(*reader, *yaml.Node, *File) {
	return func(r *reader, n *yaml.Node, f *File) {
		s, ok := r.scalar(n, "a time with its unit, such as 10s")
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d%time.Millisecond != 0 {
			r.bad(n, "%q is no time in whole milliseconds: write such as 1500ms, 10s or 5m", s)
			return
		}
		ms := uint64(d / time.Millisecond)
		set(f, &ms)
	}
}

func instant(set func(*File, *int64)) func(*reader, *yaml.Node, *File) {
	return func(r *reader, n *yaml.Node, f *File) {
		s, ok := r.scalar(n, "an instant, such as 2026-01-01T00:00:00Z")
		if !ok {
			return
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.Year() < 1971 || t.Year() > 2200 {
			r.bad(n, "%q is no instant: write such as 2026-01-01T00:00:00Z", s)
			return
		}
		ns := t.UnixNano()
		set(f, &ns)
	}
}

// permit is a region expression; what it means is looked up by Check.
func permit(r *reader, n *yaml.Node, f *File) {
	if s, ok := r.scalar(n, "a region, such as DE or EU27+CH"); ok {
		f.Policy.Permit = s
		f.permits = append(f.permits, where(n))
	}
}

// where is a region expression with the place of its first character.
func where(n *yaml.Node) permitAt {
	at := permitAt{expr: n.Value, line: n.Line, column: n.Column, inline: n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		at.column++
	}
	return at
}

// share is written in percent and kept in thousandths.
func share(set func(*File, *uint64)) func(*reader, *yaml.Node, *File) {
	return func(r *reader, n *yaml.Node, f *File) {
		s, ok := r.scalar(n, "a share, such as 95%")
		if !ok {
			return
		}
		number, percent := strings.CutSuffix(s, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if perMille := math.Round(v * 10); percent && err == nil && v >= 0 && v <= 100 && math.Abs(perMille-v*10) < 1e-6 {
			n := uint64(perMille)
			set(f, &n)
			return
		}
		r.bad(n, "%q is no share: write it in percent with at most one decimal, such as 95%% or 99.5%%", s)
	}
}

// speed is written in m/s or km/h and kept in mm/s, rounded up.
func speed(r *reader, n *yaml.Node, f *File) {
	s, ok := r.scalar(n, "a speed with its unit, such as 350 m/s")
	if !ok {
		return
	}
	number, unit, _ := strings.Cut(s, " ")
	v, err := strconv.ParseFloat(number, 64)
	scale := map[string]float64{"m/s": 1000, "km/h": 1000 / 3.6}[unit]
	if err != nil || scale == 0 || !(v > 0 && v < 1e6) {
		r.bad(n, "%q is no speed: write such as 350 m/s or 90 km/h", s)
		return
	}
	mm := uint64(math.Ceil(v * scale))
	f.Policy.VMaxMMPS = &mm
}

// entries calls each with the keys of every entry of a list of mappings; an
// optional key that is not there is nil.
func (r *reader) entries(n *yaml.Node, known, optional []string, each func(n *yaml.Node, get func(string) *yaml.Node)) {
	before := len(r.problems)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.bad(n, "write a list: each entry begins with a dash")
		return
	}
	for _, e := range n.Content {
		values := r.keys(e, known, optional)
		if len(r.problems) == before {
			each(e, func(k string) *yaml.Node { return values[k] })
		}
	}
}

// keys are the values of a mapping.
func (r *reader) keys(e *yaml.Node, known, optional []string) map[string]*yaml.Node {
	all := append(slices.Clone(known), optional...)
	if e.Kind != yaml.MappingNode {
		r.bad(e, "write the fields %s", strings.Join(all, ", "))
		return nil
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(e.Content); i += 2 {
		k := e.Content[i]
		switch {
		case values[k.Value] != nil:
			r.bad(k, "%s stands here twice", k.Value)
		case !slices.Contains(all, k.Value):
			r.bad(k, "unknown field %q: the fields here are %s", k.Value, strings.Join(all, ", "))
		}
		values[k.Value] = e.Content[i+1]
	}
	for _, k := range known {
		if values[k] == nil {
			r.bad(e, "%s is missing", k)
		}
	}
	return values
}
