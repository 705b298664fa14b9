package world

import (
	_ "embed" // the schema
	"encoding"
	"reflect"
	"strconv"
	"strings"
)

// Schema is the published JSON Schema of a world's file, for editors. It is made from the tags of File; the package's test
// compares the two.
//
//go:embed world.schema.json
var Schema []byte

// schema describes the file as a JSON Schema (draft 2020-12). A file in YAML is checked after reading it as JSON.
func schema() map[string]any {
	s := schemaOf(reflect.TypeFor[File](), field{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = "https://github.com/ursa-virtual/ursa/simnet/world/world.schema.json"
	s["title"] = "Ursa world"
	s["description"] = "Where hosts stand and how long packets travel between them. What is absent is as in the built-in world."
	return s
}

func schemaOf(t reflect.Type, f field) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == durationType:
		return map[string]any{"type": "string", "pattern": `^[+-]?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return map[string]any{"enum": accessNames[1:]} // Access is the only such type
	}
	switch t.Kind() {
	case reflect.Struct:
		return objectSchema(t)
	case reflect.Slice:
		return listSchema(t, f)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Int64, reflect.Float64:
		lo, hi := span(f.span)
		kind := map[reflect.Kind]string{reflect.Int64: "integer", reflect.Float64: "number"}[t.Kind()]
		return map[string]any{"type": kind, "minimum": lo, "maximum": hi}
	}
	if f.of != "" {
		return map[string]any{"enum": strings.Split(f.of, "|")}
	}
	return map[string]any{"type": "string", "minLength": 1, "maxLength": 256}
}

func objectSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fieldsOf(t) {
		s := schemaOf(t.Field(f.index).Type, f)
		s["description"] = f.means
		properties[f.name] = s
		if f.need {
			required = append(required, f.name)
		}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
}

func listSchema(t reflect.Type, f field) map[string]any {
	s := map[string]any{"type": "array", "minItems": 1, "items": schemaOf(t.Elem(), f)}
	if n, err := strconv.Atoi(f.listSize); err == nil {
		s["minItems"], s["maxItems"] = n, n
	}
	return s
}
