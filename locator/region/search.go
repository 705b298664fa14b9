package region

import (
	"errors"
	"fmt"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// The levels of the search. A cell of level 16 has an edge of about 150 m: finer than any boundary data and than 1 µs of round trip.
const (
	MaxLevel      = 16
	RefineLevels  = 7   // how much deeper Compare splits the cells on an area's border: an edge 128 times shorter
	DefaultDetail = 512 // kept cells that suffice
	MaxDetail     = 1 << 16
)

// ErrDetail reports a detail outside 1..MaxDetail.
var ErrDetail = errors.New("impossible detail")

// Options tune a search; the zero value is the default.
type Options struct {
	// Detail: the search stops at the first level with more than so many kept cells, and therefore returns at most about four
	// times as many. 0 means DefaultDetail. More detail gives a smaller over-approximation at proportional cost.
	Detail int
}

// node is a kept cell that some bounds cut: what is needed to go on splitting it.
type node struct {
	id   s2.CellID
	open []uint16 // bounds neither known to contain the whole cell nor to exclude it
	out  groupSet // groups of which one bound excludes the whole cell
	all  bool     // taken whole: the cells below are kept without asking
}

// searcher holds the problem; it is read-only but for blame's memory, and belongs to one goroutine.
type searcher struct {
	bounds []Bound
	group  []uint16
	blame  *blame
}

// fork returns a searcher with a memory of its own, so that a Region can be shared by goroutines.
func (s *searcher) fork() *searcher {
	b := *s.blame
	b.known = map[groupSet]bool{}
	return &searcher{bounds: s.bounds, group: s.group, blame: &b}
}

// Search returns Region_f of the bounds, over-approximated by S2 cells. It refuses bounds that Bound, MaxBounds or MaxFaulty
// rule out, naming the reason. No bounds, or bounds that f domains can all be blamed for, give the whole Earth.
func Search(bounds []Bound, f int, opt Options) (*Region, error) {
	sorted, err := canonical(bounds, f)
	if err != nil {
		return nil, err
	}
	detail := opt.Detail
	if detail == 0 {
		detail = DefaultDetail
	}
	if detail < 1 || detail > MaxDetail {
		return nil, fmt.Errorf("%w: %d is not within 1..%d", ErrDetail, detail, MaxDetail)
	}
	b, of := newBlame(sorted, f)
	s := &searcher{bounds: sorted, group: of, blame: b}
	return s.run(detail), nil
}

// run is the level-by-level descent.
func (s *searcher) run(detail int) *Region {
	r := &Region{search: s}
	every := node{open: make([]uint16, len(s.bounds))}
	for i := range every.open {
		every.open[i] = uint16(i)
	}
	var frontier []node
	keep := func(n node) {
		if n.all {
			r.kept = append(r.kept, n)
			r.whole = append(r.whole, n.id.Level())
		} else {
			frontier = append(frontier, n)
		}
	}
	for face := range 6 {
		if n, kept := s.judge(&every, s2.CellIDFromFace(face)); kept {
			keep(n)
		}
	}
	for {
		n := len(frontier) + r.countWhole()
		r.counts = append(r.counts, n)
		if n == 0 || n > detail || r.level == MaxLevel {
			break
		}
		parents := frontier
		frontier = nil
		for i := range parents {
			for _, id := range parents[i].id.Children() {
				if n, kept := s.judge(&parents[i], id); kept {
					keep(n)
				}
			}
		}
		r.level++
	}
	r.kept = append(r.kept, frontier...)
	r.finish()
	return r
}

// judge asks the open bounds of the parent about one cell: dropped (false), kept whole or kept with open bounds.
func (s *searcher) judge(parent *node, id s2.CellID) (node, bool) {
	n := node{id: id, out: parent.out, open: make([]uint16, 0, len(parent.open))}
	column := earth.ColumnOf(id)
	cut := false
	for _, i := range parent.open {
		b := &s.bounds[i]
		if n.out.has(s.group[i]) {
			continue // the group is blamed already
		}
		if column.MinChord(b.Centre) > b.Radius {
			n.out.add(s.group[i])
			cut = true
		} else if !(column.MaxChord(b.Centre) <= b.Radius) {
			n.open = append(n.open, i)
		}
	}
	if cut && !s.blame.explains(&n.out) {
		return node{}, false
	}
	may := n.out
	for _, i := range n.open {
		may.add(s.group[i])
	}
	n.all = s.blame.explains(&may)
	return n, true
}
