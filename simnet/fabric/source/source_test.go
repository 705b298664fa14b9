package source_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
)

func TestSources(t *testing.T) {
	seen := make(map[uint64]string)
	for _, c := range []struct {
		what    string
		seed    uint64
		purpose string
		names   []string
	}{
		{"a, b", 1, "p", []string{"a", "b"}},
		{"b, a", 1, "p", []string{"b", "a"}},
		{"ab", 1, "p", []string{"ab"}},
		{"ab and nothing", 1, "p", []string{"ab", ""}},
		{"another purpose", 1, "q", []string{"a", "b"}},
		{"another seed", 2, "p", []string{"a", "b"}},
		{"purpose and name joined", 1, "pa", []string{"b"}},
		{"no names", 1, "p", nil},
	} {
		first := source.New(c.seed, c.purpose, c.names...).Uint64()
		if other, dup := seen[first]; dup {
			t.Errorf("%s and %s draw the same", c.what, other)
		}
		seen[first] = c.what
		if source.New(c.seed, c.purpose, c.names...).Uint64() != first {
			t.Errorf("%s does not repeat", c.what)
		}
	}
	if source.Pair(1, "p", "a", "b").Uint64() != source.Pair(1, "p", "b", "a").Uint64() {
		t.Error("an unordered pair has an order")
	}
}
