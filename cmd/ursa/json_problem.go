package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/topology/spell"
)

// jsonError tells a problem with a JSON text in the words of whoever wrote it; what the decoder said is below it.
type jsonError struct {
	text string
	err  error
}

func (e jsonError) Error() string { return e.text }

// Unwrap returns the decoder's error.
func (e jsonError) Unwrap() error { return e.err }

// jsonProblem says what is wrong with a text that was read into a value, and what would be right.
func jsonProblem(data []byte, into any, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var instant *time.ParseError
	text := ""
	switch {
	case errors.As(err, &syntax):
		before := data[:min(max(int(syntax.Offset)-1, 0), len(data))]
		line := 1 + strings.Count(string(before), "\n")
		text = fmt.Sprintf("line %d, column %d: %s", line, len(before)-strings.LastIndexByte(string(before), '\n'), syntax)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		text = "it ends too early"
	case errors.As(err, &kind):
		text = fmt.Sprintf("%s is %s, want %s", cmp.Or(strings.TrimPrefix(kind.Field, "."), "it"), written(kind.Value), wanted(kind.Type))
	case errors.As(err, &instant):
		text = fmt.Sprintf("%q is no instant: write such as 2026-01-31T00:00:00Z", strings.Trim(instant.Value, `"`))
	default:
		name, ok := strings.CutPrefix(err.Error(), "json: unknown field ")
		if !ok {
			return err
		}
		text = "unknown field " + name
		known := jsonNames(reflect.TypeOf(into), nil)
		if best := spell.Nearest(strings.Trim(name, `"`), 2, known); best != "" {
			text += ": did you mean " + best + "?"
		} else {
			text += ": the fields are " + strings.Join(known, ", ")
		}
	}
	return jsonError{text, err}
}

// written is what stands there, from the decoder's word for it.
func written(value string) string {
	if number, ok := strings.CutPrefix(value, "number "); ok {
		return number
	}
	return cmp.Or(map[string]string{"string": "a text", "number": "a number", "bool": "true or false", "array": "a list", "object": "fields in braces"}[value], value)
}

// wanted is what to write for a type.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() != reflect.Uint8 {
			return "a list in brackets"
		}
	case reflect.Struct, reflect.Map:
		return "fields in braces"
	}
	return "a text in quotes"
}

// jsonNames are the fields that a type knows, those of its parts included, in the order in which they stand.
func jsonNames(t reflect.Type, names []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return names
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" && f.IsExported() && !slices.Contains(names, name) {
			names = jsonNames(f.Type, append(names, name))
		}
	}
	return names
}
