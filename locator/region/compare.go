package region

import (
	"sort"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Area is what a region can be compared with. Class must be sound for In and Out, a pure function of the cell, and safe for
// concurrent use. It need not be consistent between a cell and its parts; Compare asks from the faces downwards and believes
// the first answer that is not Border. What atlas.Parse returns is one.
type Area interface {
	Class(s2.CellID) atlas.Class
}

// Relation is the answer of Compare.
type Relation uint8

// The relations. The zero value promises nothing.
const (
	Mixed  Relation = iota // neither of the others could be shown
	Empty                  // the region is empty: a subset of everything, and evidence that more than f domains lie
	Within                 // not empty, and every kept cell is In
	Apart                  // not empty, and every kept cell is Out
)

// String returns the relation's name.
func (r Relation) String() string {
	return [...]string{"mixed", "empty", "within", "apart"}[r&3]
}

// Compare decides how the region lies to the area. Cells on the area's border are split down to RefineLevels below the search's
// level, at most MaxLevel, which may drop parts of them. The second result is the region with what was learnt: when the relation is
// Within, Apart or Empty it consists of exactly the cells that were compared; when Mixed it is the region as it was.
func (r *Region) Compare(area Area) (Relation, *Region) {
	c := &comparison{r: r, search: r.search.fork(), area: area, fine: min(r.level+RefineLevels, MaxLevel)}
	for face := range 6 {
		c.classify(s2.CellIDFromFace(face), r.kept)
	}
	for i := 0; i < len(c.border) && !c.mixed(); i++ {
		c.refine(c.border[i])
	}
	if c.mixed() {
		return Mixed, r
	}
	refined := &Region{search: r.search, level: r.level, counts: r.counts, kept: c.leaves}
	refined.finish()
	switch {
	case c.in:
		return Within, refined
	case c.out:
		return Apart, refined
	}
	return Empty, refined
}

// comparison walks the kept cells; in and out record kept leaves that rule out Apart and Within.
type comparison struct {
	r       *Region
	search  *searcher
	area    Area
	fine    int
	in, out bool
	border  []node // kept cells that are Border, to be refined
	leaves  []node
}

func (c *comparison) mixed() bool { return c.in && c.out }

// classify sorts the kept nodes below id (a sorted slice that may hold others too) by class.
func (c *comparison) classify(id s2.CellID, nodes []node) {
	lo := sort.Search(len(nodes), func(i int) bool { return nodes[i].id >= id.RangeMin() })
	hi := sort.Search(len(nodes), func(i int) bool { return nodes[i].id > id.RangeMax() })
	if nodes = nodes[lo:hi]; len(nodes) == 0 {
		return
	}
	switch c.area.Class(id) {
	case atlas.In:
		c.in = true
		c.leaves = append(c.leaves, nodes...)
	case atlas.Out:
		c.out = true
		c.leaves = append(c.leaves, nodes...)
	default:
		if nodes[0].id == id {
			c.border = append(c.border, nodes[0])
			return
		}
		for _, child := range id.Children() {
			c.classify(child, nodes)
		}
	}
}

// refine splits a kept Border cell.
func (c *comparison) refine(n node) {
	if n.id.Level() >= c.fine {
		c.in, c.out = true, true // kept, and on neither side for certain
		return
	}
	for _, id := range n.id.Children() {
		child := node{id: id, all: true}
		if !n.all {
			var kept bool
			if child, kept = c.search.judge(&n, id); !kept {
				continue
			}
		}
		switch c.area.Class(id) {
		case atlas.In:
			c.in = true
			c.leaves = append(c.leaves, child)
		case atlas.Out:
			c.out = true
			c.leaves = append(c.leaves, child)
		default:
			c.refine(child)
		}
		if c.mixed() {
			return
		}
	}
}
