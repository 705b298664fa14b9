package main

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

// side is what lies beside a directed edge: an atom and the area of the ring that the edge belongs to. Zero is the sea.
type side struct {
	atom int
	area float64
}

// edge is an undirected edge, written from its smaller vertex to its larger.
type edge struct{ from, to wire.Vertex }

// border holds both sides of an edge as seen along from → to.
type border struct{ left, right side }

// partition is the source with every edge written once.
type partition struct {
	edges map[edge]*border
	rim   []int32 // latitudes of all vertices on the antimeridian, ascending
}

// arc is a maximal chain of edges with the same atoms beside them, in source quanta.
type arc struct {
	left, right int
	area        float64 // of the smallest ring it borders, in square metres
	line        []wire.Vertex
}

func less(a, b wire.Vertex) bool {
	if a.Lon != b.Lon {
		return a.Lon < b.Lon
	}
	return a.Lat < b.Lat
}

// onSphere makes vertices that are one place on the sphere one vertex: the two rims of the antimeridian, and all of a pole.
func onSphere(v wire.Vertex) wire.Vertex {
	if v.Lon == -180*sourceQuantum {
		v.Lon = -v.Lon
	}
	if v.Lat == 90*sourceQuantum || v.Lat == -90*sourceQuantum {
		v.Lon = 0
	}
	return v
}

// maxStep is the longest edge, in degrees, that may be read as a geodesic. The source means straight lines of longitude and
// latitude: along a parallel at 50 N the great circle between two vertices half a degree apart strays by 43 m.
const maxStep = 0.5

// divide enters every edge of every piece. An edge that its own atom walks in both directions is a seam (the antimeridian's, or
// one between two features of one code) and vanishes.
func divide(pieces []piece, number map[[2]string]int) (*partition, error) {
	p := &partition{edges: map[edge]*border{}, rim: rimOf(pieces)}
	for _, piece := range pieces {
		atom := number[[2]string{piece.country, piece.code}]
		for _, ring := range piece.rings {
			s := side{atom, ringArea(ring)}
			ring = p.splitRim(ring)
			for i := 1; i < len(ring); i++ {
				if err := p.enter(ring[i-1], ring[i], s); err != nil {
					return nil, fmt.Errorf("%s: %w", piece.code, err)
				}
			}
		}
	}
	for e, b := range p.edges {
		if b.left.atom == b.right.atom {
			delete(p.edges, e)
		}
	}
	return p, nil
}

