package bench

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// source draws what belongs to a seed and a purpose.
func source(seed uint64, purpose string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// within returns the places that are not certainly outside a region; the words world and permit stand for everywhere and the permit.
func (k *stock) within(all []world.Place, in, permit string) ([]world.Place, error) {
	switch in {
	case "world":
		return all, nil
	case "permit":
		in = permit
	}
	r, err := k.region(in)
	if err != nil {
		return nil, err
	}
	var out []world.Place
	for _, p := range all {
		if r.ClassPoint(p.At) != atlas.Out {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: none of the world's %d places lies in %s", ErrNowhere, len(all), in)
	}
	return out, nil
}

// sites chooses the towns of the beacons by the settings' rule; a town may come several times.
func (k *stock) sites(w *world.World, s file.Settings) ([]world.Place, error) {
	c := s.Constellation
	if c.Rule == file.List {
		sites := make([]world.Place, len(c.Cities))
		for i, name := range c.Cities {
			p, err := w.Find(name)
			if err != nil {
				return nil, err
			}
			sites[i] = p
		}
		return sites, nil
	}
	pool, err := k.within(w.Places(), c.In, s.Policy.Permit)
	if err != nil {
		return nil, err
	}
	ordered := pool
	if c.Rule != file.All {
		ordered = order(pool, min(c.Count, len(pool)), c.Rule, s.Seed)
	}
	count := c.Count
	if c.Rule == file.All {
		count = len(pool) * c.PerTown
	}
	if w.IsMeasured() && (c.PerTown > 1 || count > len(pool)) {
		return nil, fmt.Errorf("%w: %d beacons, %d to a town, at %d measured places of %s", ErrTooFew, count, c.PerTown, len(pool), c.In)
	}
	sites := make([]world.Place, count)
	for i := range sites {
		sites[i] = ordered[i/c.PerTown%len(ordered)]
	}
	return sites, nil
}

// order returns the first n places by a rule.
func order(pool []world.Place, n int, rule file.Rule, seed uint64) []world.Place {
	sorted := slices.Clone(pool)
	slices.SortStableFunc(sorted, func(a, b world.Place) int {
		return cmp.Or(cmp.Compare(b.Population, a.Population), cmp.Compare(a.ID, b.ID))
	})
	switch rule {
	case file.Random:
		source(seed, "constellation").Shuffle(len(sorted), func(i, j int) { sorted[i], sorted[j] = sorted[j], sorted[i] })
	case file.Spread:
		return farthestFirst(sorted, n)
	}
	return sorted[:n]
}

// farthestFirst takes the first place, then always the one that is farthest from all taken (Gonzalez, TCS 38, 1985): no place is then
// farther from its nearest beacon than twice what the best choice would reach.
func farthestFirst(from []world.Place, n int) []world.Place {
	at := make([]earth.ECEF, len(from))
	far := make([]earth.Metres, len(from))
	for i, p := range from {
		at[i], far[i] = p.ECEF(), 4*earth.SemiMajor
	}
	out := make([]world.Place, 0, n)
	for next := 0; len(out) < n; {
		out = append(out, from[next])
		x, best := at[next], 0
		for i := range from {
			far[i] = min(far[i], earth.Chord(x, at[i]))
			if far[i] > far[best] {
				best = i
			}
		}
		next = best
	}
	return out
}

// beacons surveys a beacon at each site and sorts them into domains.
func beacons(w *world.World, sites []world.Place, domains string) []trial.Beacon {
	operators, _ := strconv.Atoi(domains)
	passes := map[string]int{}
	out := make([]trial.Beacon, len(sites))
	for i, town := range sites {
		passes[town.ID]++
		name := "beacon"
		if n := passes[town.ID]; n > 1 {
			name += " " + strconv.Itoa(n)
		}
		host := town
		if !w.IsMeasured() {
			host = w.Host(town, name)
		}
		out[i] = trial.Survey(host)
		switch {
		case domains == "city":
			out[i].Domains = []string{"city:" + town.Metro}
		case domains == "country":
			out[i].Domains = []string{"country:" + town.Country}
		case operators > 0:
			out[i].Domains = []string{"operator:" + strconv.Itoa(i%operators)}
		}
	}
	return out
}
