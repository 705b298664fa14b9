package region_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/locator/region"
)

func benchmarkSearch(b *testing.B, n int) {
	var worlds []*world
	for seed := range uint64(16) {
		worlds = append(worlds, newWorld(seed, n, 2, false))
	}
	i, cells := 0, 0
	for b.Loop() {
		w := worlds[i%len(worlds)]
		r, err := region.Search(w.bounds, 2, region.Options{})
		if err != nil {
			b.Fatal(err)
		}
		cells += len(r.Cells())
		i++
	}
	b.ReportMetric(float64(cells)/float64(i), "cells")
}

func BenchmarkSearch8(b *testing.B)  { benchmarkSearch(b, 8) }
func BenchmarkSearch32(b *testing.B) { benchmarkSearch(b, 32) }
