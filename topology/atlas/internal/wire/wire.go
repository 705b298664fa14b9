// Package wire is the file in which the atlas travels: the names of countries and subdivisions, and the arcs that divide them.
//
// What it believes: the world is a partition. Every arc is a chain of vertices with one atom on its left and one on its right
// (atom 0 is the sea), so that neighbours share a border instead of drawing it twice, and no simplification can open a gap
// between them.
//
// What it promises: one atlas has one byte sequence; Decode(Encode(x)) is x and Encode(Decode(b)) is b. Decode refuses bytes that
// are not such a sequence and never panics: the file is embedded and trusted, but a flipped bit should be told, not drawn.
package wire

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Magic opens the file; its last byte is the version of the layout.
const Magic = "URSA-ATLAS\x01"

// ErrFormat reports bytes that Encode did not write.
var ErrFormat = errors.New("not an atlas file")

// Limits on what Decode believes, far above what an atlas holds and low enough to keep the memory of a forged file in bounds.
const (
	maxCount   = 1 << 24
	maxString  = 1 << 12
	maxPayload = 64 << 20
)

// Vertex is a position in whole quanta of a degree, east and north positive.
type Vertex struct{ Lon, Lat int32 }

// Country is one code of ISO 3166-1 alpha-2 (or a user-assigned one, such as XK) and its English name.
type Country struct{ Code, Name string }

// Atom is a piece of land that the source does not divide further.
type Atom struct {
	Country int    // index into Countries
	Code    string // ISO 3166-2, or in its form where ISO assigns none
	Name    string
}

// Arc is a chain of at least two vertices with the same atoms on its sides. Atoms count from 1; 0 is the sea.
type Arc struct {
	Left, Right int
	Line        []Vertex
}

// File is the content of the atlas.
type File struct {
	Source      string // what it was made from, with version and licence
	Quantum     int    // vertices per degree
	ToleranceMM int    // how far the arcs were moved by simplifying, in millimetres
	FaceAtoms   [6]int // the atom at the centre of each S2 face
	Countries   []Country
	Atoms       []Atom
	Arcs        []Arc
}

// Encode returns the only byte sequence of f.
func Encode(f *File) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(Magic)
	z, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(Payload(f)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Payload returns what Encode compresses. Numbers are varints (signed ones zig-zag); like is put next to like, so that the
// compressor sees its pattern: first all sides, then all lengths, then all longitudes, then all latitudes. A vertex is written as
// its step from the one before.
func Payload(f *File) []byte {
	w := &writer{}
	w.text(f.Source)
	w.count(f.Quantum)
	w.count(f.ToleranceMM)
	for _, a := range f.FaceAtoms {
		w.count(a)
	}
	w.count(len(f.Countries))
	for _, c := range f.Countries {
		w.text(c.Code)
		w.text(c.Name)
	}
	w.count(len(f.Atoms))
	for _, a := range f.Atoms {
		w.count(a.Country)
		w.text(a.Code)
		w.text(a.Name)
	}
	w.count(len(f.Arcs))
	left := 0
	for _, a := range f.Arcs {
		w.step(a.Left - left)
		w.count(a.Right)
		left = a.Left
	}
	for _, a := range f.Arcs {
		w.count(len(a.Line))
	}
	w.axis(f.Arcs, func(v Vertex) int32 { return v.Lon })
	w.axis(f.Arcs, func(v Vertex) int32 { return v.Lat })
	return w.b
}

type writer struct{ b []byte }

func (w *writer) count(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) step(n int)  { w.b = binary.AppendVarint(w.b, int64(n)) }
func (w *writer) text(s string) {
	w.count(len(s))
	w.b = append(w.b, s...)
}

func (w *writer) axis(arcs []Arc, of func(Vertex) int32) {
	last := int32(0)
	for _, a := range arcs {
		for _, v := range a.Line {
			w.step(int(of(v)) - int(last))
			last = of(v)
		}
	}
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*File, error) {
	if !bytes.HasPrefix(data, []byte(Magic)) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, Magic)
	}
	packed := bytes.NewReader(data[len(Magic):])
	payload, err := io.ReadAll(io.LimitReader(flate.NewReader(packed), maxPayload))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if packed.Len() > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow its end", ErrFormat, packed.Len())
	}
	r := &reader{b: payload}
	f := r.file()
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes follow its payload", len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return f, nil
}

type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
		r.b = nil
	}
}

func (r *reader) count(limit int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(limit) {
		r.fail("a number is cut off or above %d", limit)
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) step() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || v > 1<<33 || v < -1<<33 {
		r.fail("a step is cut off or out of range")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.count(maxString)
	if n > len(r.b) {
		r.fail("a name is cut off")
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) file() *File {
	f := &File{Source: r.text(), Quantum: r.count(maxCount), ToleranceMM: r.count(maxCount)}
	if f.Quantum == 0 {
		r.fail("its quantum is zero")
	}
	for i := range f.FaceAtoms {
		f.FaceAtoms[i] = r.count(maxCount)
	}
	r.names(f)
	for _, a := range f.FaceAtoms {
		if a > len(f.Atoms) {
			r.fail("a face names atom %d of %d", a, len(f.Atoms))
		}
	}
	r.arcs(f)
	return f
}

func (r *reader) names(f *File) {
	f.Countries = make([]Country, r.many())
	for i := range f.Countries {
		f.Countries[i] = Country{r.text(), r.text()}
	}
	f.Atoms = make([]Atom, r.many())
	for i := range f.Atoms {
		f.Atoms[i] = Atom{r.count(max(0, len(f.Countries)-1)), r.text(), r.text()}
	}
}

// many reads a count of things of which each takes at least a byte, so that a forged count cannot ask for more memory than the
// payload has bytes to fill.
func (r *reader) many() int { return r.count(len(r.b)) }

func (r *reader) arcs(f *File) {
	f.Arcs = make([]Arc, r.many())
	left := int64(0)
	for i := range f.Arcs {
		left += r.step()
		f.Arcs[i].Left, f.Arcs[i].Right = int(left), r.count(len(f.Atoms))
		if left < 0 || left > int64(len(f.Atoms)) {
			r.fail("an arc names atom %d of %d", left, len(f.Atoms))
		}
	}
	total := 0
	for i := range f.Arcs {
		n := r.many()
		if r.err == nil && n < 2 {
			r.fail("an arc has %d vertices", n)
		}
		f.Arcs[i].Line = make([]Vertex, n)
		if total += n; total > maxCount {
			r.fail("it has more than %d vertices", maxCount)
			return
		}
	}
	r.axis(f, 180, func(v *Vertex) *int32 { return &v.Lon })
	r.axis(f, 90, func(v *Vertex) *int32 { return &v.Lat })
}

func (r *reader) axis(f *File, degrees int, of func(*Vertex) *int32) {
	limit := int64(degrees) * int64(f.Quantum)
	at := int64(0)
	for _, a := range f.Arcs {
		for i := range a.Line {
			at += r.step()
			if at > limit || at < -limit {
				r.fail("a vertex lies beyond %d degrees", degrees)
				return
			}
			*of(&a.Line[i]) = int32(at)
		}
	}
}
