package world

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// Errors of Find.
var (
	ErrUnknownPlace   = errors.New("unknown place")
	ErrAmbiguousPlace = errors.New("more than one place")
)

// Find returns the place with an id, or a name, or a name and country ("San Jose, US"). Case, accents and punctuation do not
// count. An id counts before a name.
func (w *World) Find(name string) (Place, error) {
	found := w.index[fold(name)]
	for _, i := range found {
		if fold(w.places[i].ID) == fold(name) {
			return w.places[i], nil
		}
	}
	switch len(found) {
	case 0:
		return Place{}, w.unknown(name)
	case 1:
		return w.places[found[0]], nil
	}
	var options []string
	for _, i := range found[:min(len(found), 5)] {
		options = append(options, fmt.Sprintf("%s (id %s)", w.places[i], w.places[i].ID))
	}
	return Place{}, fmt.Errorf("%w is called %q: say which by its id: %s", ErrAmbiguousPlace, name, strings.Join(options, "; "))
}

func (w *World) addToIndex(i int) {
	p := w.places[i]
	for _, key := range []string{fold(p.ID), fold(p.Name), fold(p.Name + " " + p.Country)} {
		if key != "" && !slices.Contains(w.index[key], i) {
			w.index[key] = append(w.index[key], i)
		}
	}
}

// fold reduces a name to what counts: lower-case letters and digits without accents, words parted by one space.
func fold(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r) || r == '\'' || r == '’':
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(unicode.ToLower(r))
		default:
			gap = true
		}
	}
	return b.String()
}

// unknown says in one line what is wrong and what would be right.
func (w *World) unknown(name string) error {
	if near := w.suggest(name); len(near) > 0 {
		return fmt.Errorf("%w %q: did you mean %s?", ErrUnknownPlace, short(name), strings.Join(near, " or "))
	}
	return fmt.Errorf("%w %q: world %q knows %d places by name or id, e.g. %s", ErrUnknownPlace, short(name), w.name, len(w.places), w.places[0].Name)
}

// short keeps an error readable whatever was typed.
func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// suggest returns up to three names that are close: few letters differ, or what was typed begins them.
func (w *World) suggest(name string) []string {
	typed := fold(name)
	if typed == "" || len(typed) > 60 {
		return nil
	}
	type candidate struct {
		name           string
		distance, size int
	}
	var near []candidate
	most := max(1, len(typed)/3)
	for _, p := range w.places {
		key := fold(p.Name)
		d := spell.Distance(typed, key, most)
		if strings.HasPrefix(key, typed) {
			d = 1
		}
		if d <= most {
			near = append(near, candidate{p.Name, d, p.Population})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return b.size - a.size
	})
	var names []string
	for _, c := range near {
		if len(names) < 3 && !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}
