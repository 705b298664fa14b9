package world

import (
	"fmt"
	"reflect"
	"slices"
)

// check looks at what several fields say together; each problem names the place of the value to change.
func (f *File) check(r *reader) {
	f.checkPlaces(r)
	f.checkAccess(r)
	for name, law := range map[string]*LawSpec{"public": f.Routes.Public, "backbone": f.Routes.Backbone, "homes": f.Routes.Homes} {
		if law != nil {
			law.check(r, "routes."+name)
		}
	}
	for i, c := range f.Changes {
		if c.Until != nil && *c.Until <= c.At {
			r.wrong(fmt.Sprintf("changes[%d].until", i), "%v is not after %v, when the change begins", *c.Until, c.At)
		}
	}
	f.checkMedia(r)
	f.checkClocks(r)
}

func (f *File) checkPlaces(r *reader) {
	p := f.Places
	builtin := p.Builtin != nil && *p.Builtin
	switch {
	case f.Measured != "" && (builtin || len(p.List) > 0):
		r.wrong("measured", "the places of a measured world are the set's: leave out places.builtin and places.list")
	case f.Measured == "" && !builtin && len(p.List) == 0:
		r.wrong("places", "no place: say builtin: true, or write a list, or name a measured set")
	case !builtin && (len(p.Countries) > 0 || p.Access != 0):
		r.wrong("places", "countries and access are those of the built-in cities: say builtin: true")
	}
	seen := make(map[string]bool)
	for i, x := range p.List {
		if seen[x.ID] {
			r.wrong(fmt.Sprintf("places.list[%d].id", i), "%q is another place's id already", short(x.ID))
		}
		seen[x.ID] = true
		if x.Country != "" && !isCountry(x.Country) {
			r.wrong(fmt.Sprintf("places.list[%d].country", i), "%q is no code of two capital letters, such as DE", short(x.Country))
		}
	}
	for i, c := range p.Countries {
		if !isCountry(c) {
			r.wrong(fmt.Sprintf("places.countries[%d]", i), "%q is no code of two capital letters, such as DE", short(c))
		}
	}
}

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func (f *File) checkAccess(r *reader) {
	var seen []Access
	for i, a := range f.Access {
		path := fmt.Sprintf("access[%d]", i)
		if slices.Contains(seen, a.Class) {
			r.wrong(path+".class", "%v stands here twice", a.Class)
		}
		seen = append(seen, a.Class)
		if q := a.Excess; q != nil {
			rising := []float64{q.LeastOf100, q.LeastOf30, q.LeastOf10, q.LeastOf3, q.P50, q.P90, q.P99}
			if !slices.IsSorted(rising) {
				r.wrong(path+".excess_ms", "the quantiles must not fall from least_of_100 to p99")
			}
		}
	}
}

func (l *LawSpec) check(r *reader, path string) {
	if l.Table == nil {
		return
	}
	plain := *l
	plain.Table, plain.Stretch, plain.Profile = nil, nil, ""
	if plain != (LawSpec{}) {
		r.wrong(path, "a law with a table needs no scale_ms, power, sigma, near or tail: leave them out")
	}
	if _, err := NewTable(l.Table.table()); err != nil {
		r.wrong(path+".table", "%v", err)
	}
}

func (t *TableSpec) table() Table {
	out := Table{Levels: t.Levels, Node: t.Node, Corridor: t.Corridor}
	for _, row := range t.Rows {
		out.Rows = append(out.Rows, Row{LightMS: row.LightMS, Excess: row.Excess})
	}
	return out
}

func (f *File) checkMedia(r *reader) {
	seen := make(map[string]bool)
	for i, m := range f.Media {
		path := fmt.Sprintf("media[%d]", i)
		switch {
		case seen[m.Name]:
			r.wrong(path+".name", "%q is another medium's name already", short(m.Name))
		case len(m.Between) == 0 && m.Share == nil:
			r.wrong(path, "it joins nobody: write between, a list of towns, or share")
		case len(m.Between) == 1:
			r.wrong(path+".between", "one town: a way needs two ends")
		case m.Index == nil && mediumKinds[m.Kind].index == 0:
			r.wrong(path+".kind", "%q: use hollow-core, microwave, satellite-laser or fibre", m.Kind)
		}
		seen[m.Name] = true
	}
}

func (f *File) checkClocks(r *reader) {
	if f.Clocks == nil {
		return
	}
	seen := make(map[string]bool)
	for i, c := range f.Clocks.Hosts {
		path := fmt.Sprintf("clocks.hosts[%d]", i)
		if seen[c.Host] {
			r.wrong(path+".host", "%q has a clock already", short(c.Host))
		}
		seen[c.Host] = true
		for k, s := range c.Steps {
			if k > 0 && s.At <= c.Steps[k-1].At {
				r.wrong(fmt.Sprintf("%s.steps[%d].at", path, k), "%v is not after the step before", s.At)
			}
		}
	}
}

// recheck runs what reading would have refused on a File that was made or changed in Go: it is written and read again.
func (f File) recheck() (File, error) {
	text, err := f.Marshal()
	if err != nil {
		return File{}, err
	}
	name := f.source
	if name == "" {
		name = f.Name
	}
	out, err := Parse(name, text)
	if err != nil {
		return File{}, err
	}
	out.Dir = f.Dir
	if reflect.DeepEqual(f.bare(), out.bare()) && f.at != nil {
		out.at = f.at // the text's own lines
	}
	return out, nil
}

// bare is what a file says, without where it says it.
func (f File) bare() File {
	f.Dir, f.source, f.at = "", "", nil
	return f
}
