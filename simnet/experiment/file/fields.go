package file

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// draft is what the leaves of one point amount to.
type draft struct {
	name, about string
	settings    Settings
	seeds       []uint64
	expect      Expectation
	chart       Chart
}

// field is one value of the file.
type field struct {
	path     string
	normal   string // the value when it is left out, as one would write it; empty for none
	required bool
	fixed    bool   // may not be swept: it says nothing about a trial
	means    string // what to write, for people
	read     func(*reader, *yaml.Node, *draft)
}

// fields is the language, one line a value. Sweeps name a value by its path.
var fields []field

func init() { // the table mentions functions that mention the table (hint)
	fields = []field{
		{"name", "", true, true, "a short name: letters, digits and dashes", name},
		{"about", "", true, true, "one sentence for people", text(func(d *draft, s string) { d.about = s })},
		{"world.builtin", "", false, false, "public, cloud or homes", word(func(d *draft, s string) { d.settings.World.Builtin = s }, "public", "cloud", "homes")},
		{"world.towns", "", false, false, "every place of so many people or more, from 15000", number(15_000, 50_000_000, func(d *draft, n int) { d.settings.World.Towns = n })},
		{"world.in", "", false, false, "a region beyond which the built-in world has no places", text(func(d *draft, s string) { d.settings.World.In = s })},
		{"world.file", "", false, false, "a world file", text(func(d *draft, s string) { d.settings.World.File = s })},
		{"world.measured", "", false, false, "the folder of a measured set", text(func(d *draft, s string) { d.settings.World.Measured = s })},
		{"constellation.rule", "spread", false, false, "spread, population, random, list or all",
			word(func(d *draft, s string) { d.settings.Constellation.Rule = Rule(s) }, string(Spread), string(Population), string(Random), string(List), string(All))},
		{"constellation.cities", "", false, false, "a list of cities, for rule list", cities},
		{"constellation.in", "world", false, false, "a region, or permit, or world", text(func(d *draft, s string) { d.settings.Constellation.In = s })},
		{"constellation.count", "", false, false, "how many beacons", number(1, MaxSites, func(d *draft, n int) { d.settings.Constellation.Count = n })},
		{"constellation.per_town", "1", false, false, "how many beacons stand in one town, or f+1", perTown},
		{"constellation.domains", "beacon", false, false, "beacon, city, country, or a number of operators", domains},
		{"cores.place", Cities, false, false, "cities, homes or grid", word(func(d *draft, s string) { d.settings.Cores.Place = s }, Cities, Homes, Grid)},
		{"cores.in", "permit", false, false, "a region, or permit, or world", text(func(d *draft, s string) { d.settings.Cores.In = s })},
		{"cores.who", Honest, false, false, "honest, cheats or both", word(func(d *draft, s string) { d.settings.Cores.Who = s }, Honest, Cheats, Both)},
		{"cores.by", ByTown, false, false, "town or people: each town as likely, or each inhabitant", word(func(d *draft, s string) { d.settings.Cores.By = s }, ByTown, ByPeople)},
		{"cores.count", "", false, false, "how many cores", number(1, MaxCores, func(d *draft, n int) { d.settings.Cores.Count = n })},
		{"cores.access", "", false, false, "data-centre, wired, wifi, cellular or satellite", access},
		{"adversary.name", "none", false, false, "an adversary of the library", text(func(d *draft, s string) { d.settings.Adversary.Name = s })},
		{"adversary.strength", "0", false, false, "a number; what it counts is the adversary's to say", float(func(d *draft, x float64) { d.settings.Adversary.Strength = x })},
		{"policy.permit", "", true, false, "a region, such as DE or EU27+CH", text(func(d *draft, s string) { d.settings.Policy.Permit = s })},
		{"policy.f", "0", false, false, "how many beacon domains may be faulty", number(0, 8, func(d *draft, n int) { d.settings.Policy.F = n })},
		{"policy.speed", "vacuum", false, false, "vacuum or fibre", speed},
		{"policy.quarantine", "off", false, false, "on or off: does the audit of the mesh take convicted beacons out",
			word(func(d *draft, s string) { d.settings.Policy.Quarantine = s == "on" }, "on", "off")},
		{"committee", "8", false, false, "how many beacons a core asks", number(1, 1024, func(d *draft, n int) { d.settings.Committee = n })},
		{"rounds", "0", false, false, "rounds of an exchange, 8 to 64, or 0 for the protocol's own rule", number(0, MaxRounds, func(d *draft, n int) { d.settings.Rounds = n })},
		{"access_delay", "0s", false, false, "what a core's link adds to each round trip, such as 1ms", duration},
		{"seeds", "[1]", false, true, "a list of whole numbers", seeds},
		{"measure", "[]", false, true, "a list of region, map and estimate", measure},
		{"expect", "nothing", false, true, "nothing, sound or false-accepts",
			word(func(d *draft, s string) { d.expect = Expectation(s) }, string(ExpectNothing), string(ExpectSound), string(ExpectFalseAccepts))},
		{"chart.x", "", false, true, "the swept value along the axis", text(func(d *draft, s string) { d.chart.X = s })},
		{"chart.by", "", false, true, "the swept value with one curve for each", text(func(d *draft, s string) { d.chart.By = s })},
		{"chart.facet", "", false, true, "the swept value with a table row for each", text(func(d *draft, s string) { d.chart.Facet = s })},
		{"chart.share", "0.5", false, true, "the share of cores from which a place counts as provable", share},
	}
}

