// Package canon is the one encoding of everything that is signed or hashed: deterministic CBOR (RFC 8949 §4.2.1), without
// floats, tags, null or any other way to say the same thing twice.
//
// What it believes: a signature covers bytes, people and programs act on values. If two byte strings mean the same value, a
// forger may choose between them; if one byte string means two values, two readers disagree about what was signed.
//
// What it promises: if Unmarshal accepts data into a value, then Marshal of that value is data again, byte for byte. It gets
// there in three steps: a scan that knows nothing about Go types and names the first breach of the rules; a decode that refuses
// unknown keys and wrong types; a re-encoding that is compared with the input, which also catches missing fields, arrays of the
// wrong length and whatever else a decoder would have been lenient about.
//
// What an attacker may do: hand in any bytes of any length. Size is checked first, nesting and the number of elements while
// scanning, and nothing is allocated before the scan is through.
//
// Types encoded with canon use structs with `cbor:"N,keyasint"` tags. An optional field is a pointer or slice with omitempty;
// there is no null.
package canon

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// MaxNesting is the deepest nesting of arrays and maps that is accepted.
const MaxNesting = 16

// MaxElements is the largest number of elements of one array, or of pairs of one map. It bounds what a short input can make the
// decoder allocate.
const MaxElements = 1 << 16

// The refusals, one for each rule.
var (
	ErrTooLarge      = errors.New("encoding larger than allowed")
	ErrTruncated     = errors.New("encoding ends too early")
	ErrTrailing      = errors.New("bytes after the end of the encoding")
	ErrNotShortest   = errors.New("number or length not in its shortest form")
	ErrIndefinite    = errors.New("indefinite length is not allowed")
	ErrFloat         = errors.New("floating-point numbers are not allowed")
	ErrTag           = errors.New("tags are not allowed")
	ErrSimple        = errors.New("null, undefined and other simple values are not allowed")
	ErrReserved      = errors.New("reserved encoding")
	ErrUTF8          = errors.New("text is not valid UTF-8")
	ErrDuplicateKey  = errors.New("map key appears twice")
	ErrKeyOrder      = errors.New("map keys not in ascending order")
	ErrNesting       = errors.New("nested too deeply")
	ErrElements      = errors.New("too many elements")
	ErrUnknownKey    = errors.New("unknown map key")
	ErrType          = errors.New("value of the wrong type")
	ErrNotCanonical  = errors.New("encoding is not the canonical one of its value")
	ErrNotEncodable  = errors.New("value has no canonical encoding")
	ErrNoDestination = errors.New("destination must be a non-nil pointer")
)

var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		IndefLength:   cbor.IndefLengthForbidden,
		TagsMd:        cbor.TagsForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   MaxNesting,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode())
)

// must is for the two constant option sets above: a failure is a mistake in this file and shows in the first test.
func must[T any](v T, err error) T {
	if err != nil {
		panic("canon: " + err.Error())
	}
	return v
}

// Marshal returns the canonical encoding of v. Values that contain floats, nil pointers or big numbers have none:
// ErrNotEncodable, with the rule that they break.
func Marshal(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotEncodable, err)
	}
	if err := Check(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotEncodable, err)
	}
	return b, nil
}

// Unmarshal decodes data of at most maxSize bytes into the pointer v, or returns the rule that data breaks. After an error the
// content of v is undefined.
func Unmarshal(data []byte, v any, maxSize int) error {
	if len(data) > maxSize {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), maxSize)
	}
	if rv := reflect.ValueOf(v); rv.Kind() != reflect.Pointer || rv.IsNil() {
		return ErrNoDestination
	}
	if err := Check(data); err != nil {
		return err
	}
	if err := decMode.Unmarshal(data, v); err != nil {
		return decodeError(err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if !bytes.Equal(again, data) {
		return ErrNotCanonical
	}
	return nil
}

// decodeError gives the library's errors our names and keeps those that a type's own decoder returned.
func decodeError(err error) error {
	var unknown *cbor.UnknownFieldError
	var wrong *cbor.UnmarshalTypeError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %w", ErrUnknownKey, err)
	case errors.As(err, &wrong):
		return fmt.Errorf("%w: %s", ErrType, wrong.CBORType) // the rest of what it says is about Go
	}
	return err
}
