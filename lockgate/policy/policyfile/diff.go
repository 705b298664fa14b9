package policyfile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Direction says what a change does to what is released.
type Direction string

// The directions.
const (
	Widens  Direction = "widens"  // something may be released that was not
	Narrows Direction = "narrows" // something is refused that was not
	Both    Direction = "both"    // one and the other
	Neither Direction = "neither" // nothing of the kind, such as a name
)

// Change is one field that differs.
type Change struct {
	Field     string
	Old, New  string
	Direction Direction
	KM2Wider  float64 // permit: area that is permitted now and was not
	KM2Closer float64 // permit: area that was permitted and is not
}

// String is one line.
func (c Change) String() string {
	s := fmt.Sprintf("%-8s %-15s %s → %s", c.Direction, c.Field, c.Old, c.New)
	if c.Field == "permit" {
		s += fmt.Sprintf(" (%s km² more, %s km² less)", km2(c.KM2Wider), km2(c.KM2Closer))
	}
	return s
}

// Diff compares two policies, field by field.
func Diff(before, after policy.Policy) ([]Change, error) {
	var out []Change
	add := func(field, a, b string, d Direction) {
		if a != b {
			out = append(out, Change{Field: field, Old: a, New: b, Direction: d})
		}
	}
	add("name", before.Name, after.Name, nameDirection(before, after))
	add("version", fmt.Sprint(before.Version), fmt.Sprint(after.Version), Neither)
	if before.Permit != after.Permit {
		c, err := permitChange(before.Permit, after.Permit)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	// Vacuum is the larger bound: fibre makes regions smaller and lets more in.
	add("speed", before.Speed, after.Speed, pickDirection(after.Speed == "fibre"))
	// The core's clock can only make a bound larger.
	add("timing", string(before.Timing), string(after.Timing), pickDirection(after.Timing == policy.TimingBeacon))
	for _, n := range []struct {
		field    string
		old, new *uint64
		format   func(uint64) string
		more     Direction // what a greater value does
	}{
		{"f", before.F, after.F, plain, Narrows},
		{"min_domains", before.MinDomains, after.MinDomains, plain, Narrows},
		{"min_statements", before.MinStatements, after.MinStatements, plain, Narrows},
		{"max_age", before.MaxAgeMS, after.MaxAgeMS, ms, Widens},
		{"v_max", before.VMaxMMPS, after.VMaxMMPS, mmps, Narrows},
		{"max_units", before.MaxUnits, after.MaxUnits, plain, Widens},
		{"t_off", before.TOffMS, after.TOffMS, ms, Widens},
		{"lease_ttl", before.LeaseTTLMS, after.LeaseTTLMS, ms, Widens},
		{"step_units", before.StepUnits, after.StepUnits, plain, Widens},
		{"per_mille", orFull(before.PerMille), orFull(after.PerMille), plain, Widens},
	} {
		add(n.field, show(n.old, n.format), show(n.new, n.format), numberDirection(n.old, n.new, n.more))
	}
	add("not_before", at(before.NotBeforeUnixNS), at(after.NotBeforeUnixNS), instantDirection(before.NotBeforeUnixNS, after.NotBeforeUnixNS, Narrows))
	add("not_after", at(before.NotAfterUnixNS), at(after.NotAfterUnixNS), instantDirection(before.NotAfterUnixNS, after.NotAfterUnixNS, Widens))
	add("attest", onlyIn(before.Attest, after.Attest), onlyIn(after.Attest, before.Attest), attestDirection(before.Attest, after.Attest))
	add("scheme", string(before.Scheme), string(after.Scheme), schemeDirection(before.Scheme, after.Scheme))
	add("hours", week(before.Hours), week(after.Hours), hoursDirection(before.Hours, after.Hours))
	add("veto_outside", veto(before.VetoPerMille), veto(after.VetoPerMille), vetoDirection(before.VetoPerMille, after.VetoPerMille))
	for _, of := range policy.Buckets {
		add("budgets."+string(of), budgetText(before, of), budgetText(after, of), budgetDirection(before, after, of))
	}
	out = append(out, exemptionChanges(before.Exemptions, after.Exemptions)...)
	add("audience", before.Audience, after.Audience, Both)
	return out, nil
}

// Widened says whether any change releases more.
func Widened(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Direction == Widens || c.Direction == Both })
}

