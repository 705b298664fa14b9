package atlas

import (
	"fmt"
	"sort"
	"strings"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// known says whether a name in upper case is a country, a subdivision, a union, LAND or SEA.
func (w *world) known(name string) bool {
	if name == landCode || name == seaCode {
		return true
	}
	if _, ok := unionNamed(name); ok {
		return true
	}
	return w.byCountry[name] != nil || w.bySub[name] != nil
}

// habits are what people write for what the standards call otherwise.
var habits = map[string]string{
	"UK": "GB", "EL": "GR", "USA": "US", "EU": "EU27", "EUROPE": "EU27", "5EYES": "FIVEEYES", "FVEY": "FIVEEYES", "EFTA4": "EFTA",
	"ENGLAND": "GB", "SCOTLAND": "GB", "WALES": "GB", "AMERICA": "US", "HOLLAND": "NL", "BURMA": "MM", "EARTH": "*", "ALL": "*",
}

// hint returns what an unknown name may have meant, as the tail of a message.
func (w *world) hint(name string) string {
	upper := strings.ToUpper(name)
	if left, right, ok := strings.Cut(upper, "-"); ok && w.known(left) && w.known(right) {
		return fmt.Sprintf(": to subtract, write %s minus %s", left, right)
	}
	if h, ok := habits[upper]; ok {
		return ": did you mean " + h + "?"
	}
	for _, c := range w.countries {
		if strings.EqualFold(c.Name, name) {
			return ": did you mean " + c.Code + "?"
		}
	}
	if near := w.nearest(upper); len(near) > 0 {
		return ": did you mean " + strings.Join(near, ", ") + "?"
	}
	return ": see ursa atlas list"
}

// nearest returns up to three names that one or two typing errors turn into the given one, the nearest first.
func (w *world) nearest(name string) []string {
	if len(name) > 24 {
		return nil
	}
	most := 1
	if len(name) > 4 {
		most = 2
	}
	type guess struct {
		name string
		far  int
	}
	var found []guess
	try := func(candidate string) {
		if d := spell.Distance(name, candidate, most); d <= most {
			found = append(found, guess{candidate, d})
		}
	}
	for _, u := range unions {
		try(u.Name)
	}
	for _, c := range w.countries {
		try(c.Code)
	}
	if strings.Contains(name, "-") {
		for code := range w.bySub {
			try(code)
		}
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.far != b.far {
			return a.far < b.far
		}
		if sa, sb := sameStart(a.name, name), sameStart(b.name, name); sa != sb {
			return sa > sb
		}
		return a.name < b.name
	})
	var out []string
	for _, g := range found[:min(3, len(found))] {
		out = append(out, g.name)
	}
	return out
}

func sameStart(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
