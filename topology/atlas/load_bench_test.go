package atlas

import (
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// From the embedded bytes to the first answer, nothing kept from before.
func BenchmarkFirstLookup(b *testing.B) {
	for b.Loop() {
		f, err := wire.Decode(embedded)
		if err != nil {
			b.Fatal(err)
		}
		w, err := newWorld(f)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := w.lookup(earth.LatLon{Lat: 50.11, Lon: 8.68}.Point()); !ok {
			b.Fatal("Frankfurt is at sea")
		}
	}
}

// A region parsed and asked for the first time about 600 cells of 10 km around Frankfurt, the trees cold.
func BenchmarkColdRegion(b *testing.B) {
	f, err := wire.Decode(embedded)
	if err != nil {
		b.Fatal(err)
	}
	cap := s2.CapFromCenterAngle(earth.LatLon{Lat: 50.11, Lon: 8.68}.Point(), innerAngle(150_000))
	coverer := s2.RegionCoverer{MinLevel: 10, MaxLevel: 10, MaxCells: 2000}
	cells := coverer.Covering(cap)
	b.ReportMetric(float64(len(cells)), "cells")
	for b.Loop() {
		b.StopTimer()
		w, err := newWorld(f)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		e, err := parse(w, "DE", nil)
		if err != nil {
			b.Fatal(err)
		}
		r := &Region{w: w, expr: e, root: w.compile(e, Options{Accuracy: Accuracy})}
		for _, c := range cells {
			r.Class(c)
		}
	}
}