// rimOf returns the latitudes of the vertices on the antimeridian.
func rimOf(pieces []piece) []int32 {
	var out []int32
	for _, p := range pieces {
		for _, ring := range p.rings {
			for _, v := range ring {
				if onSphere(v).Lon == 180*sourceQuantum {
					out = append(out, v.Lat)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// splitRim puts a vertex into the edges along the antimeridian wherever any ring has one, because the halves of an island that the
// source cuts there do not always end at the same latitude. What both halves walk can then vanish.
func (p *partition) splitRim(ring []wire.Vertex) []wire.Vertex {
	out := ring[:1:1]
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		if a.Lon == b.Lon && onSphere(a).Lon == 180*sourceQuantum {
			from, _ := slices.BinarySearch(p.rim, min(a.Lat, b.Lat)+1)
			to, _ := slices.BinarySearch(p.rim, max(a.Lat, b.Lat))
			between := slices.Clone(p.rim[from:max(from, to)])
			if a.Lat > b.Lat {
				slices.Reverse(between)
			}
			for _, lat := range between {
				out = append(out, wire.Vertex{Lon: a.Lon, Lat: lat})
			}
		}
		out = append(out, b)
	}
	return out
}

// enter adds the directed edge a → b with s on its left, in steps no longer than maxStep. The steps depend on the undirected edge
// alone, so that both neighbours make the same.
func (p *partition) enter(a, b wire.Vertex, s side) error {
	forward := less(a, b)
	if !forward {
		a, b = b, a
	}
	steps := int(math.Ceil(math.Max(math.Abs(float64(b.Lon-a.Lon)), math.Abs(float64(b.Lat-a.Lat))) / (maxStep * sourceQuantum)))
	at := func(i int) wire.Vertex {
		t := float64(i) / float64(steps)
		return wire.Vertex{
			Lon: a.Lon + int32(math.Round(t*float64(b.Lon-a.Lon))),
			Lat: a.Lat + int32(math.Round(t*float64(b.Lat-a.Lat))),
		}
	}
	for i := range steps {
		from, to := onSphere(at(i)), onSphere(at(i+1))
		if !forward {
			from, to = to, from
		}
		if from != to {
			if err := p.mark(from, to, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *partition) mark(from, to wire.Vertex, s side) error {
	e, forward := edge{from, to}, true
	if !less(from, to) {
		e, forward = edge{to, from}, false
	}
	b := p.edges[e]
	if b == nil {
		b = &border{}
		p.edges[e] = b
	}
	mine := &b.left
	if !forward {
		mine = &b.right
	}
	if mine.atom != 0 {
		return fmt.Errorf("two pieces lie on one side of the edge %v → %v", from, to)
	}
	*mine = s
	return nil
}

// half is an edge as one end sees it.
type half struct {
	edge    edge
	forward bool // the end is edge.from
}

// chains walks the edges into arcs, from junction to junction and then around what has none, in an order that depends on the
// source alone.
func (p *partition) chains() []arc {
	at := map[wire.Vertex][]half{}
	for e := range p.edges {
		at[e.from] = append(at[e.from], half{e, true})
		at[e.to] = append(at[e.to], half{e, false})
	}
	starts := make([]wire.Vertex, 0, len(at))
	for v, hs := range at {
		sort.Slice(hs, func(i, j int) bool { return less(hs[i].other(), hs[j].other()) })
		starts = append(starts, v)
	}
	sort.Slice(starts, func(i, j int) bool { return less(starts[i], starts[j]) })
	done := map[edge]bool{}
	var out []arc
	for _, junctions := range []bool{true, false} {
		for _, v := range starts {
			for _, h := range at[v] {
				if junctions == p.passes(at[v]) || done[h.edge] {
					continue
				}
				out = append(out, p.walk(at, h, done))
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].left != out[j].left {
			return out[i].left < out[j].left
		}
		return out[i].right < out[j].right
	})
	return out
}

func (h half) other() wire.Vertex {
	if h.forward {
		return h.edge.to
	}
	return h.edge.from
}

// sides returns the atoms to the left and right of a half edge as walked from its end.
func (p *partition) sides(h half) (left, right side) {
	b := p.edges[h.edge]
	if h.forward {
		return b.left, b.right
	}
	return b.right, b.left
}

// passes says whether an arc may run through a vertex: two edges meet there, with the same atoms on the same sides.
func (p *partition) passes(hs []half) bool {
	if len(hs) != 2 {
		return false
	}
	l0, r0 := p.sides(hs[0])
	l1, r1 := p.sides(hs[1])
	return l0.atom == r1.atom && r0.atom == l1.atom
}

func (p *partition) walk(at map[wire.Vertex][]half, h half, done map[edge]bool) arc {
	left, right := p.sides(h)
	a := arc{left: left.atom, right: right.atom, area: math.Inf(1)}
	v := h.edge.from
	if !h.forward {
		v = h.edge.to
	}
	a.line = append(a.line, v)
	for !done[h.edge] {
		done[h.edge] = true
		left, right := p.sides(h)
		for _, s := range []side{left, right} {
			if s.atom != 0 {
				a.area = math.Min(a.area, s.area)
			}
		}
		v = h.other()
		a.line = append(a.line, v)
		if hs := at[v]; p.passes(hs) {
			if hs[0].edge == h.edge {
				h = hs[1]
			} else {
				h = hs[0]
			}
		}
	}
	if a.left == 0 { // land on the left, sea on the right, so that a coast reads one way
		a.left, a.right = a.right, a.left
		for i, j := 0, len(a.line)-1; i < j; i, j = i+1, j-1 {
			a.line[i], a.line[j] = a.line[j], a.line[i]
		}
	}
	return a
}
