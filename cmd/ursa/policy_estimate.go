package main

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/estimate"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// doubter estimates for a policy's veto how likely it is that a core stands where nothing is permitted. It can only make a gate deny.
type doubter struct {
	locator *estimate.Locator
	index   map[identity.ID]int // of beacons in the mesh

	mu      sync.Mutex
	nothing map[[2]string]bool // by permit and country: whether nothing of the country is permitted
}

const (
	minDoubtBeacons = 12   // of a mesh that teaches anything
	minDoubtSeen    = 3    // round trips that an estimate of a core needs
	leastDoubt      = 1e-4 // probability of a country that is looked at
	maxDoubtKept    = 4096 // permits and countries that are remembered
)

// openDoubter trains the estimate on what the beacons measured of each other: a folder that 'ursa calib run' wrote.
func openDoubter(ctx context.Context, dir string, progress func(done, total int)) (*doubter, error) {
	set, err := dataset.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("--estimate: %w", err)
	}
	d := &doubter{index: map[identity.ID]int{}, nothing: map[[2]string]bool{}}
	beacons := make([]estimate.Beacon, len(set.Nodes))
	for i, n := range set.Nodes {
		id, err := identity.ParseID(n.ID)
		if err != nil {
			return nil, fmt.Errorf("--estimate %s: node %q is no beacon of a directory: use what 'ursa calib run' measured", dir, n.ID)
		}
		d.index[id] = i
		beacons[i] = estimate.Beacon{Name: n.Name, At: n.At, Country: n.Country}
	}
	if len(beacons) < minDoubtBeacons {
		return nil, fmt.Errorf("--estimate %s: %d beacons teach too little: measure at least %d", dir, len(beacons), minDoubtBeacons)
	}
	mesh, err := estimate.NewMesh(beacons, set.RTT)
	if err != nil {
		return nil, fmt.Errorf("--estimate %s: %w", dir, err)
	}
	var mu sync.Mutex
	done := 0
	trained, err := estimate.Train(ctx, mesh, estimate.TrainOptions{Progress: func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		progress(done, len(beacons))
	}})
	if err != nil {
		return nil, fmt.Errorf("--estimate %s: %w", dir, err)
	}
	d.locator = estimate.NewLocator(mesh, trained, 0)
	return d, nil
}

// doubt is the probability in thousandths; nil when there is nothing to estimate from. Land of no agreed state, and the sea, do not count.
func (d *doubter) doubt(facts []statement.Fact, permit string) *uint64 {
	var seen []estimate.Observation
	for _, f := range facts {
		if i, ok := d.index[f.Beacon]; ok {
			seen = append(seen, estimate.Observation{Beacon: i, RTT: f.Bound(statement.TimingBoth)})
		}
	}
	if len(seen) < minDoubtSeen {
		return nil
	}
	e, err := d.locator.Locate(seen, estimate.Options{Brief: true})
	if err != nil {
		return nil
	}
	outside := 0.0
	for _, j := range e.Jurisdictions() {
		if j.Country == "" || j.P < leastDoubt {
			continue
		}
		none, err := d.nothingOf(permit, j.Country)
		if err != nil {
			return nil
		}
		if none {
			outside += j.P
		}
	}
	return new(uint64(math.Round(1000 * min(max(outside, 0), 1))))
}

// nothingOf says whether nothing of a country is permitted.
func (d *doubter) nothingOf(permit, country string) (bool, error) {
	key := [2]string{permit, country}
	d.mu.Lock()
	none, known := d.nothing[key]
	d.mu.Unlock()
	if known {
		return none, nil
	}
	both, err := atlas.Parse(fmt.Sprintf("(%s) & %s", permit, country), atlas.Options{})
	if err != nil {
		return false, err
	}
	none = both.AreaKM2() == 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.nothing) >= maxDoubtKept {
		clear(d.nothing)
	}
	d.nothing[key] = none
	return none, nil
}
