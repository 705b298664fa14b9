package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// minutesOfAWeek marks every minute of a week that lies in the hours; no hours
// are all of them.
func minutesOfAWeek(list []policy.Hours) []bool {
	const day = 24 * 60
	out := make([]bool, 7*day)
	for d := range 7 {
		for m := range uint64(day) {
			out[d*day+int(m)] = len(list) == 0 || slices.ContainsFunc(list, func(h policy.Hours) bool {
				return h.Days>>d&1 == 1 && m >= h.From && m < h.To
			})
		}
	}
	return out
}

func hoursDirection(a, b []policy.Hours) Direction {
	before, after := minutesOfAWeek(a), minutesOfAWeek(b)
	var wider, closer bool
	for i := range before {
		wider = wider || after[i] && !before[i]
		closer = closer || before[i] && !after[i]
	}
	return direction(wider, closer)
}

func direction(wider, closer bool) Direction {
	switch {
	case wider && closer:
		return Both
	case wider:
		return Widens
	case closer:
		return Narrows
	}
	return Neither
}

func week(list []policy.Hours) string {
	if len(list) == 0 {
		return "always"
	}
	words := make([]string, len(list))
	for i, h := range list {
		words[i] = h.String()
	}
	return strings.Join(words, "; ")
}

func veto(n *uint64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprintf("%g%%", float64(*n)/10)
}

// vetoDirection: a veto denies, and the lower it begins the more.
func vetoDirection(a, b *uint64) Direction {
	switch {
	case a == nil && b == nil:
		return Neither
	case a == nil:
		return Narrows
	case b == nil:
		return Widens
	}
	return direction(*b > *a, *b < *a)
}

// exemptionChanges lists exemptions that are new, gone or of another end. What
// one says besides its end makes it another exemption.
func exemptionChanges(before, after []policy.Exemption) []Change {
	ends := func(list []policy.Exemption) map[string]int64 {
		out := map[string]int64{}
		for _, x := range list {
			out[exemption(x)] = max(out[exemption(x)], x.NotAfterUnixNS)
		}
		return out
	}
	a, b := ends(before), ends(after)
	var out []Change
	for _, x := range append(slices.Clone(before), after...) {
		name := exemption(x)
		old, had := a[name]
		now, has := b[name]
		delete(a, name)
		delete(b, name)
		if !had && !has || old == now {
			continue
		}
		c := Change{Field: "exemptions", Old: "absent", New: "absent", Direction: direction(now > old, now < old)}
		if had {
			c.Old = name + " until " + at(&old)
		}
		if has {
			c.New = name + " until " + at(&now)
		}
		out = append(out, c)
	}
	return out
}

// exemption is one exemption in words, without its end and its reason.
func exemption(x policy.Exemption) string {
	var parts []string
	if x.Permit != "" {
		parts = append(parts, "may also be in "+x.Permit)
	}
	for _, l := range x.Lifts {
		parts = append(parts, "is free of "+string(l))
	}
	name := x.Name
	if x.Kind != policy.OfTenant {
		name = name[:min(len(name), 8)]
	}
	return fmt.Sprintf("%s %s %s", x.Kind, name, strings.Join(parts, " and "))
}
