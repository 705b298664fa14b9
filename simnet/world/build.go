package world

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
)

// World makes the world of a file. A measured set is read from Dir.
func (f File) World() (*World, error) {
	f, err := f.recheck()
	if err != nil {
		return nil, err
	}
	return f.build()
}

// WithSeed returns the same world drawn from another seed.
func (w *World) WithSeed(seed uint64) (*World, error) {
	if w.file != nil {
		f := *w.file
		f.Seed = &seed
		return f.build()
	}
	other := *w
	other.seed = seed
	return &other, nil
}

// build makes the world of a file that is known to be right.
func (f File) build() (*World, error) {
	w, err := f.ground()
	if err != nil {
		return nil, err
	}
	w.name, w.file = f.Name, &f
	r := &reader{name: f.source, at: f.at}
	f.settle(w, r)
	f.setRules(w, r)
	if err := r.err(); err != nil {
		return nil, err
	}
	return w, nil
}

// ground makes a world of the file's places, under plain rules.
func (f File) ground() (*World, error) {
	var w *World
	if f.Measured != "" {
		dir := f.Measured
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(f.Dir, dir)
		}
		set, err := dataset.Load(dir)
		if err != nil {
			return nil, fmt.Errorf("measured: %w", err)
		}
		if w, err = Measured(set, *f.Seed); err != nil {
			return nil, err
		}
	} else {
		places, err := f.places()
		if err != nil {
			return nil, err
		}
		if w, err = Synthetic(f.Name, places, Config{Seed: *f.Seed}); err != nil {
			return nil, errors.Join(ErrFile, &Problem{File: f.source, Text: err.Error()})
		}
	}
	return w, nil
}

// places lists the built-in cities that the file wants, and its own.
func (f File) places() ([]Place, error) {
	var out []Place
	if f.Places.Builtin != nil && *f.Places.Builtin {
		all, err := Cities()
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if len(f.Places.Countries) == 0 || slices.Contains(f.Places.Countries, c.Country) {
				if f.Places.Access != 0 {
					c.Access = f.Places.Access
				}
				out = append(out, c)
			}
		}
	}
	for _, x := range f.Places.List {
		p := Place{ID: x.ID, Name: x.Name, Country: x.Country, Population: UnknownPopulation, Access: x.Access, Metro: x.Metro, Operator: x.Operator}
		p.At.Lat, p.At.Lon = x.Lat, x.Lon
		if p.Name == "" {
			p.Name = x.ID
		}
		if x.Population != nil {
			p.Population = int(*x.Population)
		}
		out = append(out, p)
	}
	return out, nil
}

// maxPlaces bounds a world: each place stands in the index by its names.
const maxPlaces = 20_000

// settle puts the homes into the cities.
func (f File) settle(w *World, r *reader) {
	cities := len(w.places)
	for i, h := range f.Places.Homes {
		found := false
		for _, city := range w.places[:cities] {
			if h.City != "*" && h.City != city.ID {
				continue
			}
			found = true
			if len(w.places)+int(h.Count) > maxPlaces {
				r.wrong(fmt.Sprintf("places.homes[%d].count", i), "more than %d places: draw hosts of a city where they are needed", maxPlaces)
				return
			}
			for k := range h.Count {
				home := w.Host(city, fmt.Sprintf("%v-%d", h.Access, k+1))
				home.Access = h.Access
				w.places = append(w.places, home)
			}
		}
		if !found {
			r.wrong(fmt.Sprintf("places.homes[%d].city", i), "no place has the id %q", short(h.City))
		}
	}
	if err := w.fill(); err != nil {
		r.problems = append(r.problems, &Problem{File: f.source, Text: err.Error()})
	}
}

// setRules turns what the file says beyond places into the world's rules.
func (f File) setRules(w *World, r *reader) {
	if f.Start != nil {
		w.rules.start = *f.Start
	}
	for _, a := range f.Access {
		w.rules.laws[a.Class] = a.law(w.rules.laws[a.Class])
	}
	w.profile = f.Routes.Public.profile(w.profile)
	w.rules.backbone = f.Routes.Backbone.profile(w.rules.backbone)
	w.rules.homes = f.Routes.Homes.profile(w.rules.homes)
	if q := f.Routes.Queues; q != nil {
		w.rules.queues, w.rules.queueTail = q.Scatter, or(q.Tail, 1)
	}
	if a := f.Routes.Asymmetry; a != nil {
		w.rules.asymmetry.medianMS, w.rules.asymmetry.sigma = a.MedianMS, or(a.Sigma, 0)
		w.rules.asymmetry.rare, w.rules.asymmetry.rareMS = or(a.Rare, 0), or(a.RareMS, 0)
		w.rules.asymmetry.most = or(a.Most, w.rules.asymmetry.most)
	}
	for _, c := range f.Congestion {
		w.rules.congestion = append(w.rules.congestion, congestion{c.Access, c.Clock == "utc", c.Hours, c.Loss})
	}
	if x := f.Wander; x != nil {
		w.rules.wander = &wander{x.Every, x.Share, x.MedianMS, x.Sigma}
	}
	w.drawUplinks()
	f.setChanges(w, r)
	f.setMedia(w, r)
	if c := f.Clocks; c != nil {
		w.rules.clocks = c.clocks()
	}
}

