package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/plan"
)

// Verdicts runs the trials of one point.
type Verdicts struct {
	settings file.Settings
	world    *world.World
	trial    *trial.Trial
	towns    []world.Place // where honest cores stand
	people   []int64       // in the towns up to and with each, when cores are drawn by people
	grid     []plan.Sample // or these
}

// Verdicts sets a point up.
func (k *stock) Verdicts(s file.Settings) (*Verdicts, error) {
	v := &Verdicts{settings: s}
	var err error
	if v.world, err = k.world(s); err != nil {
		return nil, err
	}
	sites, err := k.sites(v.world, s)
	if err != nil {
		return nil, err
	}
	permit, err := k.region(s.Policy.Permit)
	if err != nil {
		return nil, err
	}
	liar, err := adversaryOf(s.Adversary)
	if err != nil {
		return nil, err
	}
	v.trial, err = trial.Setup{
		World: v.world, Beacons: beacons(v.world, sites, s.Constellation.Domains), Committee: s.Committee, Permit: permit, F: s.Policy.F,
		Class: s.Policy.Speed, Access: earth.RTT(s.AccessDelay), Rounds: s.Rounds, Adversary: liar, Quarantine: s.Policy.Quarantine, Seed: s.Seed,
	}.Prepare()
	if err != nil {
		return nil, err
	}
	return v, k.cores(v, sites)
}

// adversaryOf turns strength 0 of an adversary that needs more into nobody.
func adversaryOf(a file.Adversary) (adversary.Adversary, error) {
	out := adversary.Adversary{Name: adversary.Name(a.Name), Strength: a.Strength}
	kind, err := adversary.Find(out.Name)
	if err != nil {
		return out, err
	}
	if a.Strength == 0 && kind.Least > 0 {
		out.Name = adversary.Honest
	}
	_, err = out.Kind()
	return out, err
}

// cores finds where honest cores may stand.
func (k *stock) cores(v *Verdicts, sites []world.Place) (err error) {
	s := v.settings
	if s.Cores.Place == file.Grid {
		if v.world.IsMeasured() {
			return fmt.Errorf("%w: a measured world knows no place between its nodes; put cores into cities", ErrWorld)
		}
		in := s.Cores.In
		if in == "permit" {
			in = s.Policy.Permit
		}
		area, err := k.region(in)
		if err != nil {
			return err
		}
		v.grid, err = plan.Samples(area, min(s.Cores.Count, plan.MaxSamples/4))
		return err
	}
	if v.towns, err = k.within(v.world.Places(), s.Cores.In, s.Policy.Permit); err != nil {
		return err
	}
	if v.world.IsMeasured() {
		return v.leaveOut(sites)
	}
	if s.Cores.By == file.ByPeople {
		var sum int64
		for _, t := range v.towns {
			sum += int64(max(1, t.Population))
			v.people = append(v.people, sum)
		}
	}
	return nil
}

// leaveOut takes the measured hosts that are beacons from those that can be cores.
func (v *Verdicts) leaveOut(sites []world.Place) error {
	taken := map[string]bool{}
	for _, b := range sites {
		taken[b.ID] = true
	}
	var free []world.Place
	for _, p := range v.towns {
		if !taken[p.ID] {
			free = append(free, p)
		}
	}
	if v.towns = free; len(free) == 0 {
		return fmt.Errorf("%w: every measured place of %s is a beacon; none is left for a core", ErrTooFew, v.settings.Cores.In)
	}
	return nil
}

// Core returns the core of a number.
func (v *Verdicts) Core(n int) (trial.Core, error) {
	who := v.settings.Cores.Who
	if who == file.Cheats || who == file.Both && n%2 == 1 {
		c, ok := v.trial.Cheat(uint64(n), v.settings.Cores.Access)
		if !ok {
			return c, fmt.Errorf("%w: a cheat needs towns on both sides of the border of %s", ErrNowhere, v.settings.Policy.Permit)
		}
		return c, nil
	}
	at := v.stand(n)
	at.Access = v.settings.Cores.Access
	return trial.Core{ID: at.ID, Stands: at, Claim: at}, nil
}

// stand returns where honest core n stands: towns in a drawn order, again and again; the cells of a grid evenly.
func (v *Verdicts) stand(n int) world.Place {
	id := strconv.Itoa(n)
	if v.grid != nil {
		at := v.grid[n*len(v.grid)/v.settings.Cores.Count].At
		return world.Place{ID: "grid " + id, Name: "grid " + id, At: at, Population: world.UnknownPopulation, Access: world.DataCentre, Metro: "grid " + id}
	}
	rnd := source(v.settings.Seed, "core "+id)
	at := rnd.IntN(len(v.towns))
	if v.people != nil {
		at, _ = slices.BinarySearch(v.people, 1+rnd.Int64N(v.people[len(v.people)-1]))
	}
	town := v.towns[at]
	if v.world.IsMeasured() {
		return town
	}
	return v.world.Host(town, "core "+id)
}

// Beacons returns the beacons that may be asked, moved ones where they really stand.
func (v *Verdicts) Beacons() []trial.Beacon { return v.trial.Asked() }

// Try runs the trial of one core.
func (v *Verdicts) Try(n int) (trial.Core, trial.Outcome, error) {
	c, err := v.Core(n)
	if err != nil {
		return c, trial.Outcome{}, err
	}
	o, err := v.trial.Run(c)
	return c, o, err
}

// Chunk implements experiment.Bench.
func (v *Verdicts) Chunk(ctx context.Context, w result.Work) (result.Chunk, error) {
	var c result.Chunk
	var tally result.Tally
	for n := w.From; n < w.To; n++ {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		core, o, err := v.Try(n)
		if err != nil {
			return c, &experiment.TrialError{Core: n, Err: err}
		}
		x := v.read(core, o)
		tally.Add(x)
		if x.False {
			c.Remember(n)
		}
		if v.settings.Measure.Map {
			c.Spots = append(c.Spots, spot(core.Stands.At, x))
		}
	}
	c.Series = []result.Series{{Tally: tally}}
	return c, nil
}

// read takes from an outcome what is counted.
func (v *Verdicts) read(c trial.Core, o trial.Outcome) result.Trial {
	x := result.Trial{
		Entitled: o.Stands == atlas.In || o.Stands == atlas.Border && !c.Cheats(),
		Attacked: c.Cheats() || v.trial.Setup().Adversary.Name != adversary.Honest,
		Judged:   o.Answered > 0, Kind: o.Kind, Detected: o.Detected != trial.Unnoticed,
	}
	x.False = o.FalseAccept && (c.Cheats() || o.Stands == atlas.Out)
	x.Missed = x.Judged && !o.Holds
	if v.settings.Measure.Region && x.Judged && o.Kind != verdict.Inconsistent {
		x.RegionKM2, x.HasRegion = o.RegionKM2, true
	}
	return x
}

func spot(at earth.LatLon, x result.Trial) result.Spot {
	s := result.Spot{Lat4: int32(math.Round(at.Lat * 1e4)), Lon4: int32(math.Round(at.Lon * 1e4))}
	proven := x.Judged && x.Kind == verdict.Inside
	switch {
	case x.False:
		s.State = result.FalseAccept
	case !x.Entitled:
		s.State = result.Rejected
	case proven:
		s.State = result.Proven
	}
	return s
}