// permitChange measures what is permitted in the one and not in the other. Two
// expressions that mean the same are no change; two that differ by less than can
// be measured count as both wider and narrower.
func permitChange(before, after string) (Change, error) {
	c := Change{Field: "permit", Old: before, New: after, Direction: Neither}
	a, err := atlas.Parse(before, atlas.Options{})
	if err != nil {
		return Change{}, fmt.Errorf("permit: %w", err)
	}
	b, err := atlas.Parse(after, atlas.Options{})
	if err != nil {
		return Change{}, fmt.Errorf("permit: %w", err)
	}
	if a.Hash() == b.Hash() {
		return c, nil
	}
	if c.KM2Wider, err = beyond(b, a); err != nil {
		return Change{}, err
	}
	if c.KM2Closer, err = beyond(a, b); err != nil {
		return Change{}, err
	}
	c.Direction = direction(c.KM2Wider > 0, c.KM2Closer > 0)
	if c.Direction == Neither {
		c.Direction = Both
	}
	return c, nil
}

// beyond is the area of what is in a region and not in another. The measure's
// grid is as fine as the region is small, so where it sees nothing it is asked
// again for each part that only the one region names.
func beyond(r, other *atlas.Region) (float64, error) {
	area := func(part string) (float64, error) {
		d, err := atlas.Parse(fmt.Sprintf("(%s) - (%s)", part, other), atlas.Options{})
		if err != nil {
			return 0, fmt.Errorf("permit: %w", err)
		}
		return d.AreaKM2(), nil
	}
	total, err := area(r.String())
	if err != nil || total > 0 {
		return rounded(total), err
	}
	theirs := terms(other.String())
	for _, t := range terms(r.String()) {
		if slices.Contains(theirs, t) {
			continue
		}
		one, err := area(t)
		if err != nil {
			return 0, err
		}
		total += one
	}
	return rounded(total), nil
}

// terms splits a canonical expression at its outermost plus signs; one that holds
// anything else at that level is a single term.
func terms(expr string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range expr {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth == 0 && (r == ' ' || r == '&'):
			return []string{expr}
		case depth == 0 && r == '+':
			out = append(out, expr[from:i])
			from = i + 1
		}
	}
	return append(out, expr[from:])
}

// rounded keeps small areas apart from none: a hall is less than a square kilometre.
func rounded(km2 float64) float64 {
	if km2 >= 10 {
		return math.Round(km2)
	}
	return math.Ceil(km2*1000) / 1000
}

// km2 shows an area with the digits that it has.
func km2(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func pickDirection(widens bool) Direction {
	if widens {
		return Widens
	}
	return Narrows
}

func opposite(d Direction) Direction {
	if d == Widens {
		return Narrows
	}
	return Widens
}

// numberDirection: an absent field denies, so to set one is to widen.
func numberDirection(a, b *uint64, more Direction) Direction {
	switch {
	case a == nil && b == nil:
		return Neither
	case a == nil:
		return Widens
	case b == nil:
		return Narrows
	case *b > *a:
		return more
	}
	return opposite(more)
}

func instantDirection(a, b *int64, later Direction) Direction {
	switch {
	case a == nil && b == nil:
		return Neither
	case a == nil:
		return Widens
	case b == nil:
		return Narrows
	case *b > *a:
		return later
	}
	return opposite(later)
}

// schemeDirection: a burn before and a key for each step are two more hurdles.
func schemeDirection(a, b policy.Scheme) Direction {
	wider := a.Burns() && !b.Burns() || a.Steps() && !b.Steps()
	closer := !a.Burns() && b.Burns() || !a.Steps() && b.Steps()
	return direction(wider, closer)
}

func orFull(n *uint64) *uint64 {
	if n == nil {
		return new(uint64(1000))
	}
	return n
}

func show(n *uint64, format func(uint64) string) string {
	if n == nil {
		return "absent"
	}
	return format(*n)
}

func plain(n uint64) string { return fmt.Sprint(n) }
func ms(n uint64) string    { return (time.Duration(n) * time.Millisecond).String() }
func mmps(n uint64) string  { return fmt.Sprintf("%g m/s", float64(n)/1000) }

func at(n *int64) string {
	if n == nil {
		return "absent"
	}
	return time.Unix(0, *n).UTC().Format(time.RFC3339Nano)
}
