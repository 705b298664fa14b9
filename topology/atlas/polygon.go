package atlas

import (
	"fmt"
	"math"
	"math/big"
	"sort"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// segment is an edge of a ring.
type segment struct {
	ring, index int
	a, b        earth.LatLon
	last        int // index of the ring's last edge
}

// check validates a polygon and computes its bounding box.
func (p *polygon) check() error {
	p.low, p.high = p.rings[0][0], p.rings[0][0]
	var all []segment
	for i, ring := range p.rings {
		for j := 1; j < len(ring); j++ {
			v := ring[j]
			p.low.Lat, p.low.Lon = math.Min(p.low.Lat, v.Lat), math.Min(p.low.Lon, v.Lon)
			p.high.Lat, p.high.Lon = math.Max(p.high.Lat, v.Lat), math.Max(p.high.Lon, v.Lon)
			all = append(all, segment{i, j - 1, ring[j-1], v, len(ring) - 2})
		}
	}
	if err := p.checkCrossings(all); err != nil {
		return err
	}
	if a := solidAngle(p.rings[0]); a > 2*math.Pi {
		return fmt.Errorf("%w: %sits shell encloses %.0f %% of the Earth: divide it", ErrHemisphere, p.where, 100*a/(4*math.Pi))
	}
	for i, hole := range p.rings[1:] {
		if err := p.checkHole(i+1, hole); err != nil {
			return err
		}
	}
	return nil
}

// checkHole wants a hole to lie in the shell and in no other hole. Rings do not cross, so one corner that is on neither's line tells.
func (p *polygon) checkHole(i int, hole []earth.LatLon) error {
	for j, other := range p.rings {
		if j == i {
			continue
		}
		for _, v := range hole {
			if onRing(other, v) {
				continue
			}
			if in := inRing(other, v); in != (j == 0) {
				return fmt.Errorf("%w: %sring %d at %s lies %s ring %d", ErrHole, p.where, i, show(v), map[bool]string{true: "in", false: "outside"}[in], j)
			}
			break
		}
	}
	return nil
}

// checkCrossings sweeps the edges from west to east. Edges of one ring may share only the corner between neighbours; edges of
// different rings may touch at points.
func (p *polygon) checkCrossings(all []segment) error {
	west := func(s segment) float64 { return math.Min(s.a.Lon, s.b.Lon) }
	east := func(s segment) float64 { return math.Max(s.a.Lon, s.b.Lon) }
	sort.SliceStable(all, func(i, j int) bool { return west(all[i]) < west(all[j]) })
	var open []segment
	for _, s := range all {
		kept := open[:0]
		for _, o := range open {
			if east(o) < west(s) {
				continue
			}
			kept = append(kept, o)
			if math.Max(o.a.Lat, o.b.Lat) < math.Min(s.a.Lat, s.b.Lat) || math.Min(o.a.Lat, o.b.Lat) > math.Max(s.a.Lat, s.b.Lat) {
				continue
			}
			if what := clash(o, s); what != "" {
				return fmt.Errorf("%w: %sring %d from position %d (%s to %s) %s ring %d from position %d (%s to %s)", ErrCrossing, p.where,
					o.ring, o.index, show(o.a), show(o.b), what, s.ring, s.index, show(s.a), show(s.b))
			}
		}
		open = append(kept, s)
	}
	return nil
}

// clash says how two edges break the rules, or nothing.
func clash(o, s segment) string {
	abc, abd := turn(o.a, o.b, s.a), turn(o.a, o.b, s.b)
	cda, cdb := turn(s.a, s.b, o.a), turn(s.a, s.b, o.b)
	if abc*abd < 0 && cda*cdb < 0 {
		return "crosses"
	}
	if abc == 0 && abd == 0 && overlap(o, s) {
		return "runs along"
	}
	if o.ring != s.ring || neighbours(o, s) {
		return ""
	}
	if abc == 0 && between(o, s.a) || abd == 0 && between(o, s.b) || cda == 0 && between(s, o.a) || cdb == 0 && between(s, o.b) {
		return "touches"
	}
	return ""
}

func neighbours(o, s segment) bool {
	d := o.index - s.index
	return d == 1 || d == -1 || d == o.last || d == -o.last
}

// between says whether a point on the line of a segment is on the segment.
func between(s segment, v earth.LatLon) bool {
	return v.Lon >= math.Min(s.a.Lon, s.b.Lon) && v.Lon <= math.Max(s.a.Lon, s.b.Lon) &&
		v.Lat >= math.Min(s.a.Lat, s.b.Lat) && v.Lat <= math.Max(s.a.Lat, s.b.Lat)
}

// overlap says whether two segments of one line share more than a point.
func overlap(o, s segment) bool {
	shared := map[earth.LatLon]bool{}
	for _, v := range []earth.LatLon{o.a, o.b} {
		shared[v] = shared[v] || between(s, v)
	}
	for _, v := range []earth.LatLon{s.a, s.b} {
		shared[v] = shared[v] || between(o, v)
	}
	n := 0
	for _, in := range shared {
		if in {
			n++
		}
	}
	return n > 1
}

// turn is the sign of the area of the triangle abc: positive to the left. It is exact: floating point first, with the error bound of
// Shewchuk (1997), rational arithmetic where that does not decide.
func turn(a, b, c earth.LatLon) int {
	if a == b || b == c || a == c {
		return 0
	}
	left, right := (a.Lon-c.Lon)*(b.Lat-c.Lat), (a.Lat-c.Lat)*(b.Lon-c.Lon)
	d := left - right
	if bound := 3.3306690738754716e-16 * (math.Abs(left) + math.Abs(right)); d > bound || -d > bound {
		if d > 0 {
			return 1
		}
		return -1
	}
	rat := func(f float64) *big.Rat { return new(big.Rat).SetFloat64(f) }
	diff := func(x, y float64) *big.Rat { return new(big.Rat).Sub(rat(x), rat(y)) }
	l := new(big.Rat).Mul(diff(a.Lon, c.Lon), diff(b.Lat, c.Lat))
	r := new(big.Rat).Mul(diff(a.Lat, c.Lat), diff(b.Lon, c.Lon))
	return l.Cmp(r)
}

// onRing says whether a point lies on a ring's line.
func onRing(ring []earth.LatLon, v earth.LatLon) bool {
	for i := 1; i < len(ring); i++ {
		s := segment{a: ring[i-1], b: ring[i]}
		if between(s, v) && turn(s.a, s.b, v) == 0 {
			return true
		}
	}
	return false
}

// inRing is the even-odd rule in the plane of longitude and latitude, exact by turn.
func inRing(ring []earth.LatLon, v earth.LatLon) bool {
	in := false
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		if (a.Lat > v.Lat) == (b.Lat > v.Lat) {
			continue
		}
		if t := turn(a, b, v); (t > 0) == (b.Lat > a.Lat) && t != 0 {
			in = !in
		}
	}
	return in
}

