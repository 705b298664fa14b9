package world

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// position is where something stands in a file.
type position struct{ line, column int }

// maxDepth is how deep a file may nest; the format needs seven levels.
const maxDepth = 16

// reader collects problems while it fills a File from a tree.
type reader struct {
	name     string
	problems []error
	at       map[string]position // of every value, by its path such as media[0].between[1]
}

func (r *reader) bad(n *yaml.Node, format string, args ...any) {
	p := &Problem{File: r.name, Text: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// wrong reports a problem of a value by its path.
func (r *reader) wrong(path, format string, args ...any) {
	at := r.at[path]
	r.problems = append(r.problems, &Problem{File: r.name, Line: at.line, Column: at.column, Text: path + ": " + fmt.Sprintf(format, args...)})
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return errors.Join(append([]error{ErrFile}, r.problems...)...)
}

// readUpTo fills a buffer as far as the source goes.
func readUpTo(from io.Reader, buf []byte) (int, error) {
	n, err := io.ReadFull(from, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

// document returns the root of the one document, without anything that means something elsewhere than where it stands.
func (r *reader) document(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		r.bad(nil, "larger than %d bytes: keep long tables of places in a measured set", MaxFile)
		return nil
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		r.bad(nil, "neither YAML nor JSON: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if d.Decode(&more) == nil {
		r.bad(&more, "a second document: a file holds one world")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.bad(nil, "empty: begin with ursa_world: 1")
		return nil
	}
	r.plain(doc.Content[0], 0)
	if len(r.problems) > 0 {
		return nil
	}
	return doc.Content[0]
}

func (r *reader) plain(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		r.bad(n, "nested too deep")
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

// value fills the struct that to points to.
func (r *reader) value(n *yaml.Node, to any) { r.object(n, reflect.ValueOf(to).Elem(), "") }

// field is one key of a mapping, from a struct's tags.
type field struct {
	index              int
	name, means        string
	need               bool
	span, of, listSize string
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if name := tag.Get("yaml"); name != "" && name != "-" {
			out = append(out, field{i, name, tag.Get("means"), tag.Get("need") == "yes", tag.Get("range"), tag.Get("of"), tag.Get("len")})
		}
	}
	return out
}

// object reads a mapping into a struct.
func (r *reader) object(n *yaml.Node, to reflect.Value, path string) {
	fields := fieldsOf(to.Type())
	if n.Kind != yaml.MappingNode {
		r.bad(n, "%swrite the fields %s", lead(path), names(fields))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		switch {
		case at < 0:
			r.bad(key, "%sunknown field %q%s", lead(path), short(key.Value), hint(key.Value, fields))
			continue
		case seen[key.Value]:
			r.bad(key, "%s%s stands here twice", lead(path), key.Value)
			continue
		}
		seen[key.Value] = true
		r.read(value, to.Field(fields[at].index), fields[at], join(path, key.Value))
	}
	for _, f := range fields {
		if f.need && !seen[f.name] {
			r.bad(n, "%s%s is missing: %s", lead(path), f.name, f.means)
		}
	}
}

func lead(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func names(fields []field) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return strings.Join(out, ", ")
}

// hint finds the field that was probably meant.
func hint(word string, fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	if best := spell.Nearest(word, 2, list); best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	return ": the fields are " + names(fields)
}

// read reads one value of whatever kind.
func (r *reader) read(n *yaml.Node, to reflect.Value, f field, path string) {
	r.at[path] = position{n.Line, n.Column}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	_, isText := to.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isText || to.Type() == durationType:
		r.scalar(n, to, f, path)
	case to.Kind() == reflect.Struct:
		r.object(n, to, path)
	case to.Kind() == reflect.Slice:
		r.list(n, to, f, path)
	default:
		r.scalar(n, to, f, path)
	}
}

func (r *reader) list(n *yaml.Node, to reflect.Value, f field, path string) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.bad(n, "%s: write a list: %s", path, f.means)
		return
	}
	if f.listSize != "" && f.listSize != strconv.Itoa(len(n.Content)) {
		r.bad(n, "%s: %d values where %s belong: %s", path, len(n.Content), f.listSize, f.means)
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		r.read(c, to.Index(i), f, fmt.Sprintf("%s[%d]", path, i))
	}
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// scalar reads a word, a number, a duration or an instant.
func (r *reader) scalar(n *yaml.Node, to reflect.Value, f field, path string) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		r.bad(n, "%s: write one value: %s", path, f.means)
		return
	}
	fail := func(want string) {
		r.bad(n, "%s: %q is not %s: %s", path, short(n.Value), want, f.means)
	}
	switch x := to.Addr().Interface().(type) {
	case *time.Duration:
		v, err := time.ParseDuration(n.Value)
		lo, hi := durations(f.span)
		if err != nil || v < lo || v > hi {
			fail(fmt.Sprintf("a time with its unit within %v to %v", lo, hi))
		}
		*x = v
	case *time.Time:
		v, err := time.Parse(time.RFC3339, n.Value)
		if err != nil || v.Year() < 1971 || v.Year() > 2200 {
			fail("an instant")
		}
		*x = v.UTC()
	case encoding.TextUnmarshaler:
		if err := x.UnmarshalText([]byte(n.Value)); err != nil {
			r.bad(n, "%s: %v", path, err)
		}
	case *string:
		if f.of != "" && !slices.Contains(strings.Split(f.of, "|"), n.Value) {
			fail("one of " + strings.ReplaceAll(f.of, "|", ", "))
		} else if len(n.Value) > 256 || strings.ContainsFunc(n.Value, func(c rune) bool { return c < ' ' || c == 0xfffd }) {
			fail("a short line of text")
		}
		*x = n.Value
	case *bool:
		if n.Value != "true" && n.Value != "false" {
			fail("true or false")
		}
		*x = n.Value == "true"
	default:
		r.number(n.Value, to, f, fail)
	}
}

func (r *reader) number(text string, to reflect.Value, f field, fail func(string)) {
	switch to.Kind() {
	case reflect.Uint64:
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil || strconv.FormatUint(v, 10) != text {
			fail("a whole number of digits only")
		}
		to.SetUint(v)
	case reflect.Int64:
		lo, hi := span(f.span)
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(v, 10) != text || float64(v) < lo || float64(v) > hi {
			fail(fmt.Sprintf("a whole number within %.0f to %.0f", lo, hi))
		}
		to.SetInt(v)
	case reflect.Float64:
		lo, hi := span(f.span)
		v, err := strconv.ParseFloat(text, 64)
		if strings.Trim(text, "0123456789.eE+-") != "" || err != nil || !(v >= lo && v <= hi) {
			fail(fmt.Sprintf("a number within %v to %v", lo, hi))
			return
		}
		to.SetFloat(v)
	}
}

// span reads the range of a number from its tag.
func span(tag string) (lo, hi float64) {
	a, b, ok := strings.Cut(tag, "..")
	if !ok {
		return -math.MaxFloat64, math.MaxFloat64
	}
	lo, _ = strconv.ParseFloat(a, 64) // the package's test reads every tag
	hi, _ = strconv.ParseFloat(b, 64)
	return lo, hi
}

// durations reads the range of a duration from its tag.
func durations(tag string) (lo, hi time.Duration) {
	a, b, ok := strings.Cut(tag, "..")
	if !ok {
		return math.MinInt64, math.MaxInt64
	}
	lo, _ = time.ParseDuration(a)
	hi, _ = time.ParseDuration(b)
	return lo, hi
}
