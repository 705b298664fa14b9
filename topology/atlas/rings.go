package atlas

import (
	"math"
	"sort"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// lonLat is a position as GeoJSON writes it.
type lonLat [2]float64

// walkRings joins the boundary of a set of atoms into closed rings with the set on their left. Where several rings meet in a vertex,
// each keeps to its own side.
func (w *world) walkRings(set atomSet) [][]s2.Point {
	type step struct{ from, to s2.Point }
	out := map[s2.Point][]step{}
	var order []step
	for _, e := range w.borders {
		l, r := set.has(int(w.left[e])), set.has(int(w.right[e]))
		if l == r {
			continue
		}
		s := step{w.points[e], w.points[e+1]}
		if r {
			s.from, s.to = s.to, s.from
		}
		out[s.from] = append(out[s.from], s)
		order = append(order, s)
	}
	used := map[step]bool{}
	var rings [][]s2.Point
	for _, s := range order {
		if used[s] {
			continue
		}
		var ring []s2.Point
		for cur := s; !used[cur]; {
			used[cur] = true
			ring = append(ring, cur.from)
			var choices []s2.Point
			for _, n := range out[cur.to] {
				if !used[n] || n == s {
					choices = append(choices, n.to)
				}
			}
			if len(choices) == 0 {
				break
			}
			cur = step{cur.to, sharpest(cur.from, cur.to, choices)}
		}
		if len(ring) >= 3 {
			rings = append(rings, ring)
		}
	}
	return rings
}

// sharpest returns the choice that is met first when turning clockwise at a vertex from where one came: the one that keeps the left
// side whole.
func sharpest(from, at s2.Point, choices []s2.Point) s2.Point {
	best, angle := choices[0], math.Inf(1)
	for _, c := range choices {
		a := float64(s2.TurnAngle(from, at, c)) // positive to the left; π is back
		if turn := math.Pi - a; turn < angle {
			best, angle = c, turn
		}
	}
	return best
}

// chain is a part of a ring between two meetings with the antimeridian, in degrees.
type chain []lonLat

// flatten draws rings in the rectangle of longitude and latitude, cut at the antimeridian (RFC 7946, 3.1.9) and closed around the
// poles. The set lies on the left of every ring, in the rectangle as on the sphere. Whole says that the set holds the antimeridian
// where no ring meets it.
func flatten(rings [][]s2.Point, whole bool) [][]lonLat {
	var closed [][]lonLat
	var open []chain
	for _, ring := range rings {
		parts, cut := cutRing(ring)
		if cut {
			open = append(open, parts...)
		} else {
			closed = append(closed, append(parts[0], parts[0][0]))
		}
	}
	if len(open) == 0 && whole {
		closed = append(closed, []lonLat{{-180, -90}, {180, -90}, {180, 90}, {-180, 90}, {-180, -90}})
	}
	return append(closed, closeChains(open)...)
}

// cutRing turns a ring into degrees, following geodesics to within bendError, and cuts it where it crosses the antimeridian.
func cutRing(ring []s2.Point) (parts []chain, cut bool) {
	var line []lonLat
	for i, p := range ring {
		line = bend(append(line, degrees(p)), p, ring[(i+1)%len(ring)], 0)
	}
	var now chain
	var all []chain
	for i, v := range line {
		now = append(now, v)
		n := line[(i+1)%len(line)]
		if math.Abs(n[0]-v[0]) <= 180 {
			continue
		}
		rim := math.Copysign(180, v[0])
		gap := 360 - math.Abs(n[0]-v[0])
		lat := v[1]
		if gap > 0 {
			lat += (n[1] - v[1]) * (180 - math.Abs(v[0])) / gap
		}
		all = append(all, append(now, lonLat{rim, lat}))
		now = chain{{-rim, lat}}
	}
	if len(all) == 0 {
		return []chain{now}, false
	}
	all[0] = append(now, all[0]...)
	return all, true
}

// bendError is how far, in degrees, a straight line of an export may stray from the geodesic that it stands for.
const bendError = 0.0005

// bend appends what a straight line needs between two ends to follow their geodesic.
func bend(line []lonLat, a, b s2.Point, depth int) []lonLat {
	middle := s2.Interpolate(0.5, a, b)
	p, q, m := degrees(a), degrees(b), degrees(middle)
	if math.Abs(p[0]-q[0]) > 180 || depth >= 12 || math.Abs(m[1]) > 89.9 {
		return line
	}
	if math.Abs((p[1]+q[1])/2-m[1]) < bendError && math.Abs((p[0]+q[0])/2-m[0])*math.Cos(m[1]*math.Pi/180) < bendError {
		return line
	}
	line = append(bend(line, a, middle, depth+1), m)
	return bend(line, middle, b, depth+1)
}

func degrees(p s2.Point) lonLat {
	l := earth.LatLonOf(p)
	return lonLat{round(l.Lon), round(l.Lat)}
}

// round keeps six decimals, a tenth of a metre.
func round(d float64) float64 { return math.Round(d*1e6) / 1e6 }

// along returns how far a point of the rectangle's rim lies along it, counter-clockwise from the south-east corner: up the eastern
// side (0..180), across the top, down the western side (360..540), across the bottom (up to 720).
func along(v lonLat) float64 {
	if v[0] > 0 {
		return v[1] + 90
	}
	return 360 + 90 - v[1]
}

var corners = []struct {
	at float64
	v  lonLat
}{{180, lonLat{180, 90}}, {360, lonLat{-180, 90}}, {540, lonLat{-180, -90}}, {720, lonLat{180, -90}}}

// closeChains joins chains along the rim. The set is on the left of a chain, and so on the left of the rim when it is walked
// counter-clockwise from a chain's end to the next chain's beginning.
func closeChains(open []chain) [][]lonLat {
	sort.Slice(open, func(i, j int) bool { return along(open[i][0]) < along(open[j][0]) })
	used := make([]bool, len(open))
	var out [][]lonLat
	for i := range open {
		if used[i] {
			continue
		}
		var ring []lonLat
		for j := i; !used[j]; {
			used[j] = true
			ring = append(ring, open[j]...)
			end := along(open[j][len(open[j])-1])
			j = next(open, end)
			start := along(open[j][0])
			if start < end {
				start += 720
			}
			for turn := range 2 {
				for _, c := range corners {
					if at := c.at + 720*float64(turn); at > end && at < start {
						ring = append(ring, c.v)
					}
				}
			}
		}
		out = append(out, tidy(append(ring, ring[0])))
	}
	return out
}

// next returns the chain that begins first after a place on the rim.
func next(open []chain, end float64) int {
	i := sort.Search(len(open), func(i int) bool { return along(open[i][0]) >= end })
	return i % len(open)
}

// tidy drops repeated positions.
func tidy(ring []lonLat) []lonLat {
	out := ring[:1]
	for _, v := range ring[1:] {
		if v != out[len(out)-1] {
			out = append(out, v)
		}
	}
	return out
}

// nest sorts rings into polygons: shells run counter-clockwise, and each hole goes to the smallest shell around it.
func nest(rings [][]lonLat) [][][]lonLat {
	type shell struct {
		size     float64
		low      lonLat
		high     lonLat
		polygon  [][]lonLat
		original []lonLat
	}
	var shells []*shell
	var holes [][]lonLat
	for _, r := range rings {
		size := signedSize(r)
		if size == 0 || len(r) < 4 {
			continue
		}
		if size < 0 {
			holes = append(holes, r)
			continue
		}
		s := &shell{size: size, low: r[0], high: r[0], polygon: [][]lonLat{r}, original: r}
		for _, v := range r {
			for k := range 2 {
				s.low[k], s.high[k] = math.Min(s.low[k], v[k]), math.Max(s.high[k], v[k])
			}
		}
		shells = append(shells, s)
	}
	sort.SliceStable(shells, func(i, j int) bool { return shells[i].size < shells[j].size })
	for _, h := range holes {
		for _, s := range shells {
			if around := h[0][0] >= s.low[0] && h[0][0] <= s.high[0] && h[0][1] >= s.low[1] && h[0][1] <= s.high[1]; around && holdsRing(s.original, h) {
				s.polygon = append(s.polygon, h)
				break
			}
		}
	}
	sort.SliceStable(shells, func(i, j int) bool { return shells[i].size > shells[j].size })
	var out [][][]lonLat
	for _, s := range shells {
		out = append(out, s.polygon)
	}
	return out
}

func signedSize(ring []lonLat) float64 {
	sum := 0.0
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		sum += (a[0]-ring[0][0])*(b[1]-ring[0][1]) - (b[0]-ring[0][0])*(a[1]-ring[0][1])
	}
	return sum
}

// holdsRing asks the middle of a hole's first edge that is not on the shell.
func holdsRing(shell, hole []lonLat) bool {
	in := false
	x, y := (hole[0][0]+hole[1][0])/2, (hole[0][1]+hole[1][1])/2
	for i := 1; i < len(shell); i++ {
		a, b := shell[i-1], shell[i]
		if (a[1] > y) != (b[1] > y) && x < a[0]+(b[0]-a[0])*(y-a[1])/(b[1]-a[1]) {
			in = !in
		}
	}
	return in
}
