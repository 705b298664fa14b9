package region

import (
	"math/bits"
	"slices"
	"strings"
)

// groupSet is a set of groups, one bit each; it is a map key, so an array.
type groupSet [MaxBounds / 64]uint64

func (s *groupSet) add(g uint16)      { s[g/64] |= 1 << (g % 64) }
func (s *groupSet) has(g uint16) bool { return s[g/64]&(1<<(g%64)) != 0 }

// blame decides whether a set of excluding bounds can be put down to at most f faulty domains.
//
// Bounds with the same set of domains stand or fall together and form a group. The question is whether f domains meet the domain
// set of every group in the set: a hitting set of size f. It is answered exactly, because only the exact answer is monotone: a
// greedy count can fall when a group is added, and then a late answer could shrink the region. With one domain for each beacon, or
// more generally when no domain is shared by two groups, the answer is the number of groups. Otherwise one unmet group is picked
// and each of its domains is tried, which ends after MaxBeaconDomains^f steps at the latest; a packing (groups pairwise without a
// common domain, each of which needs a domain of its own) cuts most branches. Both cuts are consequences of the exact question and
// change no answer.
type blame struct {
	f        int
	words    int        // words of groupSet in use
	domains  [][]uint16 // domains of each group, ascending
	meets    []groupSet // groups that a domain meets
	disjoint bool       // no domain is in two groups
	known    map[groupSet]bool
}

// newBlame groups the bounds; the second result gives the group of each bound.
func newBlame(bounds []Bound, f int) (*blame, []uint16) {
	b := &blame{f: f, disjoint: true, known: map[groupSet]bool{}}
	number, groups := map[string]uint16{}, map[string]uint16{}
	of := make([]uint16, len(bounds))
	for i, bound := range bounds {
		names := slices.Sorted(slices.Values(bound.Domains))
		key := strings.Join(names, "\x00")
		g, ok := groups[key]
		if !ok {
			g = uint16(len(b.domains))
			groups[key] = g
			b.domains = append(b.domains, b.numbers(names, number, g))
		}
		of[i] = g
	}
	b.words = (len(b.domains) + 63) / 64
	return b, of
}

func (b *blame) numbers(names []string, number map[string]uint16, g uint16) []uint16 {
	ids := make([]uint16, 0, len(names))
	for _, name := range names {
		d, ok := number[name]
		if !ok {
			d = uint16(len(b.meets))
			number[name] = d
			b.meets = append(b.meets, groupSet{})
		} else {
			b.disjoint = false
		}
		b.meets[d].add(g)
		ids = append(ids, d)
	}
	return ids
}

// explains says whether at most f faulty domains suffice for all groups of the set to be faulty.
func (b *blame) explains(set *groupSet) bool {
	n := b.count(set)
	if n <= b.f {
		return true // one domain each
	}
	if b.disjoint {
		return false
	}
	if answer, ok := b.known[*set]; ok {
		return answer
	}
	answer := b.hit(*set, b.f)
	b.known[*set] = answer
	return answer
}

func (b *blame) count(set *groupSet) int {
	n := 0
	for _, w := range set[:b.words] {
		n += bits.OnesCount64(w)
	}
	return n
}

// hit says whether k domains meet every group of the set.
func (b *blame) hit(set groupSet, k int) bool {
	if b.count(&set) <= k {
		return true
	}
	if b.packing(set) > k {
		return false
	}
	for _, d := range b.domains[b.first(&set)] {
		if b.hit(b.without(set, d), k-1) {
			return true
		}
	}
	return false
}

// packing returns the size of a greedily chosen family of groups pairwise without a common domain: never more than the number
// of domains needed, because each of its groups needs one that meets none of the others.
func (b *blame) packing(set groupSet) int {
	n := 0
	for b.count(&set) > 0 {
		n++
		for _, d := range b.domains[b.first(&set)] {
			set = b.without(set, d)
		}
	}
	return n
}

func (b *blame) without(set groupSet, d uint16) groupSet {
	for w := range set[:b.words] {
		set[w] &^= b.meets[d][w]
	}
	return set
}

// first returns the lowest group of a non-empty set.
func (b *blame) first(set *groupSet) int {
	for w, v := range set[:b.words] {
		if v != 0 {
			return w*64 + bits.TrailingZeros64(v)
		}
	}
	return 0
}
