package bench

import (
	"context"
	"fmt"
	"math"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/eval"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// estimates scores every method that locator/eval knows, in one evaluation.
type estimates struct {
	set     *dataset.Set
	options eval.Options
}

// estimates sets an evaluation up: over the measured set itself, where constellation.count beacons are drawn for each host (all others
// when it is left out), or over drawn exchanges between all beacons of a constellation.
func (k *stock) estimates(s file.Settings) (*estimates, error) {
	e := &estimates{options: eval.Options{Seed: s.Seed}}
	if s.World.Measured != "" {
		e.options.Beacons = s.Constellation.Count
		var err error
		e.set, err = k.set(s.World.Measured)
		return e, err
	}
	w, err := k.world(s)
	if err != nil {
		return nil, err
	}
	sites, err := k.sites(w, s)
	if err != nil {
		return nil, err
	}
	hosts := beacons(w, sites, s.Constellation.Domains)
	nodes := make([]dataset.Node, len(hosts))
	for i, h := range hosts {
		nodes[i] = dataset.Node{ID: h.Place.ID, Name: h.Place.Name, Country: h.Place.Country, At: h.Stated, Source: w.Name()}
	}
	if e.set, err = dataset.New(w.Name(), nodes); err != nil {
		return nil, err
	}
	limits := exchange.DefaultLimits()
	if s.Rounds != 0 {
		if limits, err = sample.Fixed(s.Rounds); err != nil {
			return nil, err
		}
	}
	sampler, err := sample.New(w, limits)
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		for j := range i {
			path, ok := sample.Between(w, hosts[i].Place, hosts[j].Place, 0)
			if !ok {
				continue
			}
			m, ok := sampler.Exchange(path, sample.KeyOf(s.Seed, sample.Hash(hosts[i].Place.ID), sample.Hash(hosts[j].Place.ID), 0))
			if !ok {
				continue
			}
			if err := e.set.Add(i, j, m.Bound()+earth.RTT(s.AccessDelay), false); err != nil {
				return nil, fmt.Errorf("%s to %s: %w", nodes[i].ID, nodes[j].ID, err)
			}
		}
	}
	return e, nil
}

// Chunk implements experiment.Bench: the one evaluation of the point, with a series for each method.
func (e *estimates) Chunk(ctx context.Context, _ result.Work) (result.Chunk, error) {
	r, err := eval.Run(ctx, e.set, e.options)
	if err != nil {
		return result.Chunk{}, err
	}
	var c result.Chunk
	share := func(x *float64, of int64) int64 { return int64(math.Round(*x * float64(of))) }
	for _, name := range eval.Names {
		m := r.Methods[name]
		if m == nil {
			continue
		}
		t := result.Tally{Targets: int64(r.Targets)}
		for _, km := range r.ErrorsKM(name) {
			t.ErrorKM.Add(km)
		}
		if m.CountryAccuracy != nil {
			t.Country = share(m.CountryAccuracy, t.Targets)
		}
		if m.Coverage90 != nil {
			t.Claimed90 = t.Targets
			t.Within90 = share(m.Coverage90, t.Targets)
		}
		c.Series = append(c.Series, result.Series{Name: name, Tally: t})
	}
	return c, nil
}