// contains says whether a position lies in the polygon.
func (p *polygon) contains(v earth.LatLon) bool {
	if !between(segment{a: p.low, b: p.high}, v) {
		return false
	}
	in := false
	for _, ring := range p.rings {
		in = in != inRing(ring, v)
	}
	return in
}

// solidAngle returns the area that a ring encloses in the plane of longitude and latitude, in steradians: the integral of sin φ dλ
// along it, which has a closed form on a straight edge.
func solidAngle(ring []earth.LatLon) float64 {
	const rad = math.Pi / 180
	sum := 0.0
	for i := 1; i < len(ring); i++ {
		p, q := ring[i-1].Lat*rad, ring[i].Lat*rad
		mean := math.Sin((p + q) / 2)
		if half := (q - p) / 2; math.Abs(half) > 1e-9 {
			mean *= math.Sin(half) / half
		}
		sum += mean * (ring[i].Lon - ring[i-1].Lon) * rad
	}
	return math.Abs(sum)
}

// drawingError bounds how far the geodesics that stand for an edge stray from it.
const drawingError earth.Metres = 1

// node draws the polygons. The user's lines are true; only their drawing in geodesics has an error.
func (p *polygons) node() node {
	s := &shape{contains: func(x s2.Point) bool {
		v := earth.LatLonOf(x)
		for i := range p.list {
			if p.list[i].contains(v) {
				return true
			}
		}
		return false
	}}
	for _, e := range p.outline() {
		line := []s2.Point{onSphere(e[0]).Point()}
		line = straight(line, e[0], e[1], 0)
		for i, x := range line {
			if i > 0 && x == line[i-1] {
				continue
			}
			if i > 0 {
				s.rim = append(s.rim, int32(len(s.edges)-1))
			}
			s.edges = append(s.edges, x)
		}
	}
	return shapeNode{low: s, high: s, accuracy: drawingError}
}

