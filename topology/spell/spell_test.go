package spell_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// slips is the definition, without a table: the slow twin.
func slips(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	cost := 1
	if a[0] == b[0] {
		cost = 0
	}
	d := min(slips(a[1:], b[1:])+cost, slips(a[1:], b)+1, slips(a, b[1:])+1)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		d = min(d, slips(a[2:], b[2:])+1)
	}
	return d
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"speed", "speed", 0}, {"sped", "speed", 1}, {"speeed", "speed", 1}, {"spead", "speed", 1}, {"spede", "speed", 1},
		{"EU72", "EU27", 1}, {"comitee", "committee", 2}, {"Tromsø", "Tromso", 1}, {"", "abc", 3}, {"ca", "abc", 3}, {"flaw", "lawn", 2},
	} {
		if got := spell.Distance(c.a, c.b, 9); got != c.want {
			t.Errorf("%q to %q: %d slips, want %d", c.a, c.b, got, c.want)
		}
		if got := spell.Distance(c.b, c.a, 9); got != c.want {
			t.Errorf("%q to %q: %d slips, want %d as the other way", c.b, c.a, got, c.want)
		}
	}
}

// The table agrees with the definition, and the limit only cuts.
func TestDistanceIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abcø")), 0, 6, -1)
		a, b, most := word.Draw(t, "a"), word.Draw(t, "b"), rapid.IntRange(0, 8).Draw(t, "most")
		want := min(slips([]rune(a), []rune(b)), most+1)
		if got := spell.Distance(a, b, most); got != want {
			t.Fatalf("%q to %q, at most %d: %d, want %d", a, b, most, got, want)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"f", "speed", "spend", "permit"}
	for _, c := range []struct {
		typed string
		most  int
		want  string
	}{
		{"sped", 2, "speed"}, // spend is as near, and later
		{"permti", 1, "permit"}, {"prmti", 1, ""}, {"prmti", 2, "permit"}, {"x", 2, ""}, {"f", 0, "f"}, {"", 2, ""}, {"permit", 0, "permit"},
		{strings.Repeat("p", 1<<20), 1 << 21, ""},
	} {
		if got := spell.Nearest(c.typed, c.most, words); got != c.want {
			t.Errorf("%.10q within %d: %q, want %q", c.typed, c.most, got, c.want)
		}
	}
}
