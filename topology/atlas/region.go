package atlas

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// DisputeRule says who is believed where several states claim a place.
type DisputeRule uint8

const (
	// Strict believes nobody: a place is In only if the region holds it whoever is right, Out only if it does not whoever is right.
	Strict DisputeRule = 0
	// FirstClaim believes the claim by which Lookup names a place (see the tables in claims.go), and that enclaves which the data
	// does not draw do not exist. Written primary(…).
	FirstClaim DisputeRule = 1
)

// SeaRule says to whom the sea and the air above it belong. The air above land belongs to the land, at every height.
type SeaRule uint8

const (
	// Land: the sea is nobody's. The default.
	Land SeaRule = 0
	// Territorial: the sea within 12 nautical miles belongs to the nearest coast. Written territorial(…).
	Territorial SeaRule = 1
	// Neutral: the sea within 200 nautical miles of a region counts neither for nor against it: a cell of sea and the region's own
	// land is In, so that a coast costs nothing, but a core that may truly be afloat is permitted. Written neutral(…).
	Neutral SeaRule = 2
)

// Options govern Parse. The zero value is the strictest reading with the atlas's own accuracy, and no files.
type Options struct {
	// Accuracy is the margin in metres within which a named area's boundary is uncertain. 0 means the constant Accuracy.
	Accuracy earth.Metres
	Sea      SeaRule
	Disputes DisputeRule
	// ReadFile reads the polygons of file(name). Nil refuses files. The package itself opens none.
	ReadFile func(name string) ([]byte, error)
}

// maxAccuracy bounds Options.Accuracy.
const maxAccuracy earth.Metres = 1_000_000

// Region is a parsed expression. It is safe for many goroutines, and remembers what it has answered.
type Region struct {
	w    *world
	expr expr
	root node
	text string
	hash [sha256.Size]byte
	opt  Options

	once  sync.Once
	lines node // without accuracy, for maps and areas
}

// Parse reads a region expression. A fault in it is a *SyntaxError, which points at the character.
func Parse(expression string, o Options) (*Region, error) {
	w, err := load()
	if err != nil {
		return nil, err
	}
	if o.Accuracy == 0 {
		o.Accuracy = Accuracy
	}
	if !(o.Accuracy > 0 && o.Accuracy <= maxAccuracy) {
		return nil, fmt.Errorf("%w: accuracy %v m is not within 0..%v", ErrValue, float64(o.Accuracy), maxAccuracy)
	}
	e, err := parse(w, expression, o.ReadFile)
	if err != nil {
		return nil, err
	}
	e = underOptions(e, o)
	r := &Region{w: w, expr: e, text: text(e), hash: hashOf(e, o.Accuracy), opt: o}
	o.Sea, o.Disputes = Land, Strict
	r.root = w.compile(e, o)
	return r, nil
}

// underOptions writes the options that the text can carry into the text.
func underOptions(e expr, o Options) expr {
	switch o.Sea {
	case Territorial:
		e = ruleExpr{ruleTerritorial, e}
	case Neutral:
		e = ruleExpr{ruleNeutral, e}
	}
	if o.Disputes == FirstClaim {
		e = ruleExpr{rulePrimary, e}
	}
	return e
}

// String returns the canonical form, which Parse reads back to the same region.
func (r *Region) String() string { return r.text }

// Accuracy returns the margin in metres that the region keeps from the boundaries of its named areas.
func (r *Region) Accuracy() earth.Metres { return r.opt.Accuracy }

// Hash names the region: it covers the canonical form, the accuracy, the atlas with its table of claims, and the content of files.
func (r *Region) Hash() [sha256.Size]byte { return r.hash }

func hashOf(e expr, accuracy earth.Metres) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "ursa region 1\n%x\n%v\n%s\n", digest(), float64(accuracy), text(e))
	walkFiles(e, func(f fileExpr) { fmt.Fprintf(h, "%s %x\n", quoteName(f.name), f.digest) })
	return [sha256.Size]byte(h.Sum(nil))
}

// Class says where a cell stands to the region. An invalid cell is Border.
func (r *Region) Class(id s2.CellID) Class {
	if !id.IsValid() {
		return Border
	}
	c := &view{id: id}
	switch {
	case r.root.inside(c, 0):
		return In
	case r.root.outside(c, 0):
		return Out
	}
	return Border
}

// ClassPoint is Class of the centimetre around a point. What is no position is Border.
func (r *Region) ClassPoint(p earth.LatLon) Class {
	if p.Validate() != nil {
		return Border
	}
	return r.Class(s2.CellFromPoint(p.Point()).ID())
}

// compile turns an expression into the shape that answers for it.
func (w *world) compile(e expr, o Options) node {
	if isNamed(e) {
		return w.compileNamed(e, o)
	}
	switch e := e.(type) {
	case unionExpr:
		return join(w.compileList(e.list, o, func(l []expr) expr { return unionExpr{l} }))
	case meetExpr:
		return meet(w.compileList(e.list, o, func(l []expr) expr { return meetExpr{l} }))
	case minusExpr:
		return meet{w.compile(e.from, o), complement{w.compile(e.what, o)}}
	case capExpr:
		return capNode{e.centre.Point(), e.radius}
	case fileExpr:
		return e.shape.node()
	case bufferExpr:
		return buffer{w.compile(e.of, o), e.by}
	case ruleExpr:
		return w.compile(e.of, o.under(e.rule))
	}
	return nothing
}

// nothing is the empty region: what is not understood permits nothing.
var nothing = complement{everywhere{}}

// compileList compiles operands, the named ones together so that no seam is left between them.
func (w *world) compileList(list []expr, o Options, combine func([]expr) expr) []node {
	var names []expr
	var out []node
	for _, x := range list {
		if isNamed(x) {
			names = append(names, x)
		} else {
			out = append(out, w.compile(x, o))
		}
	}
	if len(names) > 0 {
		out = append(out, w.compileNamed(combine(names), o))
	}
	return out
}

func (o Options) under(rule string) Options {
	switch rule {
	case ruleLand:
		o.Sea = Land
	case ruleTerritorial:
		o.Sea = Territorial
	case ruleNeutral:
		o.Sea = Neutral
	case ruleStrict:
		o.Disputes = Strict
	case rulePrimary:
		o.Disputes = FirstClaim
	}
	return o
}

// walkFiles visits the files of an expression in the order in which it prints them.
func walkFiles(e expr, f func(fileExpr)) {
	each := func(list ...expr) {
		for _, x := range list {
			walkFiles(x, f)
		}
	}
	switch e := e.(type) {
	case fileExpr:
		f(e)
	case unionExpr:
		each(e.list...)
	case meetExpr:
		each(e.list...)
	case minusExpr:
		each(e.from, e.what)
	case bufferExpr:
		each(e.of)
	case ruleExpr:
		each(e.of)
	}
}
