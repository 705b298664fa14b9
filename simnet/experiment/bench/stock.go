package bench

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/estimate/places"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// stock keeps what many points share: data sets, and parsed regions.
type stock struct {
	dir string

	mu      sync.Mutex
	sets    map[string]*dataset.Set
	regions map[string]*atlas.Region
}

// at resolves a path of the settings.
func (k *stock) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(k.dir, path)
}

func (k *stock) set(path string) (*dataset.Set, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.sets[path]; s != nil {
		return s, nil
	}
	s, err := dataset.Load(k.at(path))
	if err != nil {
		return nil, err
	}
	if k.sets == nil {
		k.sets = map[string]*dataset.Set{}
	}
	k.sets[path] = s
	return s, nil
}

func (k *stock) region(expression string) (*atlas.Region, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.regions[expression]; r != nil {
		return r, nil
	}
	r, err := atlas.Parse(expression, atlas.Options{})
	if err != nil {
		return nil, err
	}
	if k.regions == nil {
		k.regions = map[string]*atlas.Region{}
	}
	k.regions[expression] = r
	return r, nil
}

// world makes the world of a point. Its routes follow the point's seed, in a world file's case together with the file's own.
func (k *stock) world(s file.Settings) (*world.World, error) {
	switch {
	case s.World.File != "":
		f, err := world.Open(k.at(s.World.File))
		if err != nil {
			return nil, err
		}
		if f.Seed != nil {
			seed := *f.Seed + s.Seed
			f.Seed = &seed
		}
		return f.World()
	case s.World.Measured != "":
		set, err := k.set(s.World.Measured)
		if err != nil {
			return nil, err
		}
		return world.Measured(set, s.Seed)
	}
	profile, err := world.ParseProfile(s.World.Builtin)
	if err != nil {
		return nil, err
	}
	pool := towns(s.World.Towns)
	if s.World.Towns == 0 {
		if pool, err = world.Cities(); err != nil {
			return nil, err
		}
	}
	if s.World.In != "" {
		if pool, err = k.within(pool, s.World.In, s.Policy.Permit); err != nil {
			return nil, err
		}
	}
	if len(pool) == 0 {
		return nil, fmt.Errorf("%w: no town has %d people", ErrWorld, s.World.Towns)
	}
	return world.Synthetic(s.World.Builtin, pool, world.Config{Seed: s.Seed, Profile: profile})
}

// towns lists the populated places of at least so many people as places of a world.
func towns(people int) (out []world.Place) {
	seen := map[string]int{}
	for _, p := range places.All() {
		if p.Population < people || p.Rank == places.Section {
			continue
		}
		id := p.Name + ", " + p.Country
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s (%d)", id, seen[id])
		}
		out = append(out, world.Place{ID: id, Name: p.Name, Country: p.Country, At: p.At, Population: p.Population, Access: world.DataCentre})
	}
	return out
}
