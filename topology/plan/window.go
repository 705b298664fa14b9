package plan

import (
	"cmp"
	"math"
	"slices"
)

// window is what a map shows, in degrees. West lies within ±180; east may lie beyond 180, when the map crosses the antimeridian.
type window struct{ west, east, south, north float64 }

// Shapes of maps: wider than high, as screens are, and never a thin strip.
const (
	leastAspect = 1.35
	mostAspect  = 2.4
	emptyOcean  = 40.0 // degrees of longitude without anything in them, from which a map is cut there and not at the antimeridian
)

// windowOf fits what the features show with a tenth around it, at least two degrees wide, in the shape of a page. Beacons count only when
// there is nothing else: many a fleet is spread over the Earth and covers a country.
func windowOf(features []Feature) window {
	about := slices.DeleteFunc(slices.Clone(features), func(f Feature) bool { return f.Properties["kind"] == "beacon" })
	if len(about) == 0 {
		about = features
	}
	var spans [][2]float64
	w := window{-180, 180, 90, -90}
	for _, f := range about {
		lo, hi := lonRange(points(f))
		if lo > hi {
			continue
		}
		spans = append(spans, [2]float64{lo, hi})
		for _, p := range points(f) {
			w.south, w.north = math.Min(w.south, p[1]), math.Max(w.north, p[1])
		}
	}
	if len(spans) == 0 {
		return window{-180, 180, -90, 90}
	}
	w.west, w.east = shortestSpan(spans)
	return w.padded().shaped()
}

// lonRange returns the least and the greatest longitude.
func lonRange(line [][2]float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, p := range line {
		lo, hi = math.Min(lo, p[0]), math.Max(hi, p[0])
	}
	return lo, hi
}

// shortestSpan returns the least range of longitudes that holds all of the given ones, or all longitudes when nothing is left out that
// would be worth a map with another middle.
func shortestSpan(spans [][2]float64) (west, east float64) {
	spans = slices.Clone(spans)
	for i, s := range spans {
		west := math.Mod(math.Mod(s[0]+180, 360)+360, 360) - 180
		spans[i] = [2]float64{west, west + s[1] - s[0]}
	}
	slices.SortFunc(spans, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	reach, widest := spans[0][1], -1.0
	for _, s := range spans[1:] {
		if gap := s[0] - reach; gap > widest {
			widest, west, east = gap, s[0], reach+360
		}
		reach = math.Max(reach, s[1])
	}
	if gap := spans[0][0] + 360 - reach; gap > widest {
		widest, west, east = gap, spans[0][0], reach
	}
	if widest < emptyOcean {
		return -180, 180
	}
	return west, east
}

func (w window) padded() window {
	padX, padY := math.Max(1, (w.east-w.west)/10), math.Max(1, (w.north-w.south)/10)
	w.south, w.north = math.Max(-90, w.south-padY), math.Min(90, w.north+padY)
	if w.east-w.west+2*padX >= 360 {
		w.west, w.east = -180, 180
		return w
	}
	w.west, w.east = w.west-padX, w.east+padX
	return w
}

// stretch is by how much a degree of latitude is longer on the map than one of longitude: true to scale in the middle.
func (w window) stretch() float64 {
	return 1 / math.Max(0.2, math.Cos((w.south+w.north)/2*math.Pi/180))
}

// shaped widens a window to the shape of a page.
func (w window) shaped() window {
	wide, high := w.east-w.west, (w.north-w.south)*w.stretch()
	if wide < leastAspect*high {
		more := math.Min(360, leastAspect*high) - wide
		w.west, w.east = w.west-more/2, w.east+more/2
	}
	if wide > mostAspect*high {
		more := (wide/mostAspect - high) / w.stretch()
		w.south, w.north = w.south-more/2, w.north+more/2
		if w.south < -90 {
			w.south, w.north = -90, math.Min(90, w.north-90-w.south)
		}
		if w.north > 90 {
			w.south, w.north = math.Max(-90, w.south+90-w.north), 90
		}
	}
	if w.east-w.west >= 360 {
		w.west, w.east = (w.west+w.east)/2-180, (w.west+w.east)/2+180
	}
	for ; w.west < -180; w.west, w.east = w.west+360, w.east+360 {
	}
	for ; w.west >= 180; w.west, w.east = w.west-360, w.east-360 {
	}
	return w
}

// grown is a window with more around it.
func (w window) grown(share float64) window {
	x, y := share*(w.east-w.west), share*(w.north-w.south)
	return window{w.west - x, w.east + x, w.south - y, w.north + y}
}

// turns lists the whole turns, in degrees, after which something between two longitudes is seen in the window: none, one, or both of
// its halves when the window is as wide as the Earth.
func (w window) turns(lo, hi float64) []float64 {
	var out []float64
	for k := math.Ceil((w.west - hi) / 360); lo+360*k <= w.east; k++ {
		out = append(out, 360*k)
	}
	return out
}

// cut returns the part of a ring within the window, after Sutherland and Hodgman (1974): parts of one ring stay one ring, joined along
// the window's rim.
func (w window) cut(ring [][2]float64) [][2]float64 {
	for _, side := range []struct {
		axis int
		at   float64
		sign float64
	}{{0, w.west, 1}, {0, w.east, -1}, {1, w.south, 1}, {1, w.north, -1}} {
		in := func(p [2]float64) bool { return side.sign*(p[side.axis]-side.at) >= 0 }
		var kept [][2]float64
		for i, p := range ring {
			before := ring[(i+len(ring)-1)%len(ring)]
			if in(before) != in(p) {
				t := (side.at - before[side.axis]) / (p[side.axis] - before[side.axis])
				kept = append(kept, [2]float64{before[0] + t*(p[0]-before[0]), before[1] + t*(p[1]-before[1])})
			}
			if in(p) {
				kept = append(kept, p)
			}
		}
		ring = kept
	}
	return ring
}

// lines returns the outline of a closed ring as open lines, without what is not of the land's making: the cut along the antimeridian and
// at the pole, and what lies beyond the window.
func (w window) lines(ring [][2]float64, turn float64) (out [][][2]float64) {
	var line [][2]float64
	end := func() {
		if len(line) > 1 {
			out = append(out, line)
		}
		line = nil
	}
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		if onCut(a, b) || !w.near(a, b, turn) {
			end()
			continue
		}
		if line == nil {
			line = append(line, [2]float64{a[0] + turn, a[1]})
		}
		line = append(line, [2]float64{b[0] + turn, b[1]})
	}
	end()
	return out
}

// onCut says whether a piece of an outline lies on the antimeridian or at a pole, where data are cut.
func onCut(a, b [2]float64) bool {
	const close = 1e-6
	return 180-math.Abs(a[0]) < close && 180-math.Abs(b[0]) < close || 90-math.Abs(a[1]) < close && 90-math.Abs(b[1]) < close
}

// near says whether the box around a piece of a line, turned, touches the window.
func (w window) near(a, b [2]float64, turn float64) bool {
	return math.Max(a[0], b[0])+turn >= w.west && math.Min(a[0], b[0])+turn <= w.east && math.Max(a[1], b[1]) >= w.south && math.Min(a[1], b[1]) <= w.north
}
