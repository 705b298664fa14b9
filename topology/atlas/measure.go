package atlas

import (
	"container/heap"
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// drawn returns the region by its lines, without the data's accuracy: what a map shows. For people; it proves nothing.
func (r *Region) drawn() node {
	r.once.Do(func() {
		o := Options{Accuracy: 0}
		r.lines = r.w.compile(r.expr, o)
	})
	return r.lines
}

// areaCells bounds the work of AreaKM2: the number of undecided cells that are divided further.
const areaCells = 6_000

// AreaKM2 estimates the area of the region by its lines in square kilometres, without what is disputed. It divides cells until some
// thousands straddle the boundary and counts those by their centres: good to about a thousandth for a country.
func (r *Region) AreaKM2() float64 {
	root, total := r.drawn(), 0.0
	level := make([]s2.CellID, 0, 6)
	for face := range 6 {
		level = append(level, s2.CellIDFromFace(face))
	}
	for len(level) > 0 {
		last := len(level) > areaCells || level[0].Level() >= 18
		var next []s2.CellID
		for _, id := range level {
			in, split := standing(root, id)
			switch {
			case in:
				total += cellArea(id)
			case split && last:
				if centre, _ := standing(root, s2.CellFromPoint(id.Point()).ID()); centre {
					total += cellArea(id)
				}
			case split:
				kids := id.Children()
				next = append(next, kids[:]...)
			}
		}
		level = next
	}
	return total
}

// cellArea sums a large cell from smaller ones, because earth.CellArea takes the curvature at the centre.
func cellArea(id s2.CellID) float64 {
	const fine = 6
	if id.Level() >= fine {
		return earth.CellArea(id)
	}
	sum := 0.0
	for c := id.ChildBeginAtLevel(fine); c != id.ChildEndAtLevel(fine); c = c.Next() {
		sum += earth.CellArea(c)
	}
	return sum
}

// standing says whether a cell is inside a shape, or else whether parts of it may be.
func standing(root node, id s2.CellID) (in, maybe bool) {
	c := &view{id: id}
	if root.inside(c, 0) {
		return true, true
	}
	return false, !root.outside(c, 0)
}

// Bound returns the corners of a box of latitude and longitude that holds every place that is not Out, to about 40 km, and false
// when there is none. When the box crosses the antimeridian, its western longitude is greater than its eastern.
func (r *Region) Bound() (southWest, northEast earth.LatLon, ok bool) {
	const fine = 7
	box := s2.EmptyRect()
	var visit func(s2.CellID)
	visit = func(id s2.CellID) {
		bound := s2.CellFromCellID(id).RectBound()
		if r.Class(id) == Out || box.Contains(bound) {
			return
		}
		if id.Level() >= fine {
			box = box.Union(bound)
			return
		}
		for _, k := range id.Children() {
			visit(k)
		}
	}
	for face := range 6 {
		visit(s2.CellIDFromFace(face))
	}
	if box.IsEmpty() {
		return southWest, northEast, false
	}
	return latLon(box.Lo()), latLon(box.Hi()), true
}

func latLon(l s2.LatLng) earth.LatLon {
	return earth.LatLon{Lat: l.Lat.Degrees(), Lon: l.Lng.Degrees()}
}

// candidate is a cell with the angle from a point to it.
type candidate struct {
	id    s2.CellID
	angle float64
}

type nearestFirst []candidate

func (q nearestFirst) Len() int           { return len(q) }
func (q nearestFirst) Less(i, j int) bool { return q[i].angle < q[j].angle }
func (q nearestFirst) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *nearestFirst) Push(x any)        { *q = append(*q, x.(candidate)) }
func (q *nearestFirst) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// nearestLevel is the level at which Nearest stops: cells of about a kilometre. nearestSteps bounds its work.
const (
	nearestLevel = 13
	nearestSteps = 20_000
)

// NearestOutside returns the place nearest to p that the region does not certainly hold, to about a kilometre, and its distance; p
// itself when p is such a place; false when there is none or it was not found in reasonable time. For explanations.
func (r *Region) NearestOutside(p earth.LatLon) (earth.LatLon, earth.Metres, bool) {
	if p.Validate() != nil {
		return p, 0, false
	}
	return r.nearest(p, func(c Class) bool { return c != In })
}

// NearestInside returns the place nearest to p that the region may hold, as NearestOutside does.
func (r *Region) NearestInside(p earth.LatLon) (earth.LatLon, earth.Metres, bool) {
	if p.Validate() != nil {
		return p, 0, false
	}
	return r.nearest(p, func(c Class) bool { return c != Out })
}

// nearest searches cells in the order of their distance. A cell that is wholly unwanted is dropped; the first small one that is not
// holds the answer.
func (r *Region) nearest(p earth.LatLon, wanted func(Class) bool) (earth.LatLon, earth.Metres, bool) {
	if wanted(r.ClassPoint(p)) {
		return p, 0, true
	}
	from := p.Point()
	queue := &nearestFirst{}
	push := func(id s2.CellID) {
		heap.Push(queue, candidate{id, s2.CellFromCellID(id).Distance(from).Angle().Radians()})
	}
	for face := range 6 {
		push(s2.CellIDFromFace(face))
	}
	for steps := 0; queue.Len() > 0 && steps < nearestSteps; steps++ {
		c := heap.Pop(queue).(candidate)
		if !wanted(r.Class(c.id)) {
			continue
		}
		if c.id.Level() >= nearestLevel {
			at := earth.LatLonOf(c.id.Point())
			return at, earth.GreatCircle(p, at), true
		}
		for _, k := range c.id.Children() {
			push(k)
		}
	}
	return p, earth.Metres(math.Inf(1)), false
}
