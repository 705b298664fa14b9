package atlas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// The slow twins: the atlas by brute force over every edge of the world, without trees, runs or caches.

func mustLoad(t testing.TB) *world {
	t.Helper()
	w, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// slowAtoms walks from a reference point to p across all edges of the partition and returns the atoms that hold p.
func slowAtoms(w *world, reference, p s2.Point) []int {
	odd := map[int]bool{}
	crosser := s2.NewEdgeCrosser(reference, p)
	for _, e := range w.borders {
		if crosser.EdgeOrVertexCrossing(w.points[e], w.points[e+1]) {
			odd[int(w.left[e])] = !odd[int(w.left[e])]
			odd[int(w.right[e])] = !odd[int(w.right[e])]
		}
	}
	var out []int
	for a, in := range odd {
		if in && a != 0 {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}

func first(atoms []int) int {
	if len(atoms) == 0 {
		return 0
	}
	return atoms[0]
}

// hardPoints are vertices of the atlas, middles of its edges, points a metre from either, and points anywhere.
func hardPoints(w *world, r *rand.Rand, n int) []s2.Point {
	var out []s2.Point
	for i := range n {
		e := w.borders[r.IntN(len(w.borders))]
		a, b := w.points[e], w.points[e+1]
		middle := s2.Interpolate(r.Float64(), a, b)
		switch i % 5 {
		case 0:
			out = append(out, a)
		case 1:
			out = append(out, middle)
		case 2:
			out = append(out, jump(r, a, 1/6.4e6))
		case 3:
			out = append(out, jump(r, middle, 1e-3))
		default:
			out = append(out, jump(r, a, math.Pi*r.Float64()))
		}
	}
	return out
}

// jump moves a point by an angle in a random direction.
func jump(r *rand.Rand, p s2.Point, by float64) s2.Point {
	towards := s2.Point{Vector: p.Ortho()}
	towards = s2.Rotate(towards, p, s1.Angle(2*math.Pi*r.Float64()))
	return s2.InterpolateAtDistance(s1.Angle(by), p, towards)
}

func TestLookupAgainstEveryEdge(t *testing.T) {
	const seed = 7
	w := mustLoad(t)
	r := rand.New(rand.NewPCG(seed, 0))
	pole, gulf := earth.LatLon{Lat: 90}.Point(), earth.LatLon{}.Point() // both at sea
	slivers := 0
	for i, p := range hardPoints(w, r, 60) {
		all := slowAtoms(w, pole, p)
		want := first(all)
		if got := w.atomAt(p); got != want {
			t.Errorf("seed %d, point %d at %v: atom %d, by every edge %d", seed, i, earth.LatLonOf(p), got, want)
		}
		if i%10 == 0 {
			if other := first(slowAtoms(w, gulf, p)); other != want {
				t.Errorf("seed %d, point %d at %v: atom %d from the pole, %d from the gulf of Guinea", seed, i, earth.LatLonOf(p), want, other)
			}
		}
		if len(all) > 1 {
			slivers++
		}
	}
	if slivers > 0 {
		t.Errorf("seed %d: %d of 60 points lie in two atoms: the atlas is no partition", seed, slivers)
	}
}

// A point on a border belongs to one of the atoms that meet there.
func TestBordersAreOwned(t *testing.T) {
	w := mustLoad(t)
	r := rand.New(rand.NewPCG(8, 0))
	for range 3000 {
		e := w.borders[r.IntN(len(w.borders))]
		for _, p := range []s2.Point{w.points[e], s2.Interpolate(0.5, w.points[e], w.points[e+1])} {
			got := w.atomAt(p)
			if beside := got == int(w.left[e]) || got == int(w.right[e]); !beside && !touchesVertex(w, p, got) {
				t.Fatalf("%v on the edge between atoms %d and %d belongs to %d", earth.LatLonOf(p), w.left[e], w.right[e], got)
			}
		}
	}
}

// touchesVertex says whether some edge of an atom ends at a vertex.
func touchesVertex(w *world, p s2.Point, atom int) bool {
	for _, e := range w.borders {
		if (w.points[e] == p || w.points[e+1] == p) && (atom == 0 || int(w.left[e]) == atom || int(w.right[e]) == atom) {
			return true
		}
	}
	return false
}

// slowHolds reads an expression at a point from what Lookup says of it, claimant by claimant. It knows names, +, & and minus.
func slowHolds(w *world, e expr, p s2.Point) (all, any bool) {
	claims := []claim{seaClaim}
	if n := w.atomAt(p); n != 0 {
		claims = slices.Clone(w.atoms[n].claims)
	}
	w.zonesAt(p, func(z *zone) {
		for _, c := range z.claimants {
			claims = append(claims, claim{country: c})
		}
	})
	all = true
	for _, c := range claims {
		in := slowHeld(e, c)
		all, any = all && in, any || in
	}
	return all, any
}

func slowHeld(e expr, c claim) bool {
	switch e := e.(type) {
	case nameExpr:
		if e.name == c.country || e.name == c.sub || e.name == "*" || e.name == "LAND" && c.country != "SEA" {
			return true
		}
		for _, u := range Unions() {
			if u.Name == e.name && slices.Contains(u.Members, c.country) {
				return true
			}
		}
		return false
	case unionExpr:
		return slices.ContainsFunc(e.list, func(x expr) bool { return slowHeld(x, c) })
	case meetExpr:
		return !slices.ContainsFunc(e.list, func(x expr) bool { return !slowHeld(x, c) })
	case minusExpr:
		return slowHeld(e.from, c) && !slowHeld(e.what, c)
	}
	panic("not an expression of names")
}

// inCell returns a random point of a cell, often on its rim.
func inCell(r *rand.Rand, id s2.CellID) s2.Point {
	cell := s2.CellFromCellID(id)
	switch r.IntN(4) {
	case 0:
		return cell.Vertex(r.IntN(4))
	case 1:
		k := r.IntN(4)
		return s2.Interpolate(r.Float64(), cell.Vertex(k), cell.Vertex((k+1)&3))
	}
	across := r.Float64()
	return s2.Interpolate(r.Float64(), s2.Interpolate(across, cell.Vertex(0), cell.Vertex(1)), s2.Interpolate(across, cell.Vertex(3), cell.Vertex(2)))
}

// randomCells returns cells of all sizes around the borders of an expression's places.
func randomCells(w *world, r *rand.Rand, s *shape, n int) []s2.CellID {
	var out []s2.CellID
	for range n {
		p := s.edges[s.rim[r.IntN(len(s.rim))]]
		p = jump(r, p, math.Pow(10, -4+3*r.Float64())) // 600 m to 600 km away
		out = append(out, s2.CellFromPoint(p).ID().Parent(3+r.IntN(16)))
	}
	return out
}

// judge compares a class with samples of a cell. Every point within the accuracy of a sample must agree with it.
func judge(w *world, r *rand.Rand, e expr, id s2.CellID, class Class, accuracy earth.Metres) error {
	for range 12 {
		p := inCell(r, id)
		q := jump(r, p, innerAngle(accuracy).Radians()*0.999*math.Sqrt(r.Float64()))
		for _, x := range []s2.Point{p, q} {
			all, any := slowHolds(w, e, x)
			if class == In && !all {
				return fmt.Errorf("cell %v of level %d is In, but %v is not held", id.ToToken(), id.Level(), earth.LatLonOf(x))
			}
			if class == Out && any {
				return fmt.Errorf("cell %v of level %d is Out, but %v is held", id.ToToken(), id.Level(), earth.LatLonOf(x))
			}
		}
	}
	return nil
}

var twinExpressions = []string{
	"EU27+EEA+CH+GB", "US minus US-HI", "ZA", "UA+RU", "UA", "EG+SD", "EG", "CY", "NL+BE", "RU", "FJ", "AQ", "XK+RS", "* minus RU", "LAND minus (CN+TW)", "MA+EH",
}

// classAgainstSamples runs the twin with regions of one accuracy that promise another, and returns the first lie and the counts of
// classes.
func classAgainstSamples(t *testing.T, seed uint64, told, promised earth.Metres) (seen map[Class]int, lie error) {
	w := mustLoad(t)
	seen = map[Class]int{}
	for i, text := range twinExpressions {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		region, err := Parse(text, Options{Accuracy: told})
		if err != nil {
			t.Fatal(err)
		}
		n := region.root.(shapeNode)
		for _, id := range append(randomCells(w, r, n.low, 25), randomCells(w, r, n.high, 25)...) {
			class := region.Class(id)
			seen[class]++
			if err := judge(w, r, region.expr, id, class, promised); err != nil && lie == nil {
				lie = fmt.Errorf("seed %d, %s: %w", seed, text, err)
			}
		}
	}
	return seen, lie
}

func TestClassAgainstSamples(t *testing.T) {
	for seed := range uint64(2) {
		seen, lie := classAgainstSamples(t, seed, Accuracy, Accuracy)
		if lie != nil {
			t.Error(lie)
		}
		if seen[In] < 50 || seen[Out] < 50 || seen[Border] < 50 {
			t.Errorf("seed %d: the cases are not hard enough: %v", seed, seen)
		}
	}
}

// The test above can fail: a region that keeps a tenth of the distance it promises is caught.
func TestClassTwinCatchesAThinMargin(t *testing.T) {
	if _, lie := classAgainstSamples(t, 0, Accuracy/10, Accuracy); lie == nil {
		t.Error("a region with a tenth of the accuracy was not caught")
	}
}

// Small cells far from every border must not be Border: a sound answer that is never given would be of no use.
func TestClassIsTight(t *testing.T) {
	w := mustLoad(t)
	region, err := Parse("DE", Options{})
	if err != nil {
		t.Fatal(err)
	}
	low := region.root.(shapeNode).low
	r := rand.New(rand.NewPCG(9, 0))
	checked := 0
	for _, id := range randomCells(w, r, low, 300) {
		id = id.Parent(min(id.Level(), 15))
		if id.Level() < 12 {
			continue
		}
		cell := s2.CellFromCellID(id)
		least := s1.InfChordAngle()
		for _, e := range low.rim {
			least, _ = s2.UpdateMinDistance(cell.Center(), w.points[e], w.points[e+1], least)
		}
		far := leastMetres(least.Angle()-cell.CapBound().Radius()) > Accuracy*1.02
		if far {
			checked++
		}
		if got := region.Class(id); far && got == Border {
			t.Errorf("cell %v is more than the accuracy from Germany's border, and Border", id.ToToken())
		}
	}
	if checked < 50 {
		t.Errorf("only %d cells were far enough", checked)
	}
}

// Answers do not depend on who asked before: a fresh atlas, asked in another order by many, says the same.
func TestClassIsDeterministic(t *testing.T) {
	const text = "EU27 & cap(48.2,16.4,900km)+territorial(GB)"
	one, err := Parse(text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(10, 0))
	var cells []s2.CellID
	for range 400 {
		p := earth.LatLon{Lat: 40 + 20*r.Float64(), Lon: -10 + 40*r.Float64()}.Point()
		cells = append(cells, s2.CellFromPoint(p).ID().Parent(4+r.IntN(12)))
	}
	want := make([]Class, len(cells))
	for i, id := range cells {
		want[i] = one.Class(id)
	}
	fresh := freshWorld(t)
	e, err := parse(fresh, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	two := &Region{w: fresh, expr: e, root: fresh.compile(e, Options{Accuracy: Accuracy})}
	done := make(chan error)
	for k := range 4 {
		go func() {
			for i := len(cells) - 1; i >= 0; i-- {
				j := (i*7 + k*100) % len(cells)
				if got := two.Class(cells[j]); got != want[j] {
					done <- fmt.Errorf("cell %v: %v, then %v", cells[j].ToToken(), want[j], got)
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Angles err on the safe side at every latitude and in every direction. A chord is shorter than the way along the ellipsoid, by less
// than d³/24R².
func TestAnglesErrOutward(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	tight := 0
	for range 5000 {
		p := earth.LatLon{Lat: 180*r.Float64() - 90, Lon: 360*r.Float64() - 180}
		if r.IntN(3) == 0 {
			p.Lat = math.Round(p.Lat/90) * 90 // the poles and the equator are the extremes
		}
		d := earth.Metres(math.Pow(10, 2+3.5*r.Float64()))
		far := earth.LatLonOf(jump(r, p.Point(), outerAngle(d).Radians()))
		near := earth.LatLonOf(jump(r, p.Point(), innerAngle(d).Radians()))
		curve := d * d * d / 24 / earth.SemiMinor / earth.SemiMinor * 1.05
		if got := earth.Chord(p.ECEF(0), far.ECEF(0)); got < d-curve-1e-3 {
			t.Fatalf("normals %v apart from %v: places %v m apart, want at least %v", outerAngle(d), p, float64(got), float64(d))
		} else if got < d*1.001 {
			tight++
		}
		if got := earth.Chord(p.ECEF(0), near.ECEF(0)); got > d+1e-3 {
			t.Fatalf("normals %v apart from %v: places %v m apart, want at most %v", innerAngle(d), p, float64(got), float64(d))
		} else if got > d*0.999 {
			tight++
		}
	}
	if tight < 100 {
		t.Errorf("only %d cases were close: a wrong radius would not be seen", tight)
	}
}
