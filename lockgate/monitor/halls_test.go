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

// BenchmarkHalls groups ten thousand cores in five hundred halls, each of which was asked by twelve of forty beacons.
func BenchmarkHalls(b *testing.B) {
	var cores []*profile
	for i := range 10_000 {
		p := &profile{core: identity.ID{byte(i), byte(i >> 8)}, rtt: map[identity.ID]earth.RTT{}}
		hall := i % 500
		for k := range 12 {
			beacon := (hall + k*3) % 40
			p.rtt[identity.ID{byte(beacon)}] = earth.RTT(1_000_000 + (hall*1_700_021+beacon*104729)%90_000_000 + i%100*1000)
		}
		cores = append(cores, p)
	}
	for b.Loop() {
		if g := grouped(cores); len(g) < 200 || len(g) > 600 {
			b.Fatal(len(g))
		}
	}
}
