package monitor

import (
	"reflect"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"pgregory.net/rapid"
)

// slowGroups looks at all groups for every core.
func slowGroups(cores []*profile) [][]*profile {
	var groups [][]*profile
	for _, p := range cores {
		at := slices.IndexFunc(groups, func(g []*profile) bool { return g[0].near(p) })
		if at < 0 {
			groups = append(groups, []*profile{p})
		} else {
			groups[at] = append(groups[at], p)
		}
	}
	return groups
}

// TestGroupsAgainstTheSlowTwin: shelves find what looking everywhere finds.
func TestGroupsAgainstTheSlowTwin(t *testing.T) {
	together := 0
	rapid.Check(t, func(t *rapid.T) {
		var cores []*profile
		for i := range rapid.IntRange(0, 25).Draw(t, "cores") {
			p := &profile{core: identity.ID{byte(i)}, rtt: map[identity.ID]earth.RTT{}}
			hall := rapid.Int64Range(0, 2).Draw(t, "hall")
			for b := range byte(6) {
				if rapid.IntRange(0, 3).Draw(t, "asked") > 0 {
					p.rtt[identity.ID{b}] = earth.RTT(1_000_000 + hall*300_000 + int64(b)*70_000 + rapid.Int64Range(0, 400_000).Draw(t, "noise"))
				}
			}
			cores = append(cores, p)
		}
		fast, slow := grouped(cores), slowGroups(cores)
		if len(fast) != len(slow) || len(fast) > 0 && !reflect.DeepEqual(fast, slow) {
			t.Fatalf("%d groups, the slow twin finds %d", len(fast), len(slow))
		}
		for _, g := range fast {
			together = max(together, len(g))
		}
	})
	if together < 3 {
		t.Errorf("never more than %d together: the hard case did not happen", together)
	}
}
