package atlas

import (
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// TerritorialSea is the breadth of the territorial sea: 12 nautical miles (UNCLOS, article 3).
const TerritorialSea earth.Metres = 12 * 1852

// NeutralReach is how far from the region's own land the sea is neutral: 200 nautical miles, the breadth of the exclusive economic
// zone (UNCLOS, article 57).
const NeutralReach earth.Metres = 200 * 1852

// coast is a named area by the sea.
type coast struct {
	land  shapeNode
	own   *shape // the land that is the area's whoever is right; zones count, for they are cut by others
	other *shape // all other land, and the zones where somebody else's claim would take a place out
	alien *shape // the land that is not the area's whoever is right
	reach *quad.Tree[bool]
}

func coastOf(w *world, r reading, land shapeNode) coast {
	rest := func(of atomSet) atomSet {
		out := w.newAtomSet()
		for i := range w.atoms[1:] {
			if !of.has(i + 1) {
				out.add(i + 1)
			}
		}
		return out
	}
	c := coast{
		land:  land,
		own:   &w.sets.of(r.low, nil, false).shape,
		other: &w.sets.of(rest(r.low), r.cut, true).shape,
		alien: &w.sets.of(rest(r.high), r.added, false).shape,
	}
	c.reach = c.own.reachTree(NeutralReach)
	return c
}

// reachTree returns a tree whose value says that all of a cell lies within a distance of the shape.
func (s *shape) reachTree(d earth.Metres) *quad.Tree[bool] {
	return quad.New(s.edges, s.rim, quad.Config[bool]{
		Margin: outerAngle(d), Floor: reachFloor,
		Grow: func(_, n *quad.Node[bool]) (bool, bool) {
			bound := s2.CellFromCellID(n.ID).CapBound()
			if n.Clear() {
				return s.contains(bound.Center()), false
			}
			room := innerAngle(d) - bound.Radius() - 2*quad.Slack
			if room <= 0 {
				return false, true
			}
			limit, within := quad.NewLimit(room), false
			n.Edges(&quad.Ball{Centre: bound.Center(), Radius: room}, func(e int32) bool {
				within = s.edges.Near(bound.Center(), e, limit)
				return !within
			})
			return within, !within
		},
	})
}

// reachFloor is the deepest level at which reach is asked: cells of 35 km, a tenth of the distance.
const reachFloor = 8

// territorialNode gives a named area the sea within 12 nautical miles of its land, as far as that is nearer than any other land
// (UNCLOS, article 15, where no treaty says otherwise).
type territorialNode struct{ coast }

// inside holds if, for every point of the cell and m around it, some own land is within 12 nautical miles less the accuracy, and all
// other land is farther than that by twice the accuracy, for either line may be off by one.
func (n territorialNode) inside(c *view, m earth.Metres) bool {
	if n.land.inside(c, m) {
		return true
	}
	m = max(m, 0)
	d, found := n.own.distance(c.centre(), In, TerritorialSea)
	own := mostMetres(d+c.radius()) + m
	if !found || own > TerritorialSea-n.land.accuracy {
		return false
	}
	const look = 3 * TerritorialSea
	d, found = n.other.distance(c.centre(), In, look)
	if !found {
		d = outerAngle(look)
	}
	return leastMetres(d-c.radius()-quad.Slack)-m > own+2*n.land.accuracy
}

// outside holds if no land that may be the area's is within 12 nautical miles and the accuracy, or if the cell lies in land that is
// certainly another's. Which of two coasts is nearer is not used against the area.
func (n territorialNode) outside(c *view, m earth.Metres) bool {
	m = max(m, 0)
	return n.land.outside(c, m+TerritorialSea) || n.alien.classify(c, m+n.land.accuracy) == In
}

// neutralNode counts the sea within 200 nautical miles of the area's land neither for nor against it: such a cell is inside unless
// other land is in it or within the accuracy of it, and outside as on land. A cell of sea is both.
type neutralNode struct{ coast }

func (n neutralNode) inside(c *view, m earth.Metres) bool {
	if n.land.inside(c, m) {
		return true
	}
	m = max(m, 0)
	return n.other.classify(c, m+n.land.accuracy) == Out && n.reach.Find(c.id).Value
}

func (n neutralNode) outside(c *view, m earth.Metres) bool { return n.land.outside(c, m) }
