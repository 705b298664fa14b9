package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// fleetOf places n beacons and lets a share of them report round trips as fast as the floor allows, which no pair can be refused for.
func fleetOf(n, liars int, seed uint64) ([]model.Node, matrix) {
	r := rand.New(rand.NewPCG(seed, 4))
	nodes, m := make([]model.Node, n), make(matrix, n)
	for i := range nodes {
		nodes[i] = model.Node{ID: string(rune(0x4e00 + i)), At: earth.LatLon{Lat: r.Float64()*100 - 50, Lon: r.Float64()*360 - 180}}
		m[i] = make([]earth.RTT, n)
	}
	for i := range m {
		for j := range i {
			km := earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres()
			fibre := km * 2 * model.GroupIndex / 299.792458
			ms := 1 + fibre*max(1.15, 2.1*math.Exp(0.38*r.NormFloat64()))
			if j < liars { // the lower index is the liar of a pair
				ms = model.Floor(model.Kilometres(km)).Millis() * 1.001
			}
			m[i][j] = earth.RTTFromMillis(max(0.01, ms))
			m[j][i] = m[i][j]
		}
	}
	return nodes, m
}

// One liar in thirty-three pulls no honest beacon's bestline, nor the fleet's, below the honest pairs', and moves no offset by more than
// a few milliseconds of a hundred: the quickest pairs are set aside, and a median does not look at sizes.
func TestLiarsMoveNobodysBestline(t *testing.T) {
	const n, liars = 100, 3
	fit := func(k int) *model.Model {
		nodes, m := fleetOf(n, k, 9)
		got, err := model.Fit(nodes, m, dates)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	honest, poisoned := fit(0), fit(liars)
	below := func(l *model.Bestline) bool { // honest pairs run at 1.15 times fibre and a millisecond, or slower
		if l == nil {
			return true
		}
		for _, km := range []float64{2000, 8000} {
			if fibre := km * 2 * model.GroupIndex / 299.792458; l.Intercept+l.Slope*km < 0.93*(1+1.15*fibre) {
				return true
			}
		}
		return false
	}
	if below(poisoned.Bestline) {
		t.Errorf("the fleet's bestline became %+v", poisoned.Bestline)
	}
	for i, b := range honest.Beacons[liars:] {
		p := poisoned.Beacons[liars+i]
		if below(p.Bestline) {
			t.Errorf("%s: bestline %+v became %+v", b.ID, b.Bestline, p.Bestline)
		}
		if math.Abs(b.OffsetMS-p.OffsetMS) > 12 {
			t.Errorf("%s: offset %.1f ms became %.1f ms", b.ID, b.OffsetMS, p.OffsetMS)
		}
	}
	for _, p := range poisoned.Beacons[:liars] { // the test must be able to fail: the liars' own lines do lie below
		if !below(p.Bestline) {
			t.Errorf("the liar %s still has the bestline %+v", p.ID, p.Bestline)
		}
	}
}
