package world

import (
	"fmt"
	"reflect"
)

// SchemaForTest is the schema as the tags make it.
func SchemaForTest() map[string]any { return schema() }

// Bare is a file without positions.
func Bare(f File) File { return f.bare() }

// Unused lists the fields that nowhere in a file have a value.
func Unused(f File) []string {
	used, all := map[string]bool{}, map[string]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for _, f := range fieldsOf(v.Type()) {
				name := fmt.Sprintf("%s.%s", v.Type().Name(), f.name)
				all[name] = true
				used[name] = used[name] || !v.Field(f.index).IsZero()
				walk(v.Field(f.index))
			}
		}
	}
	walk(reflect.ValueOf(f))
	var out []string
	for name := range all {
		if !used[name] {
			out = append(out, name)
		}
	}
	return out
}
