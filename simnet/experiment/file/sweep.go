package file

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

const (
	sweepKey = "sweep"
	seedKey  = "seed"
)

// swept is one value that is varied.
type swept struct {
	path   string
	values []*yaml.Node
}

// sweep reads the mapping of paths to lists.
func (r *reader) sweep(n *yaml.Node) (out []swept) {
	if n.Kind != yaml.MappingNode {
		r.bad(n, "write the values to vary, such as policy.f: [0, 1, 2]")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, list := n.Content[i], n.Content[i+1]
		f := at(key.Value)
		switch {
		case f == nil && isGroup(key.Value):
			r.bad(key, "%s has fields of its own: write such as %s.%s", key.Value, key.Value, fieldsOf(key.Value)[0])
		case f == nil:
			r.bad(key, "unknown field %q%s", key.Value, hint(key.Value))
		case f.fixed:
			r.bad(key, "%s cannot be varied", key.Value)
		case slices.ContainsFunc(out, func(s swept) bool { return s.path == key.Value }):
			r.bad(key, "%s stands here twice", key.Value)
		case list.Kind != yaml.SequenceNode || len(list.Content) == 0:
			r.bad(list, "write a list of the values of %s, such as [a, b]", key.Value)
		default:
			out = append(out, swept{key.Value, list.Content})
		}
	}
	return out
}

// Options of Parse.
type Options struct {
	// ReadFile gives the bytes of what an experiment names (world files, measured sets, regions), so that its hash covers them. nil
	// refuses experiments that name any.
	ReadFile func(path string) ([]byte, error)
	// Set replaces values as if they stood in the file: path=value. A value that is swept is then swept no more.
	Set []string
}

// Parse reads an experiment. name stands in problems. The error wraps ErrFile and every *Problem.
func Parse(name string, text []byte, o Options) (*Experiment, error) {
	r := &reader{name: name, known: map[string]bool{}}
	values, sweep := r.document(text)
	sweep = r.set(values, sweep, o.Set)
	var e *Experiment
	if len(r.problems) == 0 {
		e = r.expand(values, sweep)
	}
	if len(r.problems) == 0 {
		e.Hash = r.hash(e, o)
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(append([]error{ErrFile}, r.problems...)...)
	}
	return e, nil
}

// set applies the replacements.
func (r *reader) set(values leaves, sweep []swept, replace []string) []swept {
	for _, s := range replace {
		path, value, ok := strings.Cut(s, "=")
		if !ok || at(path) == nil {
			r.bad(nil, "cannot set %q%s", s, hint(path))
			continue
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
			r.bad(nil, "cannot set %q: %q is no value", path, value)
			continue
		}
		n := doc.Content[0]
		n.Line, n.Column = 0, 0
		r.plain(n, 0)
		values[path] = n
		sweep = slices.DeleteFunc(sweep, func(s swept) bool { return s.path == path })
		maps.DeleteFunc(values, func(k string, v *yaml.Node) bool { // what is no longer varied is no axis
			return strings.HasPrefix(k, "chart.") && v.Value == path
		})
	}
	return sweep
}

// expand makes the product of what is swept and of the seeds; the last varies fastest.
func (r *reader) expand(values leaves, sweep []swept) *Experiment {
	total := 1
	for _, s := range sweep {
		if total *= len(s.values); total > MaxPoints {
			r.bad(nil, "the sweep has more than %d points: vary less", MaxPoints)
			return nil
		}
	}
	e := &Experiment{}
	for _, s := range sweep {
		e.Keys = append(e.Keys, s.path)
	}
	e.Keys = append(e.Keys, seedKey)
	for i := range total {
		here := maps.Clone(values)
		labels := make([]Label, len(sweep))
		for k, rest := len(sweep)-1, i; k >= 0; k-- {
			n := sweep[k].values[rest%len(sweep[k].values)]
			rest /= len(sweep[k].values)
			here[sweep[k].path], labels[k] = n, Label{sweep[k].path, nodeText(n)}
		}
		d := r.point(here)
		if len(r.problems) > 0 {
			continue // a few more may be worth saying
		}
		if total*len(d.seeds) > MaxPoints {
			r.bad(nil, "%d points for each of %d seeds are more than %d: vary less", total, len(d.seeds), MaxPoints)
			return nil
		}
		e.Name, e.About, e.Expect, e.Chart = d.name, d.about, d.expect, d.chart
		for _, seed := range d.seeds {
			p := Point{Index: len(e.Points), Settings: d.settings, Labels: append(slices.Clone(labels), Label{seedKey, strconv.FormatUint(seed, 10)})}
			p.Settings.Seed = seed
			e.Points = append(e.Points, p)
		}
	}
	if len(r.problems) == 0 {
		r.chart(values, e)
	}
	return e
}

// nodeText is a value as one would write it on one line.
func nodeText(n *yaml.Node) string {
	if n.Kind != yaml.SequenceNode {
		return n.Value
	}
	parts := make([]string, len(n.Content))
	for i, c := range n.Content {
		parts[i] = nodeText(c)
	}
	return strings.Join(parts, " ")
}

// point reads the leaves of one point, defaults filled in.
func (r *reader) point(values leaves) *draft {
	d := &draft{}
	for _, f := range fields {
		n := values[f.path]
		switch {
		case n != nil:
			f.read(r, n, d)
		case f.required:
			r.bad(nil, "%s is missing: %s", f.path, f.means)
		case f.normal != "":
			var doc yaml.Node
			if yaml.Unmarshal([]byte(f.normal), &doc) == nil && len(doc.Content) == 1 {
				f.read(r, doc.Content[0], d)
			}
		}
	}
	if len(r.problems) == 0 {
		r.together(values, &d.settings)
	}
	return d
}

