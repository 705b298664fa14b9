package atlas

import "github.com/ursa-virtual/ursa/topology/earth"

// node is a compiled expression: a shape X that answers two questions about a cell, each with "certainly" or "not certain".
//
// inside(c, m): for m ≥ 0, all within m of any point of c is in X; for m < 0, every point of c is within -m of X.
// outside(c, m): the same for the complement of X. Both are monotone: certain for m is certain for less.
//
// The margin travels down to the named areas, where the data's accuracy is added once, so that buffers compose with it.
type node interface {
	inside(c *view, m earth.Metres) bool
	outside(c *view, m earth.Metres) bool
}

// everywhere is the whole Earth.
type everywhere struct{}

func (everywhere) inside(*view, earth.Metres) bool  { return true }
func (everywhere) outside(*view, earth.Metres) bool { return false }

// complement turns a shape inside out.
type complement struct{ of node }

func (n complement) inside(c *view, m earth.Metres) bool  { return n.of.outside(c, m) }
func (n complement) outside(c *view, m earth.Metres) bool { return n.of.inside(c, m) }

// meet is an intersection. A ball lies in it when it lies in all; it lies in the complement when it misses one. For a negative
// margin, being near each of two shapes does not mean being near their intersection, so the cell must lie in all.
type meet []node

func (n meet) inside(c *view, m earth.Metres) bool {
	for _, x := range n {
		if !x.inside(c, max(m, 0)) {
			return false
		}
	}
	return true
}

func (n meet) outside(c *view, m earth.Metres) bool {
	for _, x := range n {
		if x.outside(c, m) {
			return true
		}
	}
	return false
}

// join is a union, by De Morgan: a cell that only the members together cover is not found to be inside.
type join []node

func (n join) inside(c *view, m earth.Metres) bool {
	for _, x := range n {
		if x.inside(c, m) {
			return true
		}
	}
	return false
}

func (n join) outside(c *view, m earth.Metres) bool {
	for _, x := range n {
		if !x.outside(c, max(m, 0)) {
			return false
		}
	}
	return true
}

// buffer is the set of points within by of a shape or, when by is negative, those that are farther than -by from its complement.
//
// Growing by d: a ball of radius m around p is in the grown shape if the ball of radius m-d around p is in the shape (m ≥ d) or
// p is within d-m of it. Shrinking by d: the ball of radius m+d must be in the shape; for m < 0 the point must itself be in the
// shrunk shape, because being near the shape says nothing of being near what is left of it. outside is the same for the complement.
type buffer struct {
	of node
	by earth.Metres
}

func (n buffer) inside(c *view, m earth.Metres) bool {
	if n.by < 0 {
		m = max(m, 0)
	}
	return n.of.inside(c, m-n.by)
}

func (n buffer) outside(c *view, m earth.Metres) bool {
	if n.by > 0 {
		m = max(m, 0)
	}
	return n.of.outside(c, m+n.by)
}
