package region

import (
	"math"
	"slices"

	"github.com/golang/geo/s2"
)

// A cell union becomes polygons on the flat longitude-latitude map in three steps: the boundary as directed segments with the
// inside on the left, chained into rings, and holes put into the shells around them.
//
// Antimeridian and poles come for free: from level 1 downwards they run along cell edges (the planes x = 0 and y = 0 halve the
// cube's faces), so no cell crosses them. The antimeridian's edges are kept even where both sides are in the union, which cuts the
// rings there, and a cell with a corner at a pole gets an edge along the map's upper or lower rim.

type lonLat [2]float64

type ring []lonLat

// polygon is a shell (counter-clockwise) followed by its holes (clockwise); rings are closed, as RFC 7946 wants.
type polygon []ring

// outline returns the polygons of a normalised cell union.
func outline(cells s2.CellUnion) []polygon {
	o := &outliner{cells: cells, next: map[lonLat][]lonLat{}, dense: 6}
	for _, id := range cells {
		o.dense = max(o.dense, min(id.Level()-3, 10))
	}
	for _, id := range cells {
		if id.Level() == 0 {
			for _, child := range id.Children() {
				o.cell(child)
			}
			continue
		}
		o.cell(id)
	}
	return assemble(o.rings())
}

type outliner struct {
	cells  s2.CellUnion
	dense  int // longer segments are divided to the length of this level, so that straight lines on the map stay close to them
	starts []lonLat
	next   map[lonLat][]lonLat
}

// cell adds the cell's part of the boundary.
func (o *outliner) cell(id s2.CellID) {
	for k := range 4 {
		o.edge(id, k)
	}
	c := s2.CellFromCellID(id)
	for k := range 4 {
		if isPole(c.Vertex(k)) { // the rim of the map, from the edge that ends here to the edge that begins here
			o.add(o.flat(c.Vertex(k), c.Vertex((k+3)%4), c), o.flat(c.Vertex(k), c.Vertex((k+1)%4), c))
		}
	}
}

// edge adds those parts of edge k of a cell beyond which the union ends.
func (o *outliner) edge(id s2.CellID, k int) {
	beyond := id.EdgeNeighbors()[k]
	inside, touched := o.cells.ContainsCellID(beyond), o.cells.IntersectsCellID(beyond)
	c := s2.CellFromCellID(id)
	if a, b := c.Vertex(k), c.Vertex((k+1)%4); !touched || inside && onAntimeridian(a) && onAntimeridian(b) {
		o.segment(a, b, c)
		return
	}
	if inside {
		return
	}
	for _, child := range id.Children() {
		if child.EdgeNeighbors()[k].Parent(id.Level()) != id {
			o.edge(child, k)
		}
	}
}

func (o *outliner) segment(a, b s2.Point, c s2.Cell) {
	parts := 1
	if meridian := a.X*b.Y-a.Y*b.X == 0; !meridian {
		parts = 1 << max(0, o.dense-c.Level())
	}
	from := o.flat(a, b, c)
	for i := 1; i < parts; i++ {
		to := o.flat(s2.Interpolate(float64(i)/float64(parts), a, b), b, c)
		o.add(from, to)
		from = to
	}
	o.add(from, o.flat(b, a, c))
}

func (o *outliner) add(a, b lonLat) {
	if a != b {
		o.starts = append(o.starts, a)
		o.next[a] = append(o.next[a], b)
	}
}

func isPole(p s2.Point) bool { return p.X == 0 && p.Y == 0 }

// onAntimeridian includes the poles, where the antimeridian ends.
func onAntimeridian(p s2.Point) bool { return p.Y == 0 && p.X <= 0 }

// flat maps a point of the cell's edge: a pole takes the longitude of the edge's other end, a point of the antimeridian that side
// on which the cell lies.
func (o *outliner) flat(p, other s2.Point, c s2.Cell) lonLat {
	lat := s2.LatLngFromPoint(p).Lat.Degrees() + 0 // no negative zero
	if isPole(p) {
		return lonLat{o.flat(other, other, c)[0], lat}
	}
	if p.Y == 0 && p.X < 0 {
		return lonLat{math.Copysign(180, c.Center().Y), lat}
	}
	return lonLat{s2.LatLngFromPoint(p).Lng.Degrees() + 0, lat}
}

// rings chains the segments. A ring that meets itself at a point is divided there, so every ring is simple.
func (o *outliner) rings() []ring {
	var rings []ring
	for _, start := range o.starts {
		if len(o.next[start]) == 0 {
			continue
		}
		walk, at := ring{start}, map[lonLat]int{start: 0}
		for here := start; len(o.next[here]) > 0; {
			exits := o.next[here]
			here, o.next[here] = exits[0], exits[1:]
			if i, met := at[here]; met {
				rings = append(rings, append(slices.Clone(walk[i:]), here))
				for _, p := range walk[i+1:] {
					delete(at, p)
				}
				walk = walk[:i+1]
				continue
			}
			at[here] = len(walk)
			walk = append(walk, here)
		}
	}
	return rings
}

// area is the ring's signed area on the map: positive when counter-clockwise.
func (r ring) area() float64 {
	sum := 0.0
	for i := range len(r) - 1 {
		sum += r[i][0]*r[i+1][1] - r[i+1][0]*r[i][1]
	}
	return sum / 2
}

// contains is the even-odd rule.
func (r ring) contains(p lonLat) bool {
	in := false
	for i := range len(r) - 1 {
		a, b := r[i], r[i+1]
		if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0]-a[0])*(p[1]-a[1])/(b[1]-a[1])+a[0] {
			in = !in
		}
	}
	return in
}

// assemble gives each hole to the smallest shell around it.
func assemble(rings []ring) []polygon {
	var polygons []polygon
	var areas []float64
	for _, r := range rings {
		if a := r.area(); a > 0 {
			polygons = append(polygons, polygon{r})
			areas = append(areas, a)
		}
	}
	for _, r := range rings {
		if r.area() > 0 {
			continue
		}
		middle := lonLat{(r[0][0] + r[1][0]) / 2, (r[0][1] + r[1][1]) / 2}
		best := -1
		for i, p := range polygons {
			if p[0].contains(middle) && (best < 0 || areas[i] < areas[best]) {
				best = i
			}
		}
		if best >= 0 {
			polygons[best] = append(polygons[best], r)
		}
	}
	return polygons
}
