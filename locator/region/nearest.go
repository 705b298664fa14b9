package region

import (
	"container/heap"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Outside is a place that an area is not known to hold.
type Outside struct {
	At       earth.LatLon
	Distance earth.Metres // chord from the asker to the place, at ellipsoid height 0
}

// NearestOutside returns, of the places in the region that are not certainly inside the area, the one nearest to p, to within a
// cell of the finest level that Compare uses; false when there is none. The whole Earth is a region too: see Everywhere.
// It explains and never decides, so it may be slower and is not rounded outward.
func (r *Region) NearestOutside(area Area, p earth.ECEF) (Outside, bool) {
	n := &nearest{search: r.search.fork(), area: area, from: p, fine: min(r.level+RefineLevels, MaxLevel)}
	for _, k := range r.kept {
		n.push(k, 0, ancestorIn(area, k.id))
	}
	for n.queue.Len() > 0 {
		item := heap.Pop(&n.queue).(candidate)
		if item.node.id.Level() >= n.fine {
			at := earth.LatLonOf(item.node.id.Point())
			return Outside{At: at, Distance: earth.Chord(p, at.ECEF(0))}, true
		}
		for _, id := range item.node.id.Children() {
			n.expand(&item, id)
		}
	}
	return Outside{}, false
}

// Everywhere returns the whole Earth as a region whose comparisons go down to the given level.
func Everywhere(level int) *Region {
	r := &Region{search: &searcher{blame: &blame{disjoint: true}}, level: max(0, min(level, MaxLevel)-RefineLevels)}
	for face := range 6 {
		r.kept = append(r.kept, node{id: s2.CellIDFromFace(face), all: true})
	}
	r.finish()
	return r
}

// ancestorIn says whether the cell or one of its ancestors is In before any is Out: the rule by which Compare believes an area.
func ancestorIn(area Area, id s2.CellID) atlas.Class {
	for level := 0; level < id.Level(); level++ {
		if c := area.Class(id.Parent(level)); c != atlas.Border {
			return c
		}
	}
	return area.Class(id)
}

// nearest is a best-first search: no cell is nearer than the least chord to it or to its ancestors.
type nearest struct {
	search *searcher
	area   Area
	from   earth.ECEF
	fine   int
	queue  candidates
}

func (n *nearest) expand(parent *candidate, id s2.CellID) {
	child := node{id: id, all: true}
	if !parent.node.all {
		var kept bool
		if child, kept = n.search.judge(&parent.node, id); !kept {
			return
		}
	}
	class := parent.class
	if class == atlas.Border {
		class = n.area.Class(id)
	}
	n.push(child, parent.least, class)
}

func (n *nearest) push(k node, least earth.Metres, class atlas.Class) {
	if class != atlas.In {
		heap.Push(&n.queue, candidate{k, class, max(least, earth.ColumnOf(k.id).MinChord(n.from))})
	}
}

type candidate struct {
	node  node
	class atlas.Class
	least earth.Metres
}

// candidates orders by distance, ties by cell, so that the answer is the same on every run.
type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	if c[i].least != c[j].least {
		return c[i].least < c[j].least
	}
	return c[i].node.id < c[j].node.id
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
