// Package policyfile is policies as people write them: YAML, checked with line
// and column, explained on a proof, and compared with the version before.
//
// What it promises: a file either becomes exactly one policy, or a list of
// problems, each with its place and with what would be right. There is one way
// to write each thing: unknown and repeated keys, anchors, aliases, tags, merge
// keys and several documents are refused, units must be written, and nothing has
// a silent default. What the file means is the policy that it becomes; the text
// itself is never signed.
//
// What an attacker may do: hand in any text.
package policyfile

import (
	_ "embed" // the schema
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/spell"
)

// MaxSize is the most bytes that a file may have.
const MaxSize = 256 << 10

// Schema is the published JSON Schema of the file, for editors.
//
//go:embed policy.schema.json
var Schema []byte

// ErrFile is a file with problems; the error holds each of them as a *Problem.
var ErrFile = errors.New("policy file has problems")

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

// Example is a proof, or facts that are taken as given, with the decision that
// the policy's author expects.
type Example struct {
	Name   string
	Proof  string // file name, relative to the policy file; empty: Given counts
	Given  *Given // nil: Proof counts
	Expect string // "granted", or the short name of the check that refuses
	Line   int
}

// File is what a text says.
type File struct {
	Policy   policy.Policy
	Examples []Example

	permits []permitAt
}

// permitAt is a region expression with where its first character stands.
type permitAt struct {
	expr         string
	line, column int
	inline       bool // the expression stands on that line
}

// reader collects problems while it walks the tree.
type reader struct {
	name     string
	problems []error
	places   map[string]*yaml.Node // values by their field
}

func (r *reader) bad(n *yaml.Node, format string, args ...any) {
	p := &Problem{File: r.name, Text: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// Parse reads a policy file. name stands in problems. The error wraps ErrFile
// and every *Problem.
func Parse(name string, text []byte) (File, error) {
	f, problems := parse(name, text)
	if len(problems) > 0 {
		return File{}, errors.Join(append([]error{ErrFile}, problems...)...)
	}
	return f, nil
}

// parse reads what can be read, and lists what is wrong.
func parse(name string, text []byte) (File, []error) {
	r := &reader{name: name, places: map[string]*yaml.Node{}}
	f := r.file(text)
	if len(r.problems) == 0 {
		r.whole(f)
	}
	return f, r.problems
}

// Problems lists what an error of Parse or Check found.
func Problems(err error) []*Problem {
	var out []*Problem
	var walk func(error)
	walk = func(err error) {
		if p, ok := err.(*Problem); ok {
			out = append(out, p)
		} else if list, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range list.Unwrap() {
				walk(e)
			}
		} else if one := errors.Unwrap(err); one != nil {
			walk(one)
		}
	}
	if err != nil {
		walk(err)
	}
	return out
}

func (r *reader) file(text []byte) File {
	var f File
	if len(text) > MaxSize {
		r.bad(nil, "larger than %d bytes: a policy is short", MaxSize)
		return f
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		r.bad(nil, "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return f
	}
	if d.Decode(&more) == nil {
		r.bad(&more, "a second document: a file holds one policy")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.bad(nil, "empty: write the fields of a policy")
		return f
	}
	r.plain(doc.Content[0])
	if len(r.problems) == 0 {
		r.mapping(doc.Content[0], &f)
	}
	return f
}

// plain refuses what makes a text mean something elsewhere than where it stands.
func (r *reader) plain(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.bad(n, "an alias: write the value again")
		return
	case n.Anchor != "":
		r.bad(n, "an anchor: there are no aliases here")
	case n.Style&yaml.TaggedStyle != 0:
		r.bad(n, "a tag %s: leave it out", n.Tag)
	}
	for _, c := range n.Content {
		r.plain(c)
	}
}

// mapping reads the fields of the policy.
func (r *reader) mapping(n *yaml.Node, f *File) {
	if n.Kind != yaml.MappingNode {
		r.bad(n, "not a list of fields: begin with name:")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			r.bad(key, "%s stands here twice", key.Value)
			continue
		}
		seen[key.Value] = true
		at := slices.IndexFunc(fields, func(x field) bool { return x.name == key.Value })
		if at < 0 {
			r.bad(key, "unknown field %q%s", key.Value, hint(key.Value))
			continue
		}
		r.places[key.Value] = value
		fields[at].read(r, value, f)
	}
	for _, x := range fields {
		if x.required && !seen[x.name] {
			r.bad(nil, "%s is missing: %s", x.name, x.means)
		}
	}
}

// written are the fields whose names in a policy are others than in a file.
var written = map[string]string{"max_age_ms": "max_age", "v_max_mm_per_s": "v_max", "t_off_ms": "t_off", "lease_ttl_ms": "lease_ttl", "time": "not_after"}

// whole checks what several fields say together. A problem begins with the name
// of its field.
func (r *reader) whole(f File) {
	for _, problem := range f.Policy.Validate() {
		text := strings.TrimPrefix(problem.Error(), policy.ErrInvalid.Error()+": ")
		word, _, _ := strings.Cut(strings.TrimPrefix(text, "the "), " ")
		name := strings.TrimSuffix(word, ":")
		if file, ok := written[name]; ok {
			text, name = strings.Replace(text, name, file, 1), file
			if name == "not_after" {
				text = strings.Replace(text, "the not_after window", "the time window", 1)
			}
		}
		r.bad(entryOf(r.places[name], name, text), "%s", text)
	}
}

// entryOf is the entry of a list that a problem is about, where it names one.
func entryOf(list *yaml.Node, name, text string) *yaml.Node {
	var n int
	if _, err := fmt.Sscanf(text, name+" entry %d", &n); err != nil || list == nil || n < 1 || n > len(list.Content) || name == "attest" {
		return list
	}
	return list.Content[n-1]
}

// hint finds the field that was probably meant.
func hint(word string) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if best := spell.Nearest(word, 2, names); best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	return ": the fields are " + strings.Join(names, ", ")
}
