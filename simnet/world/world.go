package world

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Errors of making a world.
var (
	ErrNoPlaces  = errors.New("a world needs places")
	ErrDuplicate = errors.New("two places have one id")
)

// Config describes a synthetic world.
type Config struct {
	Seed    uint64  // of everything that is drawn
	Profile Profile // between hosts in data centres; its zero value means Public
}

// World is a number of places and the delays between them. It does not change; its methods may be called from many goroutines.
type World struct {
	name    string
	seed    uint64
	profile Profile
	rules   rules
	file    *File // of which it was made; nil for none
	places  []Place
	index   map[string][]int   // folded ids and names to places
	set     *dataset.Set       // nil in a synthetic world
	node    map[string]int     // town to node of the set
	uplinks map[string]float64 // of the places' towns, drawn once; nil where no law asks for them
}

// Builtin returns the synthetic world of the built-in cities.
func Builtin(cfg Config) (*World, error) {
	cities, err := Cities()
	if err != nil {
		return nil, err
	}
	return Synthetic("cities", cities, cfg)
}

// Synthetic returns a world of the given places. A place without Metro is a town of its own.
func Synthetic(name string, places []Place, cfg Config) (*World, error) {
	if cfg.Profile == (Profile{}) {
		cfg.Profile = Public
	}
	w := &World{name: name, seed: cfg.Seed, profile: cfg.Profile, rules: plainRules, places: slices.Clone(places)}
	return w, w.fill()
}

// Measured returns the world of a data set: its nodes are the places, all of class data-centre, and the least round trips are
// the set's. The seed decides asymmetry and jitter, which the set does not tell.
func Measured(set *dataset.Set, seed uint64) (*World, error) {
	w := &World{name: set.Name, seed: seed, profile: Public, rules: plainRules, set: set, node: make(map[string]int, set.Len())}
	for i, n := range set.Nodes {
		name := n.Name
		if name == "" {
			name = n.ID
		}
		w.places = append(w.places, Place{ID: n.ID, Name: name, Country: n.Country, At: n.At, Population: UnknownPopulation, Access: DataCentre})
		w.node[n.ID] = i
	}
	return w, w.fill()
}

// fill checks and completes the places and builds the index.
func (w *World) fill() error {
	if len(w.places) == 0 {
		return ErrNoPlaces
	}
	w.index = make(map[string][]int)
	seen := make(map[string]bool, len(w.places))
	for i := range w.places {
		p := &w.places[i]
		if seen[p.ID] {
			return fmt.Errorf("%w: %q", ErrDuplicate, p.ID)
		}
		seen[p.ID] = true
		if !p.Access.Valid() {
			return fmt.Errorf("place %q: %w %d", p.ID, ErrAccess, p.Access)
		}
		if err := p.At.Validate(); err != nil {
			return fmt.Errorf("place %q: %w", p.ID, err)
		}
		if p.Metro == "" {
			p.Metro = p.ID
		}
		w.addToIndex(i)
	}
	return nil
}

// Name returns the world's name.
func (w *World) Name() string { return w.name }

// IsMeasured says whether the delays are a data set's.
func (w *World) IsMeasured() bool { return w.set != nil }

// Places returns the places in their order.
func (w *World) Places() []Place { return slices.Clone(w.places) }

// ByDistance returns the places, the nearest to a position first.
func (w *World) ByDistance(from earth.LatLon) []Place {
	places := slices.Clone(w.places)
	x := from.ECEF(0)
	slices.SortStableFunc(places, func(a, b Place) int {
		da, db := earth.Chord(x, a.ECEF()), earth.Chord(x, b.ECEF())
		switch {
		case da < db:
			return -1
		case da > db:
			return 1
		}
		return 0
	})
	return places
}

// MinRTT returns the least round trip between two places, of the world or hosts of its towns. ok is false when the world has no
// path between them, which only happens in a measured world: for pairs that were not measured, and for a node and itself. (Two
// differently named hosts in the town of one node have the round trip of a town, which is drawn and not measured.)
//
// It is the round trip of the usual route: what changes with time is in OneWayAt.
func (w *World) MinRTT(a, b Place) (rtt earth.RTT, ok bool) {
	if rtt, ok = w.routeRTT(a, b); !ok {
		return 0, false
	}
	if w.rules.media != nil {
		rtt = min(rtt, w.overMedia(a, b, rtt))
	}
	return rtt + 2*earth.RTT(w.law(a).delay+w.law(b).delay), true
}

// routeRTT returns the round trip of the usual route through plain fibre, between the far ends of the access links.
func (w *World) routeRTT(a, b Place) (rtt earth.RTT, ok bool) {
	if w.set != nil && (a.Metro != b.Metro || a.ID == b.ID) {
		i, okA := w.node[a.Metro]
		j, okB := w.node[b.Metro]
		if !okA || !okB {
			return 0, false
		}
		return w.set.RTT(i, j)
	}
	light := fibreMillis(a, b)
	if a.Metro == b.Metro {
		u := source.Pair(w.seed, "metro", a.ID, b.ID).Float64()
		return earth.RTTFromMillis(light + equipment + metroSpread*u), true
	}
	profile := w.profile
	switch {
	case a.Access != DataCentre || b.Access != DataCentre:
		profile = w.rules.homes
	case a.Operator != "" && a.Operator == b.Operator:
		profile = w.rules.backbone
	}
	if profile.Table != nil {
		return earth.RTTFromMillis(w.tableMillis(profile, a, b, light)), true
	}
	rnd := source.Pair(w.seed, "route", a.Metro, b.Metro)
	return earth.RTTFromMillis(profile.leastMillis(light, rnd)), true
}
