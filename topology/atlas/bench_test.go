package atlas_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// anywhere returns points spread evenly over the Earth.
func anywhere(seed uint64, n int) []earth.LatLon {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]earth.LatLon, n)
	for i := range out {
		out[i] = at(math.Asin(2*r.Float64()-1)*180/math.Pi, 360*r.Float64()-180)
	}
	return out
}

// onLand returns points spread evenly over the land.
func onLand(seed uint64, n int) []earth.LatLon {
	var out []earth.LatLon
	for ; len(out) < n; seed += 1000 {
		for _, p := range anywhere(seed, n) {
			if _, ok := atlas.Lookup(p); ok && len(out) < n {
				out = append(out, p)
			}
		}
	}
	return out
}

var capitals = []earth.LatLon{at(52.52, 13.4), at(48.85, 2.35), at(40.42, -3.7), at(38.9, -77.04), at(35.68, 139.76), at(-33.87, 151.2), at(55.75, 37.62), at(-15.79, -47.88)}

func BenchmarkLookup(b *testing.B) {
	for name, points := range map[string][]earth.LatLon{"cities": capitals, "land": onLand(1, 10_000), "anywhere": anywhere(2, 10_000)} {
		b.Run(name, func(b *testing.B) {
			for _, p := range points {
				atlas.Lookup(p)
			}
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				atlas.Lookup(points[i%len(points)])
			}
		})
	}
}

func BenchmarkClass(b *testing.B) {
	r := mustParse(b, "EU27+EEA+CH+GB")
	for _, level := range []int{8, 10, 12, 14} {
		b.Run("level"+string(rune('0'+level/10))+string(rune('0'+level%10)), func(b *testing.B) {
			var cells []s2.CellID
			for _, p := range onLand(3, 20_000) {
				if p.Lat > 36 && p.Lat < 71 && p.Lon > -10 && p.Lon < 30 {
					cells = append(cells, cellAt(p, level))
				}
			}
			for _, c := range cells {
				r.Class(c)
			}
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				r.Class(cells[i%len(cells)])
			}
		})
	}
}

func BenchmarkCountriesTouching(b *testing.B) {
	var cells []s2.CellID
	for _, p := range onLand(4, 1000) {
		cells = append(cells, cellAt(p, 9))
	}
	atlas.CountriesTouching(cells...)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		atlas.CountriesTouching(cells[i%len(cells)])
	}
}
