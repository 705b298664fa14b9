package trial

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Scenario is a setup that a number stands for: a world, a constellation, a permit, a defence and an adversary, all drawn from a
// seed. A thousand of them show what one cannot.
type Scenario struct {
	Number uint64
	Setup  Setup
	Access world.Access // of the cores
	Name   string       // for people
}

// permits are the regions that scenarios ask about: a union, large and small countries, a country with islands, one with neighbours
// on all sides.
var permits = sync.OnceValues(func() ([]*atlas.Region, error) {
	var out []*atlas.Region
	for _, expression := range []string{"EU27", "DE", "US", "FR+ES+PT", "JP+KR", "EU27+GB+CH+NO", "CA", "AU+NZ", "BR", "IN"} {
		r, err := atlas.Parse(expression, atlas.Options{})
		if err != nil {
			return nil, fmt.Errorf("permit %s: %w", expression, err)
		}
		out = append(out, r)
	}
	return out, nil
})

// Draw makes scenario number n of a seed with an adversary of the library. Its strength is drawn as well: within what a verdict
// assumes, or, if beyond is set, beyond it, where the adversary can go there.
func Draw(seed, n uint64, name adversary.Name, beyond bool) (Scenario, error) {
	d := sample.KeyOf(seed, sample.Name(n), sample.Hash("scenario "+string(name)), 0).Draws()
	profiles := []world.Profile{world.Public, world.Public, world.Cloud, world.Homes}
	w, err := world.Builtin(world.Config{Seed: d.Uint64(), Profile: profiles[d.Uint64()%4]})
	if err != nil {
		return Scenario{}, err
	}
	regions, err := permits()
	if err != nil {
		return Scenario{}, err
	}
	share := 0.3 + 0.7*d.Float64() // of the towns that have a beacon
	towns := slices.DeleteFunc(w.Places(), func(world.Place) bool { return d.Float64() > share })
	s := Setup{World: w, Beacons: Constellation(w, towns), Committee: []int{5, 8, 8, 16}[d.Uint64()%4], Permit: regions[d.Uint64()%uint64(len(regions))],
		F: int(d.Uint64() % 3), Class: []earth.SpeedClass{earth.Vacuum, earth.Vacuum, earth.Fibre}[d.Uint64()%3], Seed: d.Uint64()}
	s.Committee = max(s.Committee, 2*s.F+1)
	share = d.Float64()
	for i := range s.Beacons { // operators with more beacons than one
		if share < 0.3 {
			s.Beacons[i].Domains = []string{fmt.Sprintf("operator:%d", sample.Hash(s.Beacons[i].Place.ID)%40)}
		}
	}
	if beyond && name == adversary.FasterLink {
		s.Class = earth.Fibre
	}
	if beyond && name == adversary.PoisonedCalibration {
		s.F = 0
	}
	s.Adversary = adversary.Adversary{Name: name, Strength: strength(&d, name, &s, beyond)}
	s.Quarantine = name == adversary.PoisonedCalibration && d.Uint64()&1 == 0
	access := []world.Access{world.DataCentre, world.DataCentre, world.DataCentre, world.DataCentre, world.Wired, world.Wifi, world.Cellular, world.Satellite}[d.Uint64()%8]
	return Scenario{Number: n, Setup: s, Access: access, Name: fmt.Sprintf("%s %d: %s, f %d, %s, %d of %d beacons, %s, %s cores", name, n, s.Permit, s.F, s.Class,
		s.Committee, len(s.Beacons), s.Adversary, access)}, nil
}

// strength draws how strong the adversary is: a tenth to three times the usual, on its side of what a verdict assumes.
func strength(d *sample.Draws, name adversary.Name, s *Setup, beyond bool) float64 {
	k, err := adversary.Find(name)
	if err != nil || k.Means == "" {
		return 0
	}
	clip := func(x float64) float64 { return min(max(x, k.Least), k.Most) }
	switch name {
	case adversary.LyingShort, adversary.StolenKey, adversary.PausedVM, adversary.LyingMoved:
		if beyond {
			return float64(s.F+1) + math.Floor(2*d.Float64())
		}
		s.F = max(s.F, 1)
		s.Committee = max(s.Committee, 2*s.F+1)
		return 1 + math.Floor(d.Float64()*float64(s.F))
	case adversary.LyingLong:
		return 1 + math.Floor(4*d.Float64())
	case adversary.Colluders:
		if beyond {
			return 1
		}
		return 0
	case adversary.MovedCore:
		if beyond {
			return adversary.FastestCore * (2 + 20*d.Float64())
		}
		return adversary.FastestCore * d.Float64()
	case adversary.FasterLink, adversary.RelayNear:
		if beyond || s.Class == earth.Vacuum {
			return 0.9 + 0.1*d.Float64()
		}
		return 0.3 + 0.39*d.Float64()
	case adversary.PoisonedCalibration:
		if !beyond {
			s.F = max(s.F, 1)
			s.Committee = max(s.Committee, 2*s.F+1)
		}
		return math.Floor(6 * d.Float64())
	case adversary.AddDelayAdaptive, adversary.PickyProver:
		return 2 + math.Floor(3*d.Float64())
	}
	return clip(k.Default * (0.1 + 2.9*d.Float64()))
}

// Play counts n honest and n cheating cores in the scenario.
func (s Scenario) Play(ctx context.Context, n uint64) (Tally, error) {
	t, err := s.Setup.Prepare()
	if err != nil {
		return Tally{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	tally, err := t.Count(ctx, n, s.Access)
	if err != nil {
		return Tally{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	return tally, nil
}
