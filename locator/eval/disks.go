package eval

import (
	"container/heap"
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// disk is a spherical cap around a beacon: where it thinks the target is.
type disk struct {
	at vec
	km float64
}

type vec = s2.Point

const radiusKM = float64(earth.MeanRadius) / 1000

func kmBetween(a, b vec) float64 {
	return 2 * radiusKM * math.Asin(math.Min(1, a.Sub(b.Vector).Norm()/2))
}

// overlay counts disks over cells.
type overlay struct{ disks []disk }

// count returns how many disks hold the middle of a cell, and how many may touch it.
func (o *overlay) count(id s2.CellID) (hold, touch int) {
	limit := s2.CellFromCellID(id).CapBound()
	middle, radius := limit.Center(), limit.Radius().Radians()*radiusKM
	for i := range o.disks {
		d := kmBetween(middle, o.disks[i].at)
		if d <= o.disks[i].km {
			hold++
		}
		if d <= o.disks[i].km+radius {
			touch++
		}
	}
	return hold, touch
}

// finest is the level at which the search for the deepest place stops: cells of 2 km.
const finest = 12

// open is a cell that is still to be looked into.
type open struct {
	id    s2.CellID
	touch int
}

type queue []open

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].touch != q[j].touch {
		return q[i].touch > q[j].touch
	}
	return q[i].id < q[j].id
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(open)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

// depth returns the greatest number of disks that share a place, to the finest cell: the largest consistent subset. Best first:
// the cell that most disks may touch is divided until none is left that could beat the best middle.
func (o *overlay) depth() int {
	q := &queue{}
	for face := range 6 {
		id := s2.CellIDFromFace(face)
		_, touch := o.count(id)
		*q = append(*q, open{id, touch})
	}
	heap.Init(q)
	best := 0
	for q.Len() > 0 {
		top := heap.Pop(q).(open)
		if top.touch <= best {
			break
		}
		for _, child := range top.id.Children() {
			hold, touch := o.count(child)
			best = max(best, hold)
			if touch > best && child.Level() < finest {
				heap.Push(q, open{child, touch})
			}
		}
	}
	return best
}

// regionCells is about how many cells a region is described by.
const regionCells = 400

// region returns cells of one level that cover where at least the given number of disks overlap: those whose middle it holds for,
// or, when it is smaller than any cell, those that may touch it. It is empty when none may.
func (o *overlay) region(depth int) []s2.CellID {
	var level []s2.CellID
	for face := range 6 {
		level = append(level, s2.CellIDFromFace(face))
	}
	var inside []s2.CellID
	for at := 0; len(level) > 0; at++ {
		var next []s2.CellID
		inside = inside[:0]
		for _, id := range level {
			hold, touch := o.count(id)
			if touch < depth {
				continue
			}
			if hold >= depth {
				inside = append(inside, id)
			}
			next = append(next, id)
		}
		if len(inside) >= regionCells || at == finest {
			if len(inside) > 0 {
				return inside
			}
			return next
		}
		level = level[:0]
		for _, id := range next {
			children := id.Children()
			level = append(level, children[:]...)
		}
	}
	return nil
}

// summary is what a region of cells says.
type summary struct {
	centroid earth.LatLon
	area     float64
	byLand   map[string]float64 // share of its land by country
	land     float64            // km²
}

func summarise(cells []s2.CellID) summary {
	var s summary
	var sum vec
	s.byLand = map[string]float64{}
	for _, id := range cells {
		area := earth.CellArea(id)
		s.area += area
		sum = vec{Vector: sum.Add(id.Point().Mul(area))}
		if c := countryOf(id); c != "" {
			s.byLand[c] += area
			s.land += area
		}
	}
	for c := range s.byLand {
		s.byLand[c] /= s.land
	}
	s.centroid = earth.LatLonOf(vec{Vector: sum.Normalize()})
	return s
}

// holds says whether a place lies in one of the cells, which have one level.
func holds(cells []s2.CellID, at vec) bool {
	leaf := s2.CellFromPoint(at).ID()
	for _, id := range cells {
		if id.Contains(leaf) {
			return true
		}
	}
	return false
}