// Field describes one value of the file, for documents.
type Field struct {
	Path     string // as a sweep or a replacement names it
	Normal   string // the value when it is left out; empty for none
	Required bool
	Fixed    bool   // cannot be swept
	Means    string // what to write
}

// Fields lists the values that a file may have, in the order of the documents.
func Fields() []Field {
	out := make([]Field, len(fields))
	for i, f := range fields {
		out[i] = Field{f.path, f.normal, f.required, f.fixed, f.means}
	}
	return out
}

// at returns a field by its path, nil when there is none.
func at(path string) *field {
	if i := slices.IndexFunc(fields, func(f field) bool { return f.path == path }); i >= 0 {
		return &fields[i]
	}
	return nil
}

// isGroup says whether fields stand below a word.
func isGroup(word string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return strings.HasPrefix(f.path, word+".") })
}

// fieldsOf lists the fields below a group, or with "" the words at the top.
func fieldsOf(group string) (words []string) {
	for _, f := range fields {
		w := f.path
		if group != "" {
			var below bool
			if w, below = strings.CutPrefix(w, group+"."); !below {
				continue
			}
		} else {
			w, _, _ = strings.Cut(w, ".")
		}
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if group == "" {
		words = append(words, sweepKey)
	}
	return words
}

// scalar is a node's text, when it has one.
func (r *reader) scalar(n *yaml.Node, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" || len(n.Value) > 4096 || strings.ContainsAny(n.Value, "\n\r\x00") {
		r.bad(n, "write %s", want)
		return "", false
	}
	return n.Value, true
}

func text(set func(*draft, string)) func(*reader, *yaml.Node, *draft) {
	return func(r *reader, n *yaml.Node, d *draft) {
		if s, ok := r.scalar(n, "a word or one line"); ok {
			set(d, s)
		}
	}
}

