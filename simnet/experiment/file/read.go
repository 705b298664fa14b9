package file

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// ErrFile is a file with problems; the error holds each of them as a *Problem.
var ErrFile = errors.New("experiment file has problems")

// Problem is one thing that is wrong in a file, and what would be right.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 when it concerns the file as a whole
	Text         string
}

// Error is one line.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// maxProblems ends the list: whoever has so many has misunderstood something else.
const maxProblems = 20

// reader collects problems while it walks the tree.
type reader struct {
	name     string
	problems []error
	known    map[string]bool // problems are said once, in however many points they occur
}

func (r *reader) bad(n *yaml.Node, format string, args ...any) {
	p := &Problem{File: r.name, Text: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	if text := p.Error(); !r.known[text] && len(r.problems) < maxProblems {
		r.known[text] = true
		r.problems = append(r.problems, p)
	}
}

// leaves are the values of a file by their dotted path, such as policy.f.
type leaves map[string]*yaml.Node

// document reads the text into its leaves, and those of the sweep apart, in the order in which they stand.
func (r *reader) document(text []byte) (values leaves, sweep []swept) {
	values = leaves{}
	if len(text) > MaxSize {
		r.bad(nil, "larger than %d bytes: an experiment is short", MaxSize)
		return
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		r.bad(nil, "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if d.Decode(&more) == nil {
		r.bad(&more, "a second document: a file holds one experiment")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.bad(nil, "empty: write the fields of an experiment")
		return
	}
	r.plain(doc.Content[0], 0)
	if len(r.problems) == 0 {
		sweep = r.mapping(doc.Content[0], "", values)
	}
	return
}

// maxDepth is more than any field needs.
const maxDepth = 8

// plain refuses what makes a text mean something elsewhere than where it stands.
func (r *reader) plain(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		r.bad(n, "nested too deeply")
		return
	case n.Kind == yaml.AliasNode:
		r.bad(n, "an alias: write the value again")
		return
	case n.Anchor != "":
		r.bad(n, "an anchor: there are no aliases here")
	case n.Style&yaml.TaggedStyle != 0:
		r.bad(n, "a tag %s: leave it out", n.Tag)
	}
	for _, c := range n.Content {
		r.plain(c, depth+1)
	}
}

// mapping collects the leaves below a prefix; a mapping under sweep is handed back instead.
func (r *reader) mapping(n *yaml.Node, prefix string, values leaves) (sweep []swept) {
	if n.Kind != yaml.MappingNode {
		r.bad(n, "not a list of fields: begin with name:")
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		switch {
		case seen[key.Value]:
			r.bad(key, "%s stands here twice", path)
		case path == sweepKey:
			sweep = r.sweep(value)
		case isGroup(path) && value.Kind == yaml.MappingNode:
			r.mapping(value, path+".", values)
		case isGroup(path):
			r.bad(value, "%s has fields of its own: %s", path, strings.Join(fieldsOf(path), ", "))
		case at(path) == nil:
			r.bad(key, "unknown field %q%s", path, hint(path))
		default:
			values[path] = value
		}
		seen[key.Value] = true
	}
	return sweep
}

// hint names the field that was probably meant, or all there are.
func hint(word string) string {
	paths := make([]string, len(fields))
	for i, f := range fields {
		paths[i] = f.path
	}
	if best := spell.Nearest(word, 2, paths); best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	if group, _, ok := strings.Cut(word, "."); ok && isGroup(group) {
		return fmt.Sprintf(": %s has the fields %s", group, strings.Join(fieldsOf(group), ", "))
	}
	return ": the fields are " + strings.Join(fieldsOf(""), ", ")
}
