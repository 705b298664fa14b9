package quad

import (
	"math"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
)

// Slack is added to every angle before it is compared, in radians: a hundred times the error that S2 states for its point-to-edge
// distances (1.2e-15 near zero, 1e-14 below a right angle) and less than a hundredth of a millimetre on the ground.
const Slack = 1e-12

// Edges are chains of vertices: edge i runs from Edges[i] to Edges[i+1].
type Edges []s2.Point

// Near says whether edge i comes within limit of the point x. It may err towards yes, by Slack.
func (e Edges) Near(x s2.Point, i int32, limit Limit) bool {
	a, b := e[i], e[i+1]
	xa := x.Sub(a.Vector).Norm2()
	if xa <= limit.near2 {
		return true
	}
	// Chords obey the triangle inequality: no point of the edge is closer than |xa| - |ab|. Squared, without a root:
	// |xa| > |ab| + limit holds when |xa|² > 2(|ab|² + limit²).
	ab := a.Sub(b.Vector).Norm2()
	if xa > 2.000001*(ab+limit.near2) {
		return false
	}
	return s2.IsDistanceLess(x, a, b, limit.chord)
}

// WithinCell says whether edge i comes within limit of the cell. Exact but for Slack, on the side of yes.
func (e Edges) WithinCell(cell s2.Cell, i int32, limit Limit) bool {
	return cell.DistanceToEdge(e[i], e[i+1]) <= limit.chord
}

// Limit is an angle, prepared for comparing distances with it.
type Limit struct {
	chord s1.ChordAngle
	near2 float64
}

// NewLimit prepares an angle, rounded up by Slack.
func NewLimit(a s1.Angle) Limit {
	c := s1.ChordAngleFromAngle(min(a+Slack, math.Pi)).Successor()
	return Limit{c, float64(c)}
}

// Ball is the set of points within an angle of a centre.
type Ball struct {
	Centre s2.Point
	Radius s1.Angle
}

// run is a part of one chain with a ball around it.
type run struct {
	first, end int32
	centre     s2.Point
	radius     float64
}

// runLength is the most edges in a run.
const runLength = 32

// runs cuts a list of edges, in ascending order, where it skips one and where it grows long.
func (e Edges) runs(some []int32) []run {
	var out []run
	for i := 0; i < len(some); {
		j := i + 1
		for j < len(some) && some[j] == some[j-1]+1 && j-i < runLength {
			j++
		}
		out = append(out, e.run(some[i], some[j-1]+1))
		i = j
	}
	return out
}

// run encloses the edges first..end-1. A point of an edge is no farther from the ball's centre than the farther end plus half the
// edge's length, by the triangle inequality.
func (e Edges) run(first, end int32) run {
	sum := e[first].Vector
	for i := first + 1; i <= end; i++ {
		sum = sum.Add(e[i].Vector)
	}
	centre := s2.Point{Vector: sum.Normalize()}
	if sum.Norm2() < 0.01 {
		centre = e[first]
	}
	far, long := centre.Sub(e[first].Vector).Norm2(), 0.0
	for i := first; i < end; i++ {
		far = math.Max(far, centre.Sub(e[i+1].Vector).Norm2())
		long = math.Max(long, e[i].Sub(e[i+1].Vector).Norm2())
	}
	angle := func(chord2 float64) float64 { return 2 * math.Asin(math.Min(1, math.Sqrt(chord2)/2)) }
	return run{first: first, end: end, centre: centre, radius: angle(far) + angle(long)/2 + 2*Slack}
}

// near says whether the run may come within an angle of a point.
func (r *run) near(x s2.Point, within s1.Angle) bool {
	reach := float64(within) + r.radius + Slack
	if reach >= math.Pi {
		return true
	}
	// The chord of an angle α has length 2·sin(α/2), which is at most α: a chord longer than the reach proves an angle above it. For
	// large reaches that is too generous to be of use, and the sine is taken.
	chord2 := x.Sub(r.centre.Vector).Norm2()
	if reach < 0.3 {
		return chord2 <= reach*reach
	}
	s := 2 * math.Sin(reach/2)
	return chord2 <= s*s*(1+1e-12)+1e-12
}
