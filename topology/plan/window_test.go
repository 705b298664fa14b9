package plan

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func places(at ...[2]float64) (out []Feature) {
	for _, p := range at {
		out = append(out, Feature{Geometry: Geometry{"Point", p}, Properties: map[string]any{"kind": "sample"}})
	}
	return out
}

// TestWindows: a map shows its places on the short way round, in the shape of a page.
func TestWindows(t *testing.T) {
	for _, tt := range []struct {
		name       string
		at         []Feature
		west, east float64 // at most and at least so, and no wider than
		widest     float64
	}{
		{"Fiji and New Zealand", places([2]float64{178, -18}, [2]float64{-179, -17}, [2]float64{174, -41}), 174, 181, 50},
		{"the Aleutians and Maine", places([2]float64{172, 52}, [2]float64{-67, 45}), 172, 293, 160},
		{"Europe", places([2]float64{-9, 38}, [2]float64{26, 60}), -9, 26, 90},
		{"one place", places([2]float64{10, 50}), 9, 11, 5},
		{"around the Earth", places([2]float64{-170, 0}, [2]float64{-140, 0}, [2]float64{-105, 0}, [2]float64{-70, 0}, [2]float64{-35, 0}, [2]float64{0, 0}, [2]float64{35, 10},
			[2]float64{70, 0}, [2]float64{100, 0}, [2]float64{130, 0}, [2]float64{160, 0}), -180, 180, 360},
		{"nothing", nil, -180, 180, 360},
		{"a pole", places([2]float64{20, 89.9}), 19, 21, 180},
	} {
		w := windowOf(tt.at)
		if w.west > tt.west || w.east < tt.east || w.east-w.west > tt.widest || w.south < -90 || w.north > 90 {
			t.Errorf("%s: %+v", tt.name, w)
		}
	}
}

// TestEveryPlaceIsOnTheMap: wherever the places are, each is seen, at most twice, and the window is a window.
func TestEveryPlaceIsOnTheMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]float64 {
			return [2]float64{rapid.Float64Range(-180, 180).Draw(t, "lon"), rapid.Float64Range(-90, 90).Draw(t, "lat")}
		}), 1, 20).Draw(t, "places")
		w := windowOf(places(at...))
		if !(w.west >= -180 && w.west < 180 && w.east > w.west && w.east-w.west <= 360+1e-9 && w.south >= -90 && w.north <= 90 && w.north > w.south) {
			t.Fatalf("window %+v", w)
		}
		for _, p := range at {
			if n := len(w.turns(p[0], p[0])); n < 1 || n > 2 {
				t.Fatalf("%v is seen %d times in %+v", p, n, w)
			}
			if p[1] < w.south || p[1] > w.north {
				t.Fatalf("%v is north or south of %+v", p, w)
			}
		}
	})
}

// TestCut: what is cut lies in the window, and a ring around the whole window fills it.
func TestCut(t *testing.T) {
	w := window{-10, 10, -5, 5}
	area := func(ring [][2]float64) (sum float64) {
		for i, p := range ring {
			before := ring[(i+len(ring)-1)%len(ring)]
			sum += before[0]*p[1] - p[0]*before[1]
		}
		return sum / 2
	}
	square := func(x, y, half float64) [][2]float64 {
		return [][2]float64{{x - half, y - half}, {x + half, y - half}, {x + half, y + half}, {x - half, y + half}, {x - half, y - half}}
	}
	if got := area(w.cut(square(0, 0, 50))); math.Abs(got-200) > 1e-9 {
		t.Errorf("a ring around the window covers %v of its 200", got)
	}
	if got := w.cut(square(40, 0, 5)); len(got) != 0 {
		t.Errorf("a ring elsewhere left %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y, half := rapid.Float64Range(-20, 20).Draw(t, "x"), rapid.Float64Range(-20, 20).Draw(t, "y"), rapid.Float64Range(0.1, 30).Draw(t, "half")
		overlap := func(lo, hi, at float64) float64 { return math.Max(0, math.Min(hi, at+half)-math.Max(lo, at-half)) }
		ring := w.cut(square(x, y, half))
		for _, p := range ring {
			if p[0] < -10-1e-9 || p[0] > 10+1e-9 || p[1] < -5-1e-9 || p[1] > 5+1e-9 {
				t.Fatalf("%v lies outside", p)
			}
		}
		if got, want := area(ring), overlap(-10, 10, x)*overlap(-5, 5, y); math.Abs(got-want) > 1e-6 {
			t.Fatalf("%v of %v left", got, want)
		}
	})
}

// TestLinesLeaveTheCutOut: the antimeridian is no coast.
func TestLinesLeaveTheCutOut(t *testing.T) {
	w := window{170, 190, -30, 0}
	ring := [][2]float64{{180, -20}, {180, -15}, {178, -15}, {178, -20}, {180, -20}}
	if lines := w.lines(ring, 0); len(lines) != 1 || len(lines[0]) != 4 || lines[0][0] != ring[1] {
		t.Errorf("%v", lines)
	}
	if lines := w.lines([][2]float64{{-180, -20}, {-178, -20}, {-178, -15}, {-180, -15}, {-180, -20}}, 360); len(lines) != 1 || lines[0][1] != [2]float64{182, -20} {
		t.Errorf("%v", lines)
	}
	if lines := w.lines([][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 0}}, 0); lines != nil {
		t.Errorf("elsewhere: %v", lines)
	}
}
