package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrBestline reports points under which no line of the kind wanted lies.
var ErrBestline = errors.New("no bestline")

// TwoThirds is the least slope of a bestline in CBG, in milliseconds of round trip for a kilometre: signals at 2/3 c. It is no
// bound: plain fibre runs at 0.681 c.
const TwoThirds = 2 / (299.792458 * 2 / 3)

// XY is a point under which a line shall lie: kilometres and milliseconds of round trip.
type XY struct{ KM, MS float64 }

// Bestline is the line rtt = Slope·distance + Intercept below all points of one landmark: what its delays are when nothing is in the
// way. It predicts and never bounds.
type Bestline struct {
	Slope     float64 // ms/km
	Intercept float64 // ms
}

// Distance turns a round trip into the distance in km at which it would lie on the line, zero if it lies below the intercept.
func (b Bestline) Distance(ms float64) Kilometres {
	return Kilometres(max(0, (ms-b.Intercept)/b.Slope))
}

// FitBestline solves the linear programme of CBG: among all lines with slope within least and greatest (ms/km, the latter may be
// +Inf) and intercept ≥ 0 that no point lies below, the one with the smallest sum of vertical distances to the points.
//
// The sum is Σy − m·Σx − n·b. For a given slope m the best intercept is b(m) = min(y − m·x), concave and falling in m, its minimum
// always at a vertex of the lower convex hull. So the objective is concave in m alone, its maximum lies where the hull passes below
// the mean of x, and the constraints cut the interval of slopes: m ≥ least on the left, b(m) ≥ 0 and m ≤ greatest on the right. No solution exists
// when b(least) < 0: a point below the line of the least slope through the origin.
func FitBestline(points []XY, least, greatest float64) (Bestline, error) {
	if len(points) == 0 || !(least > 0) || !(greatest >= least) {
		return Bestline{}, fmt.Errorf("%w: %d points, slopes within %v and %v", ErrBestline, len(points), least, greatest)
	}
	mean, most := 0.0, greatest
	for _, p := range points {
		if !(p.KM >= 0 && p.MS > 0) || math.IsInf(p.KM, 0) || math.IsInf(p.MS, 0) {
			return Bestline{}, fmt.Errorf("%w: point at %v km and %v ms", ErrBestline, p.KM, p.MS)
		}
		mean += p.KM / float64(len(points))
		if p.KM > 0 {
			most = min(most, p.MS/p.KM)
		}
	}
	if most < least {
		return Bestline{}, fmt.Errorf("%w: a point lies below the slope of %v ms/km", ErrBestline, least)
	}
	hull := lowerHull(points)
	m := min(max(hullSlope(hull, mean), least), most)
	if math.IsInf(m, 1) {
		m = least // every point at distance zero: any slope serves
	}
	b := math.Inf(1)
	for _, p := range hull {
		b = min(b, p.MS-m*p.KM)
	}
	return Bestline{Slope: m, Intercept: max(0, b)}, nil
}

// lowerHull returns the lower convex hull from left to right (Andrew's monotone chain, 1979).
func lowerHull(points []XY) []XY {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b XY) int {
		switch {
		case a.KM != b.KM:
			return cmp(a.KM, b.KM)
		case a.MS != b.MS:
			return cmp(a.MS, b.MS)
		}
		return 0
	})
	hull := sorted[:0]
	for _, p := range sorted {
		if n := len(hull); n > 0 && hull[n-1].KM == p.KM {
			continue // above the one before
		}
		for len(hull) >= 2 && cross(hull[len(hull)-2], hull[len(hull)-1], p) <= 0 {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	return hull
}

// cross is positive when the way a → b → c turns left.
func cross(a, b, c XY) float64 {
	return (b.KM-a.KM)*(c.MS-a.MS) - (b.MS-a.MS)*(c.KM-a.KM)
}

// hullSlope returns the slope of the hull's edge at x; beyond its ends ±∞.
func hullSlope(hull []XY, x float64) float64 {
	for i := 1; i < len(hull); i++ {
		if x <= hull[i].KM {
			if x < hull[0].KM {
				return math.Inf(-1)
			}
			return (hull[i].MS - hull[i-1].MS) / (hull[i].KM - hull[i-1].KM)
		}
	}
	return math.Inf(1)
}
