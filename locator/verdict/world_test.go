package verdict_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// ball is a permit for tests: all positions of the shell within a chord of a centre.
type ball struct {
	centre earth.ECEF
	radius earth.Metres
}

func (b ball) Class(id s2.CellID) atlas.Class {
	c := earth.ColumnOf(id)
	switch {
	case c.MaxChord(b.centre) <= b.radius:
		return atlas.In
	case c.MinChord(b.centre) > b.radius:
		return atlas.Out
	}
	return atlas.Border
}

func (b ball) String() string { return "the ball" }

var frankfurt = earth.LatLon{Lat: 50.11, Lon: 8.68}

// towns lie around Frankfurt, each a domain of its own.
var towns = []struct {
	name string
	at   earth.LatLon
}{
	{"Frankfurt", frankfurt},
	{"Mannheim", earth.LatLon{Lat: 49.49, Lon: 8.47}},
	{"Cologne", earth.LatLon{Lat: 50.94, Lon: 6.96}},
	{"Stuttgart", earth.LatLon{Lat: 48.78, Lon: 9.18}},
	{"Kassel", earth.LatLon{Lat: 51.31, Lon: 9.49}},
	{"Nuremberg", earth.LatLon{Lat: 49.45, Lon: 11.08}},
	{"Leipzig", earth.LatLon{Lat: 51.34, Lon: 12.37}},
	{"Munich", earth.LatLon{Lat: 48.14, Lon: 11.58}},
}

// observe returns the observations that n towns make of a core at a place when signals run at c/stretch after delay at the core.
func observe(n int, core earth.LatLon, stretch float64, delay time.Duration) []verdict.Observation {
	var obs []verdict.Observation
	for i, town := range towns[:n] {
		d := float64(earth.Chord(town.at.ECEF(100), core.ECEF(100)))
		rtt := earth.RTT(2*d/float64(earth.Light)*stretch*1e9) + earth.RTT(delay) + 1000
		obs = append(obs, observation(i, town.at, rtt))
		obs[i].Place = town.name
	}
	return obs
}

func observation(i int, at earth.LatLon, rtt earth.RTT) verdict.Observation {
	return verdict.Observation{
		Beacon: fmt.Sprintf("b%03d", i), Domains: []string{fmt.Sprintf("d%03d", i)}, Position: at.ECEF(100), PosUnc: 10,
		RTT: rtt, Granularity: 100, ErrPPB: 200_000, Age: time.Second,
	}
}

var honest = verdict.Params{Speed: earth.Vacuum}

func judge(t testing.TB, obs []verdict.Observation, p verdict.Params, permit verdict.Permit) verdict.Verdict {
	t.Helper()
	v, err := verdict.Judge(obs, p, permit, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// randomWorld is a core among n beacons, some of which may lie or share a domain, and a permit around it.
func randomWorld(seed uint64) ([]verdict.Observation, verdict.Params, ball) {
	rng := rand.New(rand.NewPCG(seed, 3))
	core := earth.LatLon{Lat: rng.Float64()*178 - 89, Lon: rng.Float64()*360 - 180}
	n := 1 + rng.IntN(9)
	var obs []verdict.Observation
	for i := range n {
		at := earth.LatLon{Lat: max(-90, min(90, core.Lat+rng.NormFloat64()*6)), Lon: core.Lon}
		at.Lon = s2.LatLngFromDegrees(at.Lat, core.Lon+rng.NormFloat64()*6).Normalized().Lng.Degrees()
		d := float64(earth.Chord(at.ECEF(0), core.ECEF(0)))
		o := observation(i, at, earth.RTT(2*d/float64(earth.Light)*(1+rng.ExpFloat64()/2)*1e9)+earth.RTT(1e4+rng.ExpFloat64()*1e6))
		o.Domains = []string{fmt.Sprint("d", rng.IntN(2*n))}
		if rng.IntN(12) == 0 {
			o.RTT = earth.RTT(1 + rng.ExpFloat64()*2e5) // a liar
		}
		obs = append(obs, o)
	}
	f := rng.IntN(2)
	return obs, verdict.Params{Speed: earth.Vacuum, F: f, MaxAge: time.Minute}, ball{core.ECEF(0), earth.Metres(2e4 + rng.ExpFloat64()*1.5e6)}
}
