// Package quad finds the edges near a cell: a tree of S2 cells, grown where and when it is asked.
//
// What it believes: edges are geodesics between unit vectors, no longer than a quarter of the sphere.
//
// What it promises: the edges it hands out for a cell contain every edge that comes within the tree's margin of the cell. The
// order of questions, and the number of goroutines that ask, changes how long an answer takes, never the answer.
package quad

import (
	"sync"
	"sync/atomic"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
)

// Tree hands out edges by cell and keeps a value of its user for every cell that it has visited. Large cells hold runs of edges,
// small ones edges.
type Tree[V any] struct {
	edges  Edges
	runs   []run
	margin Limit
	reach  s1.Angle // of the margin
	floor  int
	limit  int64
	grow   func(parent, n *Node[V]) (V, bool)

	root  atomic.Pointer[[6]Node[V]]
	nodes atomic.Int64
	mu    sync.Mutex // held while a cell is divided
}

// Node is a visited cell with what comes within the tree's margin of it.
type Node[V any] struct {
	ID    s2.CellID
	Value V
	tree  *Tree[V]
	kids  atomic.Pointer[[4]Node[V]]
	near  []int32 // runs, or edges once the runs are few
	runs  bool
	open  bool // worth dividing
}

// Config says how a tree grows.
type Config[V any] struct {
	Margin s1.Angle
	Floor  int   // deepest level of a node
	Limit  int64 // number of nodes after which the tree is dropped and grown anew; 0 for 131,072
	// Grow computes the value of a cell from what is near it and its parent (nil for a face), and says whether its children could
	// have other values. It must depend on nothing else.
	Grow func(parent, n *Node[V]) (value V, divide bool)
}

// New returns a tree over some of the edges, listed in ascending order.
func New[V any](edges Edges, some []int32, c Config[V]) *Tree[V] {
	if c.Limit == 0 {
		c.Limit = 1 << 17
	}
	return &Tree[V]{
		edges: edges, runs: edges.runs(some), margin: NewLimit(c.Margin), reach: c.Margin,
		floor: c.Floor, grow: c.Grow, limit: c.Limit,
	}
}

// Find returns the deepest node that contains the cell, dividing on the way: either the cell's own, or an ancestor that is not
// worth dividing.
func (t *Tree[V]) Find(id s2.CellID) *Node[V] {
	n := &t.faces()[id.Face()]
	level := min(id.Level(), t.floor)
	for l := 1; l <= level && n.open; l++ {
		n = &n.children()[id.ChildPosition(l)]
	}
	return n
}

// Children returns the four children of a node, or nil when it is not worth dividing.
func (n *Node[V]) Children() *[4]Node[V] {
	if !n.open || n.ID.Level() >= n.tree.floor {
		return nil
	}
	return n.children()
}

