package policyfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/spell"
)

// hours reads the hours of the week.
func hours(r *reader, n *yaml.Node, f *File) {
	r.entries(n, []string{"days", "from", "to"}, nil, func(_ *yaml.Node, get func(string) *yaml.Node) {
		var h policy.Hours
		var ok [3]bool
		h.Days, ok[0] = r.days(get("days"))
		h.From, ok[1] = r.minute(get("from"))
		h.To, ok[2] = r.minute(get("to"))
		if ok == [3]bool{true, true, true} {
			f.Policy.Hours = append(f.Policy.Hours, h)
		}
	})
}

// days reads such as "mon-fri" or "tue,sat,sun".
func (r *reader) days(n *yaml.Node) (set uint64, ok bool) {
	s, ok := r.scalar(n, "days, such as mon-fri or tue,sat")
	if !ok {
		return 0, false
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, span := strings.Cut(strings.TrimSpace(part), "-")
		if !span {
			to = from
		}
		a, b := slices.Index(policy.DayNames[:], from), slices.Index(policy.DayNames[:], to)
		if a < 0 || b < a {
			r.bad(n, "%q names no days: write such as mon-fri or tue,sat, of %s", part, strings.Join(policy.DayNames[:], " "))
			return 0, false
		}
		for ; a <= b; a++ {
			set |= 1 << a
		}
	}
	return set, true
}

// minute reads a time of the day, such as 08:30, as minutes since midnight.
func (r *reader) minute(n *yaml.Node) (uint64, bool) {
	s, ok := r.scalar(n, "a time of the day, such as 08:30")
	if !ok {
		return 0, false
	}
	if h, m, two := strings.Cut(s, ":"); two && len(h) == 2 && len(m) == 2 {
		hour, errH := strconv.ParseUint(h, 10, 8)
		minute, errM := strconv.ParseUint(m, 10, 8)
		if errH == nil && errM == nil && minute < 60 && (hour < 24 || hour == 24 && minute == 0) {
			return hour*60 + minute, true
		}
	}
	r.bad(n, "%q is no time of the day: write 00:00 to 24:00", s)
	return 0, false
}

// whose are the fields of which one says whom an entry is about.
var whose = []string{string(policy.OfCore), string(policy.OfChip), string(policy.OfTenant)}

// exemptions reads who may do more.
func exemptions(r *reader, n *yaml.Node, f *File) {
	r.entries(n, []string{"until", "reason"}, append(slices.Clone(whose), "permit", "lifts"), func(e *yaml.Node, get func(string) *yaml.Node) {
		var x policy.Exemption
		kinds := 0
		for _, k := range whose {
			if get(k) == nil {
				continue
			}
			kinds++
			x.Kind = policy.Whose(k)
			text(func(_ *File, s string) { x.Name = s })(r, get(k), f)
		}
		if kinds != 1 {
			r.bad(e, "an exemption is about one of %s", strings.Join(whose, ", "))
			return
		}
		if p := get("permit"); p != nil {
			text(func(_ *File, s string) { x.Permit = s })(r, p, f)
			f.permits = append(f.permits, where(p))
		}
		if l := get("lifts"); l != nil {
			x.Lifts = r.lifts(l)
		}
		instant(func(_ *File, ns *int64) { x.NotAfterUnixNS = *ns })(r, get("until"), f)
		text(func(_ *File, s string) { x.Reason = s })(r, get("reason"), f)
		f.Policy.Exemptions = append(f.Policy.Exemptions, x)
	})
}

func (r *reader) lifts(n *yaml.Node) []policy.Lift {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.bad(n, "write a list of rules, such as [hours, veto]")
		return nil
	}
	var out []policy.Lift
	for _, l := range n.Content {
		out = append(out, policy.Lift(l.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// examples reads proofs and facts with what is expected of them.
func examples(r *reader, n *yaml.Node, f *File) {
	r.entries(n, []string{"name", "expect"}, []string{"proof", "given"}, func(e *yaml.Node, get func(string) *yaml.Node) {
		x := Example{Line: e.Line}
		text(func(_ *File, s string) { x.Name = s })(r, get("name"), f)
		text(func(_ *File, s string) { x.Expect = s })(r, get("expect"), f)
		if near, ok := knownDecision(x.Expect); !ok {
			r.bad(get("expect"), "%q is no decision: write granted, or the check that refuses%s", x.Expect, near)
		}
		switch proof, given := get("proof"), get("given"); {
		case proof != nil && given == nil:
			text(func(_ *File, s string) { x.Proof = s })(r, proof, f)
		case proof == nil && given != nil:
			x.Given = r.given(given)
		default:
			r.bad(e, "an example has either a proof or given facts")
		}
		f.Examples = append(f.Examples, x)
	})
}

// knownDecision says whether a word can be the outcome of an example, and if not
// which was probably meant.
func knownDecision(word string) (hint string, ok bool) {
	if word == Granted || slices.Contains(Decisions, word) {
		return "", true
	}
	best := spell.Nearest(word, 3, Decisions)
	if best == "" {
		return ", such as verdict, policy-age or usage-report", false
	}
	return fmt.Sprintf(": did you mean %s?", best), false
}
