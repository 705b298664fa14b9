package world

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// marshal writes a struct as YAML, leaving out what is absent.
func marshal(v any) ([]byte, error) {
	n, err := node(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func node(v reflect.Value) (*yaml.Node, error) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return plainScalar(x.String()), nil
	case time.Time:
		return plainScalar(x.UTC().Format(time.RFC3339Nano)), nil
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		return plainScalar(string(text)), err
	case string:
		n := &yaml.Node{}
		n.SetString(x) // quoted where the text would otherwise read as something else
		return n, nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return mapping(v)
	case reflect.Slice:
		return sequence(v)
	case reflect.Bool:
		return plainScalar(strconv.FormatBool(v.Bool())), nil
	case reflect.Uint64:
		return plainScalar(strconv.FormatUint(v.Uint(), 10)), nil
	case reflect.Int64:
		return plainScalar(strconv.FormatInt(v.Int(), 10)), nil
	case reflect.Float64:
		return plainScalar(strconv.FormatFloat(v.Float(), 'g', -1, 64)), nil
	}
	return nil, fmt.Errorf("%w: a %v cannot be written", ErrFile, v.Kind())
}

func plainScalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

func mapping(v reflect.Value) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v.Type()) {
		value := v.Field(f.index)
		if value.IsZero() && !f.need {
			continue
		}
		c, err := node(value)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, plainScalar(f.name), c)
	}
	return n, nil
}

// sequence writes a list of numbers or words in one line, a list of mappings in many.
func sequence(v reflect.Value) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		c, err := node(v.Index(i))
		if err != nil {
			return nil, err
		}
		if c.Kind == yaml.ScalarNode {
			n.Style = yaml.FlowStyle
		}
		n.Content = append(n.Content, c)
	}
	return n, nil
}
