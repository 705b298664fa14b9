package atlas

import (
	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// shape is a set of points with a boundary of edges, and trees that remember which edges come near a cell.
type shape struct {
	edges quad.Edges
	rim   []int32 // the edges of the boundary
	// contains says whether a point lies in the set by its lines, without any margin.
	contains func(s2.Point) bool

	trees byMargin[bool]
}

// floor is the deepest level at which answers are remembered: cells of about 2 km, less than the data's accuracy.
const floor = 12

// tree returns the tree that knows which edges come within a margin of a cell. Its value, for a cell without any, says whether the
// cell lies in the set.
func (s *shape) tree(margin earth.Metres) *quad.Tree[bool] {
	return s.trees.at(margin, func() *quad.Tree[bool] {
		return quad.New(s.edges, s.rim, quad.Config[bool]{
			Margin: outerAngle(margin), Floor: floor,
			Grow: func(_, n *quad.Node[bool]) (bool, bool) {
				if !n.Clear() {
					return false, true
				}
				return s.contains(n.ID.Point()), false
			},
		})
	})
}

// classify says where a cell lies, and Border when the boundary comes within the margin of it.
//
// Proof. If no edge of the boundary comes within an angle α of the cell, then no boundary point is nearer than α·b²/a metres (see
// outerAngle) to any point of the cell, the cell is connected and misses the boundary, so it lies on the side of its centre.
func (s *shape) classify(c *view, margin earth.Metres) Class {
	n := s.tree(margin).Find(c.id)
	in := n.Value
	if !n.Clear() {
		if n.ID == c.id || n.Within(c.body()) {
			return Border
		}
		in = s.contains(c.centre())
	}
	if in {
		return In
	}
	return Out
}

// distance returns the angle from a point to the nearest point of the set (or of its complement), 0 when it is there already, and
// false when it is beyond the limit.
func (s *shape) distance(p s2.Point, side Class, limit earth.Metres) (s1.Angle, bool) {
	if s.contains(p) == (side == In) {
		return 0, true
	}
	_, d, found := s.tree(limit).Find(s2.CellFromPoint(p).ID()).Nearest(p, outerAngle(limit))
	return d + quad.Slack, found
}

// holds says whether a cell is on one side by a margin. With a negative margin every point of the cell must come within that
// distance of the side: its centre must, by the cell's radius more.
func (s *shape) holds(side Class, c *view, margin earth.Metres) bool {
	if margin >= 0 {
		return s.classify(c, margin) == side
	}
	if s.classify(c, 0) == side {
		return true
	}
	d, found := s.distance(c.centre(), side, -margin)
	return found && mostMetres(d+c.radius()) <= -margin
}

// shapeNode is an area whose true boundary lies within accuracy of a drawn one. Where its authors disagree, low holds the points
// that are in it whoever is right, and high those that are in it if anybody is right.
type shapeNode struct {
	low, high *shape
	accuracy  earth.Metres
}

func (n shapeNode) inside(c *view, m earth.Metres) bool  { return n.low.holds(In, c, m+n.accuracy) }
func (n shapeNode) outside(c *view, m earth.Metres) bool { return n.high.holds(Out, c, m+n.accuracy) }

// capNode is the set of points within radius of a centre, along the ellipsoid.
type capNode struct {
	centre s2.Point
	radius earth.Metres
}

func (n capNode) inside(c *view, m earth.Metres) bool {
	return mostMetres(c.body().MaxDistance(n.centre).Angle()+quad.Slack)+m <= n.radius
}

func (n capNode) outside(c *view, m earth.Metres) bool {
	return leastMetres(c.body().Distance(n.centre).Angle()-quad.Slack)-m > n.radius
}