// faces returns the six face nodes, growing them first when there are none or too many nodes below them.
func (t *Tree[V]) faces() *[6]Node[V] {
	if f := t.root.Load(); f != nil && t.nodes.Load() <= t.limit {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.root.Load(); f != nil && t.nodes.Load() <= t.limit {
		return f
	}
	all := make([]int32, len(t.runs))
	for i := range all {
		all[i] = int32(i)
	}
	faces := new([6]Node[V])
	for i := range faces {
		faces[i].fill(t, nil, s2.CellIDFromFace(i), all)
	}
	t.nodes.Store(6)
	t.root.Store(faces)
	return faces
}

func (n *Node[V]) children() *[4]Node[V] {
	if kids := n.kids.Load(); kids != nil {
		return kids
	}
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if kids := n.kids.Load(); kids != nil {
		return kids
	}
	kids := new([4]Node[V])
	for i, id := range n.ID.Children() {
		kids[i].fill(n.tree, n, id, n.near)
	}
	n.tree.nodes.Add(4)
	n.kids.Store(kids)
	return kids
}

const (
	// fewRuns is the number of runs from which on a cell lists edges.
	fewRuns = 24
	// exactBelow is the number of edges from which on each is measured against the cell itself, not against its bounding cap.
	exactBelow = 48
)

// fill finds what is near a cell among what is near its parent.
func (n *Node[V]) fill(t *Tree[V], parent *Node[V], id s2.CellID, from []int32) {
	n.tree, n.ID = t, id
	cell := s2.CellFromCellID(id)
	bound := cell.CapBound()
	ball := Ball{bound.Center(), bound.Radius() + t.reach}
	n.runs = parent == nil || parent.runs
	if n.runs {
		n.near = t.runsNear(ball, from)
		if len(n.near) <= fewRuns {
			n.runs = false
			from = t.edgesOf(n.near)
		}
	}
	if !n.runs {
		n.near = t.edgesNear(ball, cell, from)
	}
	n.Value, n.open = t.grow(parent, n)
}

func (t *Tree[V]) runsNear(ball Ball, from []int32) (out []int32) {
	for _, r := range from {
		if t.runs[r].near(ball.Centre, ball.Radius) {
			out = append(out, r)
		}
	}
	return out
}

func (t *Tree[V]) edgesOf(runs []int32) (out []int32) {
	for _, r := range runs {
		for e := t.runs[r].first; e < t.runs[r].end; e++ {
			out = append(out, e)
		}
	}
	return out
}

func (t *Tree[V]) edgesNear(ball Ball, cell s2.Cell, from []int32) []int32 {
	limit := NewLimit(ball.Radius)
	near := make([]int32, 0, len(from))
	for _, e := range from {
		if t.edges.Near(ball.Centre, e, limit) {
			near = append(near, e)
		}
	}
	if len(near) <= exactBelow {
		kept := near[:0]
		for _, e := range near {
			if t.edges.WithinCell(cell, e, t.margin) {
				kept = append(kept, e)
			}
		}
		near = kept
	}
	if len(near) == 0 {
		return nil
	}
	return append(make([]int32, 0, len(near)), near...)
}

// Clear says that no edge comes within the margin of the cell.
func (n *Node[V]) Clear() bool { return len(n.near) == 0 }

// Few says that the node lists at most so many edges.
func (n *Node[V]) Few(most int) bool { return !n.runs && len(n.near) <= most }

// Edges calls f, until it returns false, with the edges near the node: all that come within the margin of it, and some more. The
// filter, unless nil, skips runs of edges that miss a ball.
func (n *Node[V]) Edges(filter *Ball, f func(e int32) (more bool)) {
	if !n.runs {
		for _, e := range n.near {
			if !f(e) {
				return
			}
		}
		return
	}
	for _, r := range n.near {
		run := &n.tree.runs[r]
		if filter != nil && !run.near(filter.Centre, filter.Radius) {
			continue
		}
		for e := run.first; e < run.end; e++ {
			if !f(e) {
				return
			}
		}
	}
}

// Samples calls f with one edge of every run, or with every edge where the node lists edges: enough to know which chains come near.
func (n *Node[V]) Samples(f func(e int32)) {
	for _, i := range n.near {
		if n.runs {
			i = n.tree.runs[i].first
		}
		f(i)
	}
}

// Within says whether an edge comes within the tree's margin of a cell in the node. Exact but for Slack, on the side of yes.
func (n *Node[V]) Within(cell s2.Cell) bool {
	bound := cell.CapBound()
	ball := Ball{bound.Center(), bound.Radius() + n.tree.reach}
	limit, found := NewLimit(ball.Radius), false
	n.Edges(&ball, func(e int32) bool {
		found = n.tree.edges.Near(ball.Centre, e, limit) && n.tree.edges.WithinCell(cell, e, n.tree.margin)
		return !found
	})
	return found
}

// Nearest returns the edge nearest to a point in the node and its distance, or false when none comes within the limit. The limit may
// not exceed the tree's margin.
func (n *Node[V]) Nearest(p s2.Point, limit s1.Angle) (edge int32, d s1.Angle, ok bool) {
	best := s1.ChordAngleFromAngle(limit)
	n.Edges(&Ball{p, limit}, func(e int32) bool {
		if c, less := s2.UpdateMinDistance(p, n.tree.edges[e], n.tree.edges[e+1], best); less {
			best, edge, ok = c, e, true
		}
		return true
	})
	return edge, best.Angle(), ok
}

// Size returns the number of visited nodes.
func (t *Tree[V]) Size() int64 { return t.nodes.Load() }
