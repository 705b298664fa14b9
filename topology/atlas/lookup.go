package atlas

import (
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Place is the jurisdiction of a point.
type Place struct {
	Country     string `json:"country"`      // ISO 3166-1 alpha-2; XK for Kosovo, ZZ where no state is agreed
	CountryName string `json:"country_name"` // in English
	Subdivision string `json:"subdivision"`  // ISO 3166-2, or in its form where ISO assigns none
	Name        string `json:"name"`         // of the subdivision
	// Claimants lists every country that claims the place, the one above first, when there is more than one.
	Claimants []string `json:"claimants,omitempty"`
	Dispute   string   `json:"dispute,omitempty"` // name of the dispute or of the enclave that the data does not draw
	// OffBy is the distance from the point to the place when the point lay in no polygon and was snapped; 0 when it lay inside.
	OffBy earth.Metres `json:"off_by_m"`
}

// SnapDistance is how far from land a point at sea may be taken for one on land. On 10,900 hosts with known country it added
// 1.7 percentage points of agreement: harbours, islets and moles that the source does not draw.
const SnapDistance earth.Metres = 20_000

// Lookup returns the jurisdiction of a point, and false at sea or for what is no position. It is exact: of the atoms that meet at
// a border, one owns each point of it.
func Lookup(p earth.LatLon) (Place, bool) {
	w, err := load()
	if err != nil || p.Validate() != nil {
		return Place{}, false
	}
	return w.lookup(p.Point())
}

// LookupNear is Lookup, but a point in no polygon is taken for the nearest land within the given distance (see SnapDistance), up to
// 1,000 km.
func LookupNear(p earth.LatLon, within earth.Metres) (Place, bool) {
	w, err := load()
	if err != nil || p.Validate() != nil {
		return Place{}, false
	}
	point := p.Point()
	if place, ok := w.lookup(point); ok {
		return place, true
	}
	return w.snap(point, within)
}

func (w *world) lookup(p s2.Point) (Place, bool) {
	n := w.atomAt(p)
	if n == 0 {
		return Place{}, false
	}
	return w.withZones(w.atoms[n].place, p), true
}

// withZones adds the claimants of the zones that hold the point.
func (w *world) withZones(place Place, p s2.Point) Place {
	w.zonesAt(p, func(z *zone) {
		claimants := place.Claimants
		if len(claimants) == 0 {
			claimants = []string{place.Country}
		}
		merged := append([]string(nil), claimants...)
		for _, c := range z.claimants {
			merged = addOnce(merged, c)
		}
		place.Claimants = merged
		if place.Dispute == "" {
			place.Dispute = z.name
		}
	})
	return place
}

func addOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// coastTree is the shape of all land, as a tree that knows its edges within a distance.
func (w *world) coastTree(within earth.Metres) *quad.Tree[bool] {
	land := w.newAtomSet()
	for i := range w.atoms[1:] {
		land.add(i + 1)
	}
	return w.sets.of(land, nil, false).tree(within)
}

// snap looks for the nearest edge of land within reach; the atom beside it is the place.
func (w *world) snap(p s2.Point, within earth.Metres) (Place, bool) {
	if !(within > 0) {
		return Place{}, false
	}
	within = min(within, maxAccuracy)
	found, d, ok := w.coastTree(within).Find(s2.CellFromPoint(p).ID()).Nearest(p, outerAngle(within))
	if !ok {
		return Place{}, false
	}
	off := leastMetres(d)
	if off > within {
		return Place{}, false
	}
	n := w.left[found]
	if n == 0 {
		n = w.right[found]
	}
	place := w.withZones(w.atoms[n].place, p)
	place.OffBy = off
	return place, true
}

// toggles is the set of atoms that hold a point. Crossing an edge leaves the atom on one side and enters the one on the other, so
// the set of any point is that of another point, with the atoms beside each edge between them toggled, in any order. In a partition
// it holds one atom or, at sea, none.
type toggles []uint16

func (t toggles) toggle(a uint16) toggles {
	if a == 0 {
		return t
	}
	for i, have := range t {
		if have == a {
			t[i] = t[len(t)-1]
			return t[:len(t)-1]
		}
	}
	return append(t, a)
}

// walk toggles what lies between two points of a node. It works in t.
func (w *world) walk(t toggles, from, to s2.Point, n *quad.Node[toggles]) toggles {
	crosser := s2.NewEdgeCrosser(from, to)
	half := from.Distance(to) / 2
	between := quad.Ball{Centre: s2.Point{Vector: from.Add(to.Vector).Normalize()}, Radius: half + quad.Slack}
	n.Edges(&between, func(e int32) bool {
		if crosser.EdgeOrVertexCrossing(w.points[e], w.points[e+1]) {
			t = t.toggle(w.left[e]).toggle(w.right[e])
		}
		return true
	})
	return t
}

// few is the number of edges that are quicker to walk across than to divide.
const few = 6

// growPlace finds the atoms at a cell's centre, from its parent's.
func (w *world) growPlace(parent, n *quad.Node[toggles]) (toggles, bool) {
	if parent == nil {
		return toggles(nil).toggle(uint16(w.faceAtoms[n.ID.Face()])), true
	}
	var scratch [32]uint16
	t := w.walk(append(scratch[:0], parent.Value...), parent.ID.Point(), n.ID.Point(), parent)
	return append(toggles(nil), t...), !n.Few(few)
}

// atomAt returns the atom that holds a point, 0 at sea. Were there two, the lower number would count.
func (w *world) atomAt(p s2.Point) int {
	n := w.place.Find(s2.CellFromPoint(p).ID())
	t := n.Value
	if !n.Clear() {
		var scratch [32]uint16
		t = w.walk(append(scratch[:0], t...), n.ID.Point(), p, n)
	}
	best := 0
	for _, a := range t {
		if best == 0 || int(a) < best {
			best = int(a)
		}
	}
	return best
}
