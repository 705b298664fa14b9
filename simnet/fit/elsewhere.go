package fit

import "github.com/ursa-virtual/ursa/simnet/world"

// Elsewhere is how near the fitted laws are to another set, of which they have seen nothing.
type Elsewhere struct {
	Data  string     `json:"data"`
	Pairs int        `json:"pairs"`
	Laws  []Likeness `json:"laws"` // the built-in law that suits the other set better, and the fitted table
}

// Elsewhere holds the fitted world against another set: the other set's hosts under the fitted laws, all of its pairs.
func (r *Report) Elsewhere(d *Data, o Options) (Elsewhere, error) {
	pairs := thin(d.pairs(), mostToJudge)
	if len(pairs) < 20 {
		return Elsewhere{}, ErrTooFew
	}
	if o.worlds == 0 {
		o.worlds = worldsFor(len(pairs))
	}
	out := Elsewhere{Data: d.Set.Name, Pairs: len(pairs)}
	count := &steps{worlds: o.worlds, total: 2 * o.worlds, tell: o.Progress}
	builtin := nearest(pairs)
	for _, c := range []struct {
		name string
		law  *world.LawSpec
	}{{"built-in " + builtin.Name, &world.LawSpec{Profile: builtin.Name}}, {"fitted table", r.File.Routes.Public}} {
		f := d.file(r.Seed)
		f.Routes.Public = c.law
		l, err := judge(c.name, f, nil, pairs, count)
		if err != nil {
			return Elsewhere{}, err
		}
		out.Laws = append(out.Laws, l)
	}
	return out, nil
}

// nearest is the built-in law under which pairs are likeliest.
func nearest(pairs []pair) world.Profile {
	best := world.Public
	for _, p := range []world.Profile{world.Cloud, world.Homes} {
		if surprise(p, pairs) < surprise(best, pairs) {
			best = p
		}
	}
	return best
}