// outline returns the edges that the polygons do not share with one another in opposite directions: on both sides of a shared edge
// lies the area.
func (p *polygons) outline() [][2]earth.LatLon {
	walked := map[[2]earth.LatLon]int{}
	var order [][2]earth.LatLon
	for _, poly := range p.list {
		for i, ring := range poly.rings {
			left := signedTurn(ring) > 0 == (i == 0) // the area lies on the left
			for j := 1; j < len(ring); j++ {
				a, b := ring[j-1], ring[j]
				if !left {
					a, b = b, a
				}
				walked[onRim(a, b)]++
				order = append(order, [2]earth.LatLon{a, b})
			}
		}
	}
	var out [][2]earth.LatLon
	for _, e := range order {
		if walked[onRim(e[1], e[0])] == 0 {
			out = append(out, e)
		}
	}
	return out
}

// onRim gives an edge along the antimeridian one name on both sides of it.
func onRim(a, b earth.LatLon) [2]earth.LatLon {
	if a.Lon == -180 && b.Lon == -180 {
		a.Lon, b.Lon = 180, 180
	}
	return [2]earth.LatLon{a, b}
}

// signedTurn is twice the area of a ring in square degrees, positive when it runs counter-clockwise.
func signedTurn(ring []earth.LatLon) float64 {
	sum := 0.0
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		sum += (a.Lon-ring[0].Lon)*(b.Lat-ring[0].Lat) - (b.Lon-ring[0].Lon)*(a.Lat-ring[0].Lat)
	}
	return sum
}

// onSphere gives positions that are one place one name: the two rims of the antimeridian, and a pole.
func onSphere(v earth.LatLon) earth.LatLon {
	if v.Lon == -180 {
		v.Lon = 180
	}
	if math.Abs(v.Lat) == 90 {
		v.Lon = 0
	}
	return v
}

// straight appends to a line, which ends at a, geodesics that follow the straight edge from a to b within half of drawingError at
// its middle, where the two are farthest apart; each halving divides the distance by four.
func straight(line []s2.Point, a, b earth.LatLon, depth int) []s2.Point {
	middle := earth.LatLon{Lat: (a.Lat + b.Lat) / 2, Lon: (a.Lon + b.Lon) / 2}
	from, to := onSphere(a).Point(), onSphere(b).Point()
	stray := mostMetres(s2.DistanceFromSegment(middle.Point(), from, to) + quad.Slack)
	long := from.Distance(to) > math.Pi/8 || math.Abs(a.Lon-b.Lon) > 45
	if depth < 20 && (stray > drawingError/2 || long) {
		return straight(straight(line, a, middle, depth+1), middle, b, depth+1)
	}
	return append(line, to)
}

// swapped says whether polygons look as if latitude and longitude were swapped: no land in them as they are, and every corner on land
// the other way round. It returns the first corner as it should be written. A file can say that it means the sea.
func (w *world) swapped(p *polygons) (earth.LatLon, bool) {
	if p.atSea {
		return earth.LatLon{}, false
	}
	onLand := func(v earth.LatLon) bool {
		_, ok := w.lookup(v.Point())
		return ok
	}
	for i := range p.list {
		poly := &p.list[i]
		for _, v := range poly.rings[0] {
			mirrored := earth.LatLon{Lat: v.Lon, Lon: v.Lat}
			if mirrored.Validate() != nil || !onLand(mirrored) || onLand(v) {
				return earth.LatLon{}, false
			}
		}
		if poly.anyInside(onLand) {
			return earth.LatLon{}, false
		}
	}
	v := p.list[0].rings[0][0]
	return earth.LatLon{Lat: v.Lon, Lon: v.Lat}, true
}

// anyInside asks for the points of a grid over a polygon.
func (p *polygon) anyInside(ask func(earth.LatLon) bool) bool {
	const steps = 32
	for i := range steps {
		for j := range steps {
			v := earth.LatLon{
				Lat: p.low.Lat + (float64(i)+0.5)/steps*(p.high.Lat-p.low.Lat),
				Lon: p.low.Lon + (float64(j)+0.5)/steps*(p.high.Lon-p.low.Lon),
			}
			if p.contains(v) && ask(v) {
				return true
			}
		}
	}
	return false
}
