package atlas

import (
	"math/bits"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// countrySet is a set of indices into world.countries.
type countrySet [4]uint64

func (s *countrySet) add(i int) { s[i>>6] |= 1 << (i & 63) }

func (s *countrySet) merge(o countrySet) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s countrySet) len() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount64(b)
	}
	return n
}

// names returns the codes, sorted because world.countries is.
func (w *world) names(s countrySet) []string {
	out := make([]string, 0, s.len())
	for i := range w.countries {
		if s[i>>6]&(1<<(i&63)) != 0 {
			out = append(out, w.countries[i].Code)
		}
	}
	return out
}

// CountriesTouching returns every country, sorted by code, that some point of the cells may belong to: those whose land (by any
// claim) comes within Accuracy of a cell. It may name too many, never too few. Cells at sea name nobody: the high seas have no
// code.
func CountriesTouching(cells ...s2.CellID) []string { return CountriesWithin(Accuracy, cells...) }

// CountriesWithin is CountriesTouching with a margin of the caller's: Accuracy + TerritorialSea, say, to count territorial waters. A
// margin that is negative or no number counts as Accuracy, one above 1,000 km as that.
func CountriesWithin(margin earth.Metres, cells ...s2.CellID) []string {
	w, err := load()
	if err != nil {
		return nil
	}
	if !(margin >= 0) {
		margin = Accuracy
	}
	margin = min(margin, maxAccuracy)
	tree := w.touchTree(margin)
	var all countrySet
	for _, c := range cells {
		if c.IsValid() {
			all.merge(w.touching(tree, c, margin))
		}
	}
	return w.names(all)
}

func (w *world) touching(tree *quad.Tree[countrySet], id s2.CellID, margin earth.Metres) countrySet {
	n := tree.Find(id)
	if n.ID == id || n.Clear() {
		return n.Value
	}
	cell, limit := s2.CellFromCellID(id), quad.NewLimit(outerAngle(margin))
	s := w.claimantsAt(id.Point())
	n.Edges(&quad.Ball{Centre: cell.Center(), Radius: cell.CapBound().Radius() + outerAngle(margin)}, func(e int32) bool {
		if w.points.WithinCell(cell, e, limit) {
			s.merge(w.claimantsBeside(e))
		}
		return true
	})
	return s
}

// claimantsAt returns all who claim a point.
func (w *world) claimantsAt(p s2.Point) countrySet {
	s := w.atoms[w.atomAt(p)].countries
	w.zonesAt(p, func(z *zone) { s.merge(z.countries) })
	return s
}

// claimantsBeside returns all who claim land on either side of an edge.
func (w *world) claimantsBeside(e int32) countrySet {
	s := w.atoms[w.left[e]].countries
	s.merge(w.atoms[w.right[e]].countries)
	if z := w.zoneOf(e); z != nil {
		s.merge(z.countries)
	}
	return s
}

// touchTree returns the tree whose value is all who claim land within a margin of a cell.
func (w *world) touchTree(margin earth.Metres) *quad.Tree[countrySet] {
	return w.touches.at(margin, func() *quad.Tree[countrySet] {
		edges := append([]int32(nil), w.borders...)
		for _, rim := range w.zoneRims {
			edges = append(edges, rim...)
		}
		return quad.New(w.points, edges, quad.Config[countrySet]{
			Margin: outerAngle(margin), Floor: floor + 1,
			Grow: func(_, n *quad.Node[countrySet]) (countrySet, bool) {
				// An atom that holds any point of the cell either holds its centre too or has an edge in the cell. The edges of a run
				// have the same neighbours.
				s := w.claimantsAt(n.ID.Point())
				n.Samples(func(e int32) { s.merge(w.claimantsBeside(e)) })
				return s, !n.Clear()
			},
		})
	})
}