// drawUplinks remembers what tables of routes would draw again for each pair.
func (w *World) drawUplinks() {
	if w.profile.Table == nil && w.rules.homes.Table == nil && w.rules.backbone.Table == nil {
		return
	}
	towns := make(map[string]float64, len(w.places))
	for _, p := range w.places {
		towns[p.Metro] = w.uplink(p.Metro)
	}
	w.uplinks = towns
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func (a AccessSpec) law(l accessLaw) accessLaw {
	if q := a.Excess; q != nil {
		l.excess = prepare(quantiles{q.LeastOf100, q.LeastOf30, q.LeastOf10, q.LeastOf3, q.P50, q.P90, q.P99})
	}
	l.loss, l.delay, l.scatter, l.tail = or(a.Loss, l.loss), or(a.Delay, l.delay), or(a.Scatter, l.scatter), or(a.Tail, 1)
	return l
}

// profile returns a law of the file as a profile; what it leaves out is as in the profile handed in.
func (l *LawSpec) profile(p Profile) Profile {
	if l == nil {
		return p
	}
	if named, err := ParseProfile(l.Profile); err == nil {
		p = named
	}
	if l.Table != nil {
		p.Name = "table"
		p.Table, _ = NewTable(l.Table.table()) // check has seen it
	}
	p.Scale, p.Power, p.Sigma = or(l.ScaleMS, p.Scale), or(l.Power, p.Power), or(l.Sigma, p.Sigma)
	p.Near, p.Tail, p.Stretch = or(l.Near, p.Near), or(l.Tail, p.Tail), or(l.Stretch, p.Stretch)
	return p
}

func (f File) setChanges(w *World, r *reader) {
	for i, c := range f.Changes {
		x := change{at: c.At, until: or(c.Until, math.MaxInt64), there: c.Adds / 2, back: c.Adds - c.Adds/2}
		if or(c.OneWay, false) {
			x.there, x.back = c.Adds, 0
		}
		for k, town := range []*string{&x.from, &x.to} {
			*town = w.town(c.Between[k], r, fmt.Sprintf("changes[%d].between[%d]", i, k))
		}
		w.rules.changes = append(w.rules.changes, x)
	}
}

// town returns the town of a place by the place's id or name; empty for *, which stands for any.
func (w *World) town(id string, r *reader, path string) string {
	if id == "*" {
		return ""
	}
	p, err := w.Find(id)
	if err != nil {
		r.wrong(path, "%v", err)
	}
	return p.Metro
}

// mediumKinds are the usual numbers of each kind: the group index of its matter, the stretch of its way, the height of satellites and
// what its equipment adds there and back. Hollow-core fibre guides light in air or vacuum (index 1.003 with its structure) but lies in
// the ground like other fibre; a chain of microwave towers runs within a hundredth of the great circle in air (index 1.0003);
// laser links join satellites 550 km up.
var mediumKinds = map[string]medium{
	"fibre":           {index: FibreIndex, stretch: 1.2, extra: equipment},
	"hollow-core":     {index: 1.003, stretch: 1.1, extra: equipment},
	"microwave":       {index: 1.0003, stretch: 1.01, extra: 0.05},
	"satellite-laser": {index: 1, stretch: 1.15, height: 550e3, extra: 2},
}

func (f File) setMedia(w *World, r *reader) {
	for i, m := range f.Media {
		x := mediumKinds[m.Kind]
		x.name, x.share = m.Name, or(m.Share, 0)
		x.index, x.stretch, x.extra = or(m.Index, x.index), or(m.Stretch, x.stretch), or(m.ExtraMS, x.extra)
		if m.HeightKM != nil {
			x.height = *m.HeightKM * 1000
		}
		for k, id := range m.Between {
			if town := w.town(id, r, fmt.Sprintf("media[%d].between[%d]", i, k)); town != "" {
				if x.towns == nil {
					x.towns = make(map[string]bool)
				}
				x.towns[town] = true
			}
		}
		w.rules.media = append(w.rules.media, x)
	}
}

func (c *ClocksSpec) clocks() clocks {
	out := clocks{offsetMS: or(c.OffsetMS, 0), driftPPM: or(c.DriftPPM, 0), hosts: make(map[string]Clock)}
	for _, h := range c.Hosts {
		clock := Clock{Offset: h.Offset, DriftPPM: h.DriftPPM}
		for _, s := range h.Steps {
			clock.Steps = append(clock.Steps, Step(s))
		}
		out.hosts[h.Host] = clock
	}
	return out
}
