package main

import (
	"fmt"
	"math"
	"sort"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

// quantum is the number of steps per degree in which the file counts: 5.6 m along a meridian. It divides sourceQuantum.
const quantum = 20_000

// metresPerRadian turns small angles into metres, to the third digit: enough for a tolerance.
const metresPerRadian = 6_371_000.0

// finest is the tolerance in metres below which an arc is not simplified but kept vertex by vertex.
const finest = 2.0

// simplify removes vertices from the arcs as far as the tolerance allows, rounds what is left to the quantum, and takes back
// removals until no two arcs cross.
func simplify(arcs []arc, tolerance float64) ([]wire.Arc, error) {
	allowed := make([]float64, len(arcs))
	for i, a := range arcs {
		// A small island or enclave keeps its shape: a fiftieth of its width bounds what it may lose.
		allowed[i] = math.Min(tolerance, math.Sqrt(a.area)/50)
	}
	out := make([]wire.Arc, len(arcs))
	again := make([]int, len(arcs))
	for i := range again {
		again[i] = i
	}
	for round := 0; len(again) > 0; round++ {
		for _, i := range again {
			out[i] = wire.Arc{Left: arcs[i].left, Right: arcs[i].right, Line: thin(arcs[i].line, allowed[i])}
		}
		crossed := crossings(out)
		fmt.Printf("round %d: %d arcs cross another\n", round, len(crossed))
		again = again[:0]
		for _, i := range crossed {
			if allowed[i] >= finest {
				allowed[i] /= 2
				again = append(again, i)
			}
		}
	}
	return keepWhole(out), nil
}

// keepWhole drops arcs that rounding has shrunk to a point.
func keepWhole(arcs []wire.Arc) []wire.Arc {
	kept := arcs[:0]
	for _, a := range arcs {
		if len(a.Line) >= 2 {
			kept = append(kept, a)
		}
	}
	return kept
}

// thin is the method of Ramer (1972) and Douglas and Peucker (1973) on the sphere. A closed arc is first cut at the vertex
// farthest from its start, and keeps at least three corners.
func thin(line []wire.Vertex, tolerance float64) []wire.Vertex {
	points := make([]s2.Point, len(line))
	for i, v := range line {
		points[i] = pointOf(v, sourceQuantum)
	}
	keep := make([]bool, len(line))
	last := len(line) - 1
	keep[0], keep[last] = true, true
	if line[0] == line[last] {
		far, _ := farthest(points, 0, last)
		keep[far] = true
		thinBetween(points, keep, 0, far, tolerance)
		thinBetween(points, keep, far, last, tolerance)
		keepThird(points, keep, far)
	} else {
		thinBetween(points, keep, 0, last, tolerance)
	}
	var out []wire.Vertex
	for i, v := range line {
		if !keep[i] {
			continue
		}
		q := coarse(v)
		if len(out) == 0 || out[len(out)-1] != q {
			out = append(out, q)
		}
	}
	return out
}

// keepThird gives a ring that was thinned to a line and back its farthest vertex.
func keepThird(points []s2.Point, keep []bool, far int) {
	n := 0
	for _, k := range keep {
		if k {
			n++
		}
	}
	if n > 3 {
		return
	}
	i, di := farthest(points, 0, far)
	if j, dj := farthest(points, far, len(points)-1); dj > di {
		i = j
	}
	keep[i] = true
}

func thinBetween(points []s2.Point, keep []bool, from, to int, tolerance float64) {
	if to-from < 2 {
		return
	}
	far, d := farthest(points, from, to)
	if d*metresPerRadian <= tolerance && points[from].Distance(points[to]) < s1.Angle(math.Pi/4) {
		return
	}
	keep[far] = true
	thinBetween(points, keep, from, far, tolerance)
	thinBetween(points, keep, far, to, tolerance)
}

// farthest returns the vertex between two others that is farthest from the geodesic joining them, and the angle.
func farthest(points []s2.Point, from, to int) (int, float64) {
	best, at := -1.0, from
	for i := from + 1; i < to; i++ {
		if d := s2.DistanceFromSegment(points[i], points[from], points[to]).Radians(); d > best {
			best, at = d, i
		}
	}
	return at, best
}

// coarse rounds a vertex of the source to the quantum of the file, half away from zero.
func coarse(v wire.Vertex) wire.Vertex {
	const step = sourceQuantum / quantum
	round := func(n int32) int32 {
		if n < 0 {
			return -((-n + step/2) / step)
		}
		return (n + step/2) / step
	}
	q := wire.Vertex{Lon: round(v.Lon), Lat: round(v.Lat)}
	if q.Lon == -180*quantum {
		q.Lon = -q.Lon
	}
	return q
}

func pointOf(v wire.Vertex, q float64) s2.Point {
	return s2.PointFromLatLng(s2.LatLngFromDegrees(float64(v.Lat)/q, float64(v.Lon)/q))
}

// crossings returns the arcs that cross another or themselves away from a common vertex.
func crossings(arcs []wire.Arc) []int {
	var edges quad.Edges
	var all, owner []int32
	for i, a := range arcs {
		for j, v := range a.Line {
			if j+1 < len(a.Line) {
				all = append(all, int32(len(edges)))
			}
			edges = append(edges, pointOf(v, quantum))
			owner = append(owner, int32(i))
		}
	}
	bad := map[int]bool{}
	tree := quad.New(edges, all, quad.Config[struct{}]{
		Floor: 24, Limit: 1 << 40,
		Grow: func(_, n *quad.Node[struct{}]) (none struct{}, divide bool) { return none, !n.Few(12) },
	})
	for face := range 6 {
		crossingsBelow(tree.Find(s2.CellIDFromFace(face)), edges, owner, bad)
	}
	out := make([]int, 0, len(bad))
	for i := range bad {
		out = append(out, i)
	}
	sort.Ints(out)
	return out
}

func crossingsBelow(n *quad.Node[struct{}], edges quad.Edges, owner []int32, bad map[int]bool) {
	if kids := n.Children(); kids != nil {
		for i := range kids {
			crossingsBelow(&kids[i], edges, owner, bad)
		}
		return
	}
	var near []int32
	n.Edges(nil, func(e int32) bool {
		near = append(near, e)
		return true
	})
	for i, e := range near {
		for _, f := range near[:i] {
			if s2.CrossingSign(edges[e], edges[e+1], edges[f], edges[f+1]) == s2.Cross {
				bad[int(owner[e])], bad[int(owner[f])] = true, true
			}
		}
	}
}

// faceAtoms finds the atom at the centre of each S2 face by the source's own rings, in the plane of longitude and latitude. The
// centres are (0, 0), (0, 90 E), the north pole, (0, 180), (0, 90 W) and the south pole; a pole is looked for a hair beside it.
func faceAtoms(pieces []piece, number map[[2]string]int) (out [6]int, err error) {
	for face, at := range [6][2]float64{{0, 0}, {0, 90}, {89.9999, 0}, {0, 180}, {0, -90}, {-89.9999, 0}} {
		for _, p := range pieces {
			in := false
			for _, ring := range p.rings {
				in = in != inside(ring, at[1]*sourceQuantum, at[0]*sourceQuantum)
			}
			if in && out[face] != 0 {
				return out, fmt.Errorf("two pieces at the centre of face %d", face)
			} else if in {
				out[face] = number[[2]string{p.country, p.code}]
			}
		}
	}
	return out, nil
}

// inside is the even-odd rule.
func inside(ring []wire.Vertex, x, y float64) bool {
	in := false
	for i := 1; i < len(ring); i++ {
		ax, ay, bx, by := float64(ring[i-1].Lon), float64(ring[i-1].Lat), float64(ring[i].Lon), float64(ring[i].Lat)
		if (ay > y) != (by > y) && x < ax+(bx-ax)*(y-ay)/(by-ay) {
			in = !in
		}
	}
	return in
}
