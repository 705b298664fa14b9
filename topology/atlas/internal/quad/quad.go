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

// Slack is added to every angle before it is compared, in radians: a hundred times the error that S2 states for its point-to-edge
// distances (1.2e-15 near zero, 1e-14 below a right angle) and less than a hundredth of a millimetre on the ground.
const Slack = 1e-12

// Edges are chains of vertices: edge i runs from Points[i] to Points[i+1].
type Edges []s2.Point

// Near says whether edge i comes within limit of the point x. It may err towards yes, by Slack.
func (e Edges) Near(x s2.Point, i int32, limit Limit) bool {
	a, b := e[i], e[i+1]
	xa := x.Sub(a.Vector).Norm2()
	if xa <= limit.near2 {
		return true
	}
	// Chords obey the triangle inequality: no point of the edge is closer than |xa| - |ab|. Squared, without a root:
	// |xa| > |ab| + limit holds when |xa|² > 2(|ab|² + limit²).
	ab := a.Sub(b.Vector).Norm2()
	if xa > 2.000001*(ab+limit.near2) {
		return false
	}
	return s2.IsDistanceLess(x, a, b, limit.chord)
}

// Limit is an angle, prepared for comparing distances with it.
type Limit struct {
	chord s1.ChordAngle
	near2 float64
}

// NewLimit prepares an angle, rounded up by Slack.
func NewLimit(a s1.Angle) Limit {
	c := s1.ChordAngleFromAngle(min(a+Slack, s1.Angle(3.14159265))).Successor()
	return Limit{c, float64(c)}
}

// WithinCell says whether edge i comes within limit of the cell. Exact but for Slack.
func (e Edges) WithinCell(cell s2.Cell, i int32, limit Limit) bool {
	return cell.DistanceToEdge(e[i], e[i+1]) <= limit.chord
}

// Tree hands out edges by cell and keeps a value of its user for every cell that it has visited.
type Tree[V any] struct {
	edges  Edges
	margin s1.Angle
	floor  int
	grow   func(parent *Node[V], id s2.CellID, near []int32) (V, bool)

	root  atomic.Pointer[[6]Node[V]]
	mu    sync.Mutex
	nodes atomic.Int64
	limit int64
	all   []int32
}

// Node is a visited cell.
type Node[V any] struct {
	ID    s2.CellID
	Value V
	// Near lists the edges within the margin of the cell, and perhaps a few more.
	Near []int32
	open bool // worth dividing
	kids atomic.Pointer[[4]Node[V]]
}

// Config says how a tree grows.
type Config[V any] struct {
	Margin s1.Angle
	Floor  int   // deepest level of a node
	Limit  int64 // number of nodes after which the tree is dropped and grown anew; 0 for a million
	// Grow computes the value of a cell from the edges near it and its parent (nil for a face), and whether its children could have
	// other values. It must depend on nothing else.
	Grow func(parent *Node[V], id s2.CellID, near []int32) (value V, divide bool)
}

// New returns a tree over some of the edges.
func New[V any](edges Edges, some []int32, c Config[V]) *Tree[V] {
	if c.Limit == 0 {
		c.Limit = 1 << 20
	}
	return &Tree[V]{edges: edges, all: some, margin: c.Margin, floor: c.Floor, grow: c.Grow, limit: c.Limit}
}

// Find returns the deepest node that contains the cell, dividing on the way: either the cell's own, or an ancestor that is not
// worth dividing.
func (t *Tree[V]) Find(id s2.CellID) *Node[V] {
	n := &t.faces()[id.Face()]
	level := min(id.Level(), t.floor)
	for l := 1; l <= level && n.open; l++ {
		kids := n.kids.Load()
		if kids == nil {
			kids = t.divide(n)
		}
		n = &kids[id.ChildPosition(l)]
	}
	return n
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
	faces := new([6]Node[V])
	for i := range faces {
		t.fill(nil, &faces[i], s2.CellIDFromFace(i), t.all)
	}
	t.nodes.Store(6)
	t.root.Store(faces)
	return faces
}

// Children returns the four children of a node, or nil when it is not worth dividing.
func (t *Tree[V]) Children(n *Node[V]) *[4]Node[V] {
	if !n.open || n.ID.Level() >= t.floor {
		return nil
	}
	if kids := n.kids.Load(); kids != nil {
		return kids
	}
	return t.divide(n)
}

func (t *Tree[V]) divide(n *Node[V]) *[4]Node[V] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kids := n.kids.Load(); kids != nil {
		return kids
	}
	kids := new([4]Node[V])
	for i, id := range n.ID.Children() {
		t.fill(n, &kids[i], id, n.Near)
	}
	t.nodes.Add(4)
	n.kids.Store(kids)
	return kids
}

// exactBelow is the length of a list from which on every edge is measured against the cell itself, not against its bounding cap.
const exactBelow = 48

func (t *Tree[V]) fill(parent, n *Node[V], id s2.CellID, from []int32) {
	cell := s2.CellFromCellID(id)
	bound := cell.CapBound()
	centre, reach := bound.Center(), NewLimit(bound.Radius()+t.margin)
	n.ID = id
	near := make([]int32, 0, len(from)/3)
	for _, e := range from {
		if t.edges.Near(centre, e, reach) {
			near = append(near, e)
		}
	}
	if len(near) <= exactBelow {
		limit, kept := NewLimit(t.margin), near[:0]
		for _, e := range near {
			if t.edges.WithinCell(cell, e, limit) {
				kept = append(kept, e)
			}
		}
		near = kept
	}
	n.Near = append([]int32(nil), near...)
	n.Value, n.open = t.grow(parent, id, n.Near)
}
