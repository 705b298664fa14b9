package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

func sample() *wire.File {
	return &wire.File{
		Source: "a test", Quantum: 100, ToleranceMM: 5, FaceAtoms: [6]int{0, 1, 2, 0, 0, 1},
		Countries: []wire.Country{{Code: "AA", Name: "Aland"}, {Code: "BB", Name: "Bé"}},
		Atoms:     []wire.Atom{{Country: 0, Code: "AA-1", Name: ""}, {Country: 1, Code: "BB-2", Name: "two"}},
		Arcs: []wire.Arc{
			{Left: 1, Right: 0, Line: []wire.Vertex{{Lon: 18000, Lat: -9000}, {Lon: -18000, Lat: 9000}}},
			{Left: 2, Right: 1, Line: []wire.Vertex{{Lon: 5, Lat: 5}, {Lon: 5, Lat: 6}, {Lon: 4, Lat: 6}}},
		},
	}
}

func anyFile(t *rapid.T) *wire.File {
	text := rapid.StringN(0, 20, 40)
	f := &wire.File{Source: text.Draw(t, "source"), Quantum: rapid.IntRange(1, 1<<20).Draw(t, "quantum"), ToleranceMM: rapid.IntRange(0, 1<<20).Draw(t, "tolerance")}
	f.Countries, f.Atoms, f.Arcs = []wire.Country{}, []wire.Atom{}, []wire.Arc{}
	for range rapid.IntRange(1, 4).Draw(t, "countries") {
		f.Countries = append(f.Countries, wire.Country{Code: text.Draw(t, "code"), Name: text.Draw(t, "name")})
	}
	for range rapid.IntRange(0, 6).Draw(t, "atoms") {
		f.Atoms = append(f.Atoms, wire.Atom{Country: rapid.IntRange(0, len(f.Countries)-1).Draw(t, "country"), Code: text.Draw(t, "code"), Name: text.Draw(t, "name")})
	}
	atom := rapid.IntRange(0, len(f.Atoms))
	for i := range f.FaceAtoms {
		f.FaceAtoms[i] = atom.Draw(t, "face")
	}
	for range rapid.IntRange(0, 6).Draw(t, "arcs") {
		a := wire.Arc{Left: atom.Draw(t, "left"), Right: atom.Draw(t, "right")}
		for range rapid.IntRange(2, 9).Draw(t, "vertices") {
			a.Line = append(a.Line, wire.Vertex{Lon: rapid.Int32Range(-180, 180).Draw(t, "lon"), Lat: rapid.Int32Range(-90, 90).Draw(t, "lat")})
		}
		f.Arcs = append(f.Arcs, a)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFile(t)
		data, err := wire.Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.Decode(data)
		if err != nil || !reflect.DeepEqual(f, back) {
			t.Fatalf("%+v came back as %+v, %v", f, back, err)
		}
	})
}

func TestRefuses(t *testing.T) {
	good, err := wire.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	broken := func(change func(*wire.File)) []byte {
		f := sample()
		change(f)
		data, err := wire.Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"nothing":               nil,
		"another magic":         append([]byte("URSA-ATLAS\x02"), good[len(wire.Magic):]...),
		"cut off":               good[:len(good)-3],
		"followed by a byte":    append(bytes.Clone(good), 0),
		"an atom of no country": broken(func(f *wire.File) { f.Atoms[1].Country = 2 }),
		"a face of no atom":     broken(func(f *wire.File) { f.FaceAtoms[3] = 3 }),
		"an arc of no atom":     broken(func(f *wire.File) { f.Arcs[1].Right = 3 }),
		"a negative atom":       broken(func(f *wire.File) { f.Arcs[0].Left = -1 }),
		"a lone vertex":         broken(func(f *wire.File) { f.Arcs[0].Line = f.Arcs[0].Line[:1] }),
		"beyond the pole":       broken(func(f *wire.File) { f.Arcs[0].Line[0].Lat = 9001 }),
		"beyond 180":            broken(func(f *wire.File) { f.Arcs[0].Line[0].Lon = -18001 }),
		"no quantum":            broken(func(f *wire.File) { f.Quantum = 0 }),
	} {
		if _, err := wire.Decode(data); !errors.Is(err, wire.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := wire.Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := wire.Decode(data)
		if err != nil {
			if !errors.Is(err, wire.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		again, err := wire.Encode(file)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := wire.Decode(again); err != nil || !reflect.DeepEqual(file, back) {
			t.Fatalf("%v", err)
		}
	})
}