// name becomes part of file names and of Kubernetes objects.
func name(r *reader, n *yaml.Node, d *draft) {
	s, ok := r.scalar(n, "a short name")
	if !ok {
		return
	}
	good := len(s) <= 40 && s[0] != '-' && s[len(s)-1] != '-'
	for _, c := range s {
		good = good && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !good {
		r.bad(n, "%q is no name: write up to 40 small letters, digits and dashes, such as access-delay", s)
		return
	}
	d.name = s
}

func word(set func(*draft, string), known ...string) func(*reader, *yaml.Node, *draft) {
	return func(r *reader, n *yaml.Node, d *draft) {
		s, ok := r.scalar(n, "one of "+strings.Join(known, ", "))
		switch {
		case !ok:
		case !slices.Contains(known, s):
			r.bad(n, "%q is none of %s", s, strings.Join(known, ", "))
		default:
			set(d, s)
		}
	}
}

// whole is a plain decimal number: no sign, no underscore, no other base.
func (r *reader) whole(n *yaml.Node) (uint64, bool) {
	s, ok := r.scalar(n, "a whole number")
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(v, 10) != s {
		r.bad(n, "%q is no whole number: write digits only", s)
		return 0, false
	}
	return v, true
}

func number(least, most uint64, set func(*draft, int)) func(*reader, *yaml.Node, *draft) {
	return func(r *reader, n *yaml.Node, d *draft) {
		v, ok := r.whole(n)
		switch {
		case !ok:
		case v < least || v > most:
			r.bad(n, "%d is not within %d to %d", v, least, most)
		default:
			set(d, int(v))
		}
	}
}

func (r *reader) decimal(n *yaml.Node) (float64, bool) {
	s, ok := r.scalar(n, "a number")
	if !ok {
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || x < 0 || x > 1e12 {
		r.bad(n, "%q is no number of at least 0: write such as 0.5", s)
		return 0, false
	}
	return x, true
}

func float(set func(*draft, float64)) func(*reader, *yaml.Node, *draft) {
	return func(r *reader, n *yaml.Node, d *draft) {
		if x, ok := r.decimal(n); ok {
			set(d, x)
		}
	}
}

func share(r *reader, n *yaml.Node, d *draft) {
	x, ok := r.decimal(n)
	switch {
	case !ok:
	case !(x > 0 && x <= 1):
		r.bad(n, "%s is no share: write a number above 0, at most 1", n.Value)
	default:
		d.chart.Share = x
	}
}

// duration is written with its unit.
func duration(r *reader, n *yaml.Node, d *draft) {
	s, ok := r.scalar(n, "a time with its unit, such as 1ms")
	if !ok {
		return
	}
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 || t > 10*time.Second {
		r.bad(n, "%q is no delay: write a time of 0s to 10s with its unit, such as 1500us or 2ms", s)
		return
	}
	d.settings.AccessDelay = t
}

func access(r *reader, n *yaml.Node, d *draft) {
	s, ok := r.scalar(n, "an access class")
	if !ok {
		return
	}
	a, err := world.ParseAccess(s)
	if err != nil {
		r.bad(n, "%v", err)
		return
	}
	d.settings.Cores.Access = a
}

func speed(r *reader, n *yaml.Node, d *draft) {
	s, ok := r.scalar(n, "vacuum or fibre")
	if !ok {
		return
	}
	class, err := earth.ParseSpeedClass(s)
	if err != nil {
		r.bad(n, "%q is no speed class: write vacuum or fibre", s)
		return
	}
	d.settings.Policy.Speed = class
}

// perTown may follow f, which the point settles: 0 stands for f+1 until then.
func perTown(r *reader, n *yaml.Node, d *draft) {
	if n.Value == "f+1" {
		d.settings.Constellation.PerTown = 0
		return
	}
	number(1, 64, func(d *draft, n int) { d.settings.Constellation.PerTown = n })(r, n, d)
}

func domains(r *reader, n *yaml.Node, d *draft) {
	s, ok := r.scalar(n, "beacon, city, country, or a number of operators")
	if !ok {
		return
	}
	if !slices.Contains([]string{"beacon", "city", "country"}, s) {
		v, err := strconv.ParseUint(s, 10, 31)
		if err != nil || v < 1 || v > MaxSites || strconv.FormatUint(v, 10) != s {
			r.bad(n, "%q says nothing about domains: write beacon, city, country, or a number of operators", s)
			return
		}
	}
	d.settings.Constellation.Domains = s
}

// items lists the entries of a sequence.
func (r *reader) items(n *yaml.Node, most int) []*yaml.Node {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.bad(n, "write a list, such as [a, b]")
	case len(n.Content) > most:
		r.bad(n, "a list of %d: at most %d", len(n.Content), most)
	default:
		return n.Content
	}
	return nil
}

func cities(r *reader, n *yaml.Node, d *draft) {
	d.settings.Constellation.Cities = nil
	for _, e := range r.items(n, MaxSites) {
		if s, ok := r.scalar(e, "a city"); ok {
			d.settings.Constellation.Cities = append(d.settings.Constellation.Cities, s)
		}
	}
}

func seeds(r *reader, n *yaml.Node, d *draft) {
	list := r.items(n, MaxPoints)
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.bad(n, "no seed: write such as [1, 2, 3]")
	}
	for _, e := range list {
		v, ok := r.whole(e)
		if ok && slices.Contains(d.seeds, v) {
			r.bad(e, "seed %d stands here twice", v)
		}
		d.seeds = append(d.seeds, v)
	}
}

func measure(r *reader, n *yaml.Node, d *draft) {
	m := &d.settings.Measure
	for _, e := range r.items(n, 8) {
		switch s, _ := r.scalar(e, "region, map or estimate"); s {
		case "region":
			m.Region = true
		case "map":
			m.Map = true
		case "estimate":
			m.Estimate = true
		default:
			r.bad(e, "%q is nothing to measure: write region, map or estimate", s)
		}
	}
}