// together checks what several values say, and fills in what follows from others.
func (r *reader) together(values leaves, s *Settings) {
	worlds := 0
	for _, w := range []string{s.World.Builtin, s.World.File, s.World.Measured} {
		if w != "" {
			worlds++
		}
	}
	c, node := &s.Constellation, values["constellation.rule"]
	switch {
	case worlds != 1:
		r.bad(values["world.file"], "%d worlds: say one of world.builtin, world.file and world.measured", worlds)
	case s.World.Builtin == "" && (s.World.Towns > 0 || s.World.In != ""):
		r.bad(values["world.towns"], "towns and in are for a built-in world")
	case (c.Rule == List) != (len(c.Cities) > 0):
		r.bad(node, "constellation.cities goes with rule list, and only with it")
	case c.Rule == List && c.Count != 0 || c.Rule == All && c.Count != 0:
		r.bad(values["constellation.count"], "rule %s takes every place that it names: leave the count out", c.Rule)
	case c.Rule != List && c.Rule != All && c.Count == 0 && !s.Measure.Estimate:
		r.bad(nil, "constellation.count is missing: how many beacons")
	case s.Cores.Count == 0 && !s.Measure.Estimate:
		r.bad(nil, "cores.count is missing: how many cores")
	case s.Measure.Estimate && (s.Measure.Region || s.Measure.Map):
		r.bad(values["measure"], "estimate is measured alone: every host of the world is located by the others")
	case s.Committee < 2*s.Policy.F+1:
		r.bad(values["committee"], "a committee of %d cannot outvote f = %d: ask at least 2f+1 = %d", s.Committee, s.Policy.F, 2*s.Policy.F+1)
	case s.Rounds > 0 && s.Rounds < 8:
		r.bad(values["rounds"], "%d rounds: an exchange has at least 8; write 0 for the protocol's own rule", s.Rounds)
	case s.Cores.Place == Grid && s.Cores.In == "world":
		r.bad(values["cores.in"], "a grid needs a region: write permit or one such as EU27")
	case s.Cores.Place == Homes && s.Cores.Access == world.DataCentre:
		r.bad(values["cores.access"], "homes are not in a data centre: write wired, wifi, cellular or satellite")
	}
	if s.Cores.Access == 0 {
		s.Cores.Access = world.DataCentre
		if s.Cores.Place == Homes {
			s.Cores.Access = world.Wired
		}
	}
	if c.PerTown == 0 {
		c.PerTown = s.Policy.F + 1
	}
	if s.World.In != "" {
		r.region(values["world.in"], s.World.In)
	}
	r.region(values["policy.permit"], s.Policy.Permit)
	if c.In != "permit" && c.In != "world" {
		r.region(values["constellation.in"], c.In)
	}
	if in := s.Cores.In; in != "permit" && in != "world" {
		r.region(values["cores.in"], in)
	}
}

// region checks an expression; what files it names is found out where it is used.
func (r *reader) region(n *yaml.Node, expression string) {
	if r.known["region "+expression] {
		return
	}
	r.known["region "+expression] = true
	if _, err := atlas.Parse(expression, atlas.Options{}); err != nil {
		r.bad(n, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

// chart checks that what is to be drawn is varied.
func (r *reader) chart(values leaves, e *Experiment) {
	for _, c := range []struct{ path, key string }{{"chart.x", e.Chart.X}, {"chart.by", e.Chart.By}, {"chart.facet", e.Chart.Facet}} {
		if c.key != "" && !slices.Contains(e.Keys, c.key) {
			r.bad(values[c.path], "%s: %q is not varied here; varied are %s", c.path, c.key, strings.Join(e.Keys, ", "))
		}
	}
}

// hash covers all that decides the results, in the order of the points.
func (r *reader) hash(e *Experiment, o Options) string {
	h := sha256.New()
	fmt.Fprintf(h, "ursa experiment 1\n%q %q %q\n", e.Name, e.Expect, e.Keys)
	named := map[string]bool{}
	for _, p := range e.Points {
		fmt.Fprintf(h, "%q %+v\n", p.Labels, p.Settings)
		if w := p.Settings.World; w.File != "" {
			named[w.File] = true
		} else if w.Measured != "" {
			named[w.Measured] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(named)) {
		if err := hashNamed(h, path, o.ReadFile); err != nil {
			r.bad(nil, "%s: %v", path, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// errNoReader refuses to name files where none can be read.
var errNoReader = errors.New("no file can be named here")

// hashNamed adds a world file, or the tables of a measured set.
func hashNamed(h io.Writer, path string, read func(string) ([]byte, error)) error {
	if read == nil {
		return errNoReader
	}
	b, err := read(path)
	if err == nil {
		fmt.Fprintf(h, "file %d\n%s\n", len(b), b)
		if f, err := world.Parse(path, b); err == nil && f.Measured != "" {
			return hashSet(h, filepath.Join(filepath.Dir(path), f.Measured), read)
		}
		return nil // whatever is wrong with it is said where it is used
	}
	return hashSet(h, path, read)
}

// hashSet adds the tables of a measured set.
func hashSet(h io.Writer, path string, read func(string) ([]byte, error)) error {
	var err error
	found := 0
	for _, table := range []string{dataset.NodesFile, dataset.RTTFile, dataset.RTTFileGZ} {
		b, tableErr := read(filepath.Join(path, table))
		if tableErr != nil {
			err = tableErr
			continue
		}
		found++
		fmt.Fprintf(h, "table %s %d\n%s\n", table, len(b), b)
	}
	if found >= 2 {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("not there: name a file, or a folder with %s and %s", dataset.NodesFile, dataset.RTTFile)
	}
	return fmt.Errorf("no measured set: want a folder with %s and %s or %s", dataset.NodesFile, dataset.RTTFile, dataset.RTTFileGZ)
}
