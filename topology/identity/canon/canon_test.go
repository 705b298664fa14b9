package canon_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
	"pgregory.net/rapid"
)

type inner struct {
	Count uint64 `cbor:"1,keyasint"`
	Text  string `cbor:"2,keyasint"`
}

type sample struct {
	A    int64    `cbor:"1,keyasint"`
	B    []byte   `cbor:"2,keyasint"`
	Hash [4]byte  `cbor:"3,keyasint"`
	List []inner  `cbor:"4,keyasint"`
	Vec  [3]int64 `cbor:"5,keyasint"`
	Opt  *inner   `cbor:"6,keyasint,omitempty"`
	Flag bool     `cbor:"7,keyasint"`
}

func fromHex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each rule of the encoding, broken alone.
func TestCheckRefuses(t *testing.T) {
	cases := []struct {
		name, hex string
		want      error
	}{
		{"empty", "", canon.ErrTruncated},
		{"argument cut", "19 01", canon.ErrTruncated},
		{"string cut", "43 0102", canon.ErrTruncated},
		{"array cut", "82 01", canon.ErrTruncated},
		{"map without value", "a1 01", canon.ErrTruncated},
		{"length of 2^64-1", "5b ffffffffffffffff", canon.ErrTruncated},
		{"trailing byte", "01 00", canon.ErrTrailing},
		{"23 in two bytes", "18 17", canon.ErrNotShortest},
		{"255 in three bytes", "19 00ff", canon.ErrNotShortest},
		{"65535 in five bytes", "1a 0000ffff", canon.ErrNotShortest},
		{"2^32-1 in nine bytes", "1b 00000000ffffffff", canon.ErrNotShortest},
		{"long length of string", "58 01 00", canon.ErrNotShortest},
		{"long negative", "38 00", canon.ErrNotShortest},
		{"indefinite array", "9f 01 ff", canon.ErrIndefinite},
		{"indefinite string", "5f 41 00 ff", canon.ErrIndefinite},
		{"break alone", "ff", canon.ErrIndefinite},
		{"half float", "f9 3c00", canon.ErrFloat},
		{"single float", "fa 3f800000", canon.ErrFloat},
		{"double float", "fb 3ff0000000000000", canon.ErrFloat},
		{"tag", "c0 61 61", canon.ErrTag},
		{"bignum", "c2 41 01", canon.ErrTag},
		{"null", "f6", canon.ErrSimple},
		{"undefined", "f7", canon.ErrSimple},
		{"simple 16", "f0", canon.ErrSimple},
		{"simple in two bytes", "f8 ff", canon.ErrSimple},
		{"reserved info", "1c", canon.ErrReserved},
		{"reserved other", "fc", canon.ErrReserved},
		{"bad text", "61 ff", canon.ErrUTF8},
		{"duplicate key", "a2 01 00 01 00", canon.ErrDuplicateKey},
		{"unsorted keys", "a2 02 00 01 00", canon.ErrKeyOrder},
		{"text before number", "a2 61 61 00 01 00", canon.ErrKeyOrder},
		{"float key", "a1 f9 0000 00", canon.ErrFloat},
		{"2^16+1 elements", "9a 00010001", canon.ErrElements},
		{"2^63 pairs", "bb 8000000000000000", canon.ErrElements},
		{"17 arrays", strings.Repeat("81", 17) + "00", canon.ErrNesting},
	}
	for _, c := range cases {
		if err := canon.Check(fromHex(t, c.hex)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, s := range []string{"00", "17", "1818", "190100", "1a00010000", "1b0000000100000000", "3bffffffffffffffff", "40",
		"6161", "80", "a0", "a2 01 00 02 00", "f4", "f5", strings.Repeat("81", 16) + "00"} {
		if err := canon.Check(fromHex(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// What the scan cannot see, because it knows no types, the decode and the comparison must.
func TestUnmarshalRefuses(t *testing.T) {
	good, err := canon.Marshal(sample{B: []byte{}, List: []inner{}})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, hex string
		want      error
	}{
		{"missing field", "a6 0100 0240 0344 00000000 0480 0583000000", canon.ErrTruncated},
		{"field left out", "a5 0100 0240 0344 00000000 0480 0583000000", canon.ErrNotCanonical},
		{"hash too short", "a6 0100 0240 0343 000000 0480 0583000000 07f4", canon.ErrNotCanonical},
		{"hash too long", "a6 0100 0240 0345 0000000000 0480 0583000000 07f4", canon.ErrNotCanonical},
		{"vector of two", "a6 0100 0240 0344 00000000 0480 05820000 07f4", canon.ErrNotCanonical},
		{"vector of four", "a6 0100 0240 0344 00000000 0480 058400000000 07f4", canon.ErrNotCanonical},
		{"array for bytes", "a6 0100 0280 0344 00000000 0480 0583000000 07f4", canon.ErrNotCanonical},
		{"unknown key", "a7 0100 0240 0344 00000000 0480 0583000000 07f4 0800", canon.ErrUnknownKey},
		{"unknown text key", "a7 0100 0240 0344 00000000 0480 0583000000 07f4 6141 00", canon.ErrUnknownKey},
		{"text for number", "a6 016131 0240 0344 00000000 0480 0583000000 07f4", canon.ErrType},
		{"number beyond int64", "a6 011b8000000000000000 0240 0344 00000000 0480 0583000000 07f4", canon.ErrType},
		{"unknown key inside", "a6 0100 0240 0344 00000000 0481 a3 0100 0260 0300 0583000000 07f4", canon.ErrUnknownKey},
		{"array for struct", "80", nil},
	}
	for _, c := range cases {
		var s sample
		err := canon.Unmarshal(fromHex(t, c.hex), &s, 1000)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	var s sample
	if err := canon.Unmarshal(good, &s, len(good)); err != nil {
		t.Fatal(err)
	}
	if err := canon.Unmarshal(good, &s, len(good)-1); !errors.Is(err, canon.ErrTooLarge) {
		t.Fatalf("size limit: %v", err)
	}
	for _, dst := range []any{nil, s, (*sample)(nil)} {
		if err := canon.Unmarshal(good, dst, 1000); !errors.Is(err, canon.ErrNoDestination) {
			t.Fatalf("%T: %v", dst, err)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, v := range map[string]any{
		"float": 1.5, "integral float": 2.0, "NaN": math.NaN(), "nil": nil, "nil pointer": (*sample)(nil),
		"channel": make(chan int), "bad text": "\xff",
	} {
		if b, err := canon.Marshal(v); !errors.Is(err, canon.ErrNotEncodable) {
			t.Errorf("%s: encoded as %x, %v", name, b, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.Custom(func(t *rapid.T) sample {
			s := sample{
				A: rapid.Int64().Draw(t, "a"), B: rapid.SliceOf(rapid.Byte()).Draw(t, "b"), Flag: rapid.Bool().Draw(t, "flag"),
				List: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) inner {
					return inner{rapid.Uint64().Draw(t, "count"), rapid.String().Draw(t, "text")}
				}), 0, 5).Draw(t, "list"),
			}
			for i := range s.Vec {
				s.Vec[i] = rapid.Int64().Draw(t, "v")
			}
			if rapid.Bool().Draw(t, "opt") {
				s.Opt = &inner{Count: rapid.Uint64().Draw(t, "oc")}
			}
			return s
		}).Draw(t, "sample")
		data, err := canon.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out sample
		if err := canon.Unmarshal(data, &out, 1<<20); err != nil {
			t.Fatal(err)
		}
		again, err := canon.Marshal(out)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x, %v", data, again, err)
		}
	})
}

// A short input must not make the decoder allocate a fortune: 64 KiB of empty maps where structs are expected.
func TestAmplificationIsBounded(t *testing.T) {
	data := append([]byte{0x9a, 0x00, 0x01, 0x00, 0x00}, bytes.Repeat([]byte{0xa0}, 1<<16)...)
	var list []inner
	if err := canon.Unmarshal(data, &list, 1<<20); !errors.Is(err, canon.ErrNotCanonical) {
		t.Fatal(err)
	}
}

// The promise of the package.
func FuzzUnmarshal(f *testing.F) {
	seed, err := canon.Marshal(sample{A: -5, B: []byte{1}, List: []inner{{7, "x"}}, Opt: &inner{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, s := range []string{"a60100024003440000000004800583000000 07f4", "9f01ff", "f93c00", "c0", "bb8000000000000000"} {
		f.Add(fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if canon.Unmarshal(data, &s, 1<<16) == nil {
			if again, err := canon.Marshal(s); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%x became %x, %v", data, again, err)
			}
		}
		var list []inner
		if canon.Unmarshal(data, &list, 1<<16) == nil {
			if again, err := canon.Marshal(list); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("list: %x became %x, %v", data, again, err)
			}
		}
		var m map[int64]string
		if canon.Unmarshal(data, &m, 1<<16) == nil {
			if again, err := canon.Marshal(m); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("map: %x became %x, %v", data, again, err)
			}
		}
	})
}
