package verdict_test

import (
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The core stands in Moscow and lets answer: two colluding beacons near Frankfurt, honest ones there (far, so their radii are wide),
// and one honest one near Moscow, which it cannot keep out of the committee.
func colluders() (obs []verdict.Observation, permit ball, f int) {
	moscow := earth.LatLon{Lat: 55.75, Lon: 37.62}
	for i, town := range towns[:6] {
		d := float64(earth.Chord(town.at.ECEF(100), moscow.ECEF(100)))
		rtt := earth.RTT(2*d/float64(earth.Light)*1.5e9) + 50_000
		if i < 2 {
			rtt = 800_000 // the colluders
		}
		obs = append(obs, observation(i, town.at, rtt))
	}
	for i, at := range []earth.LatLon{{Lat: 55.9, Lon: 37.4}} {
		d := float64(earth.Chord(at.ECEF(100), moscow.ECEF(100)))
		obs = append(obs, observation(6+i, at, earth.RTT(2*d/float64(earth.Light)*1.5e9)+50_000))
	}
	return obs, ball{frankfurt.ECEF(0), 250e3}, 2
}

// dropOutliers is the mutant: beacons that contradict more others than the median does are thrown out before the counting.
func dropOutliers(obs []verdict.Observation) []verdict.Observation {
	against := make([]int, len(obs))
	for i, a := range obs {
		for _, b := range obs {
			reach := earth.Metres(float64(a.RTT+b.RTT) / 2e9 * float64(earth.Light))
			if earth.Chord(a.Position, b.Position) > reach {
				against[i]++
			}
		}
	}
	median := slices.Sorted(slices.Values(against))[len(obs)/2]
	var kept []verdict.Observation
	for i, o := range obs {
		if against[i] <= max(median, 1) {
			kept = append(kept, o)
		}
	}
	return kept
}

func TestMutantOutliersDroppedAcceptsFalsely(t *testing.T) {
	obs, permit, f := colluders()
	params := verdict.Params{Speed: earth.Vacuum, F: f}
	if v := judge(t, obs, params, permit); v.Inside() {
		t.Fatalf("two colluders of seven with f = 2 moved the core: %s", v.Text())
	}
	// The mutant reasons that outliers are the liars, so that those who remain are honest.
	if v := judge(t, dropOutliers(obs), verdict.Params{Speed: earth.Vacuum}, permit); !v.Inside() {
		t.Errorf("the mutant did not accept: the harness shows nothing\n%s", v.Text())
	}
}

// f as a share of those who answered: the core lets only colluders answer, and one in four of two is none.
func TestMutantFAsShareAcceptsFalsely(t *testing.T) {
	obs, permit, f := colluders()
	only := obs[:2]
	if v := judge(t, only, verdict.Params{Speed: earth.Vacuum, F: f}, permit); v.Inside() {
		t.Fatal("two colluders alone moved the core")
	}
	if v := judge(t, only, verdict.Params{Speed: earth.Vacuum, F: len(only) / 4}, permit); !v.Inside() {
		t.Error("the mutant did not accept: the harness shows nothing")
	}
}
