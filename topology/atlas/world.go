package atlas

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

//go:generate go run ./gen -source $URSA_ADMIN1 -out world.atlas

//go:embed world.atlas
var embedded []byte

// world is the atlas in memory: 21 MB made at the first question, and up to 60 MB more as points everywhere are looked up.
type world struct {
	version   string
	countries []wire.Country
	atoms     []atom // atoms[0] is the sea

	points      quad.Edges // edge i runs from points[i] to points[i+1]
	left, right []uint16   // atoms beside edge i; zero beside the last vertex of an arc and beside a zone's rim
	borders     []int32    // the edges of the partition
	faceAtoms   [6]int
	zones       []zone
	zoneRims    [][]int32 // the edges of each zone's rim
	firstRim    int32     // edges from here on are rims

	byCountry map[string][]int // atoms by the country that the atlas draws them in
	bySub     map[string][]int // atoms by subdivision code
	number    map[string]int   // index into countries

	place   *quad.Tree[toggles]
	touches byMargin[countrySet]
	sets    setCache
}

// atom is a piece of land with everyone who claims it; the first claim is the one by which Lookup names it.
type atom struct {
	code, name string
	claims     []claim
	dispute    string
	countries  countrySet // of the claims
	place      Place
}

// claim is one answer to the question whose land an atom is. A claimant other than the first may use a code of its own for the
// place, which the atlas does not know.
type claim struct{ country, sub string }

// load decodes the embedded atlas once. It cannot fail unless the binary is damaged, which every question then reports.
var load = sync.OnceValues(func() (*world, error) {
	f, err := wire.Decode(embedded)
	if err != nil {
		return nil, fmt.Errorf("atlas: the embedded data is damaged: %w", err)
	}
	return newWorld(f)
})

func newWorld(f *wire.File) (*world, error) {
	w := &world{countries: f.Countries, faceAtoms: f.FaceAtoms}
	if len(f.Atoms) >= 1<<16 {
		return nil, fmt.Errorf("atlas: %d atoms do not fit 16 bits", len(f.Atoms))
	}
	w.version = fmt.Sprintf("%s, simplified by %d m, %d steps per degree", f.Source, f.ToleranceMM/1000, f.Quantum)
	w.drawArcs(f)
	if err := w.nameAtoms(f); err != nil {
		return nil, err
	}
	w.drawZones()
	w.place = quad.New(w.points, w.borders, quad.Config[toggles]{Floor: 20, Limit: 1 << 19, Grow: w.growPlace})
	w.sets.w = w
	return w, nil
}

func (w *world) drawArcs(f *wire.File) {
	total := 0
	for _, a := range f.Arcs {
		total += len(a.Line)
	}
	const room = 4096 // for the zones' rims
	w.points = make(quad.Edges, 0, total+room)
	w.left, w.right = make([]uint16, 0, total+room), make([]uint16, 0, total+room)
	w.borders = make([]int32, 0, total-len(f.Arcs))
	for _, a := range f.Arcs {
		for i, v := range a.Line {
			l, r := uint16(0), uint16(0)
			if i+1 < len(a.Line) {
				l, r = uint16(a.Left), uint16(a.Right)
				w.borders = append(w.borders, int32(len(w.points)))
			}
			w.points = append(w.points, pointOf(v, float64(f.Quantum)))
			w.left, w.right = append(w.left, l), append(w.right, r)
		}
	}
}

func pointOf(v wire.Vertex, quantum float64) s2.Point {
	return s2.PointFromLatLng(s2.LatLngFromDegrees(float64(v.Lat)/quantum, float64(v.Lon)/quantum))
}

func (w *world) nameAtoms(f *wire.File) error {
	w.atoms = make([]atom, 1, len(f.Atoms)+1)
	w.byCountry, w.bySub, w.number = map[string][]int{}, map[string][]int{}, map[string]int{}
	for i, c := range f.Countries {
		w.number[c.Code] = i
	}
	for _, a := range f.Atoms {
		country := f.Countries[a.Country]
		n := len(w.atoms)
		w.byCountry[country.Code] = append(w.byCountry[country.Code], n)
		w.bySub[a.Code] = append(w.bySub[a.Code], n)
		w.atoms = append(w.atoms, atom{code: a.Code, name: a.Name, claims: []claim{{country.Code, a.Code}}})
	}
	if err := w.checkClaims(); err != nil {
		return err
	}
	for _, d := range disputes {
		for _, n := range w.atomsOf(d.where) {
			w.atoms[n].enter(d)
		}
	}
	for i := range w.atoms[1:] {
		a := &w.atoms[i+1]
		first := a.claims[0]
		for _, c := range a.claims {
			a.countries.add(w.number[c.country])
		}
		a.place = Place{Country: first.country, Subdivision: a.code, Name: a.name, Dispute: a.dispute}
		if c, ok := w.number[first.country]; ok {
			a.place.CountryName = w.countries[c].Name
		}
		if len(a.claims) > 1 {
			for _, c := range a.claims {
				a.place.Claimants = append(a.place.Claimants, c.country)
			}
		}
	}
	return nil
}

// checkClaims refuses tables that name what the atlas has not: a misspelt code would silently claim nothing.
func (w *world) checkClaims() error {
	known := func(name string, codes []string) error {
		for _, c := range codes {
			if _, ok := w.number[c]; !ok {
				return fmt.Errorf("atlas: %s: %q is no country", name, c)
			}
		}
		return nil
	}
	for _, d := range disputes {
		if err := known(d.name, d.claimants); err != nil {
			return err
		}
		for _, c := range d.where {
			if len(w.atomsOf([]string{c})) == 0 {
				return fmt.Errorf("atlas: %s: %q is no place", d.name, c)
			}
		}
	}
	for _, z := range zones {
		if err := known(z.name, z.claimants); err != nil {
			return err
		}
	}
	return nil
}

// atomsOf returns the atoms of a space-separated list of country and subdivision codes.
func (w *world) atomsOf(codes []string) []int {
	var out []int
	for _, c := range codes {
		out = append(out, w.byCountry[c]...)
		out = append(out, w.bySub[c]...)
	}
	return out
}
