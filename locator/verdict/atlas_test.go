package verdict_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func permit(t testing.TB, expression string) *atlas.Region {
	t.Helper()
	r, err := atlas.Parse(expression, atlas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// around returns three beacons within some kilometres of a core, near enough that the region has a radius of about so many kilometres.
func around(at earth.LatLon, km float64) []verdict.Observation {
	var obs []verdict.Observation
	for i, turn := range []float64{0, 0.3, -0.3} {
		lat := max(-90, min(90, at.Lat+turn*km/111))
		beacon := earth.LatLon{Lat: lat, Lon: at.Lon}
		rtt := earth.RTT((float64(earth.Chord(beacon.ECEF(0), at.ECEF(0))) + km*1000/2) * 2 / float64(earth.Light) * 1e9)
		obs = append(obs, observation(i, beacon, rtt+1000))
	}
	return obs
}

// Places where borders are hard. Within the atlas's accuracy of a border nothing is certain, on either side.
func TestHardPlaces(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     earth.LatLon
		km     float64
		permit string
		want   verdict.Kind
	}{
		{"Lesotho is not South Africa around it", earth.LatLon{Lat: -29.55, Lon: 28.5}, 20, "ZA", verdict.Outside},
		{"Lesotho", earth.LatLon{Lat: -29.55, Lon: 28.5}, 20, "LS", verdict.Inside},
		{"Maseru, on Lesotho's border", earth.LatLon{Lat: -29.31, Lon: 27.48}, 5, "LS", verdict.Undetermined},
		{"Lesotho or South Africa, across the border", earth.LatLon{Lat: -29.31, Lon: 27.48}, 30, "LS+ZA", verdict.Inside},
		{"Baarle may be either", earth.LatLon{Lat: 51.443, Lon: 4.93}, 2, "BE", verdict.Undetermined},
		{"Baarle may be either, again", earth.LatLon{Lat: 51.443, Lon: 4.93}, 2, "NL", verdict.Undetermined},
		{"Baarle is in one of them", earth.LatLon{Lat: 51.443, Lon: 4.93}, 2, "BE+NL", verdict.Inside},
		{"Kaliningrad is not in the EU", earth.LatLon{Lat: 54.71, Lon: 20.9}, 5, "EU27", verdict.Outside},
		{"Kaliningrad is in Russia", earth.LatLon{Lat: 54.71, Lon: 20.9}, 5, "RU", verdict.Inside},
		{"Gibraltar is too small to be told from Spain", earth.LatLon{Lat: 36.14, Lon: -5.35}, 1, "ES", verdict.Undetermined},
		{"Gibraltar, the other way round", earth.LatLon{Lat: 36.14, Lon: -5.35}, 1, "GI", verdict.Undetermined},
		{"Basel touches the border", earth.LatLon{Lat: 47.56, Lon: 7.59}, 3, "CH", verdict.Undetermined},
		{"Svalbard has its own code", earth.LatLon{Lat: 78.9, Lon: 17}, 10, "NO", verdict.Outside},
		{"Svalbard", earth.LatLon{Lat: 78.9, Lon: 17}, 5, "SJ", verdict.Inside},
		{"Fiji across the antimeridian", earth.LatLon{Lat: -17, Lon: 179.95}, 20, "cap(-17,-179.9,100km)", verdict.Inside},
		{"Fiji is far from Tonga", earth.LatLon{Lat: -17.8, Lon: 178}, 20, "TO", verdict.Outside},
		{"north pole, at sea", earth.LatLon{Lat: 90}, 50, "EU27+NO+RU+CA+US+GL+IS+SJ", verdict.Outside},
		{"middle of the Atlantic", earth.LatLon{Lat: 30, Lon: -40}, 100, "EU27", verdict.Outside},
		{"Crimea is not Russia's for certain", earth.LatLon{Lat: 45.3, Lon: 34.2}, 5, "RU", verdict.Undetermined},
		{"Crimea is not Ukraine's for certain", earth.LatLon{Lat: 45.3, Lon: 34.2}, 5, "UA", verdict.Undetermined},
		{"Crimea is in one of them", earth.LatLon{Lat: 45.3, Lon: 34.2}, 5, "RU+UA", verdict.Inside},
	} {
		v, err := verdict.Judge(around(c.at, c.km), honest, permit(t, c.permit), atlas.CountriesTouching)
		if err != nil {
			t.Fatal(err)
		}
		if v.Kind() != c.want {
			t.Errorf("%s: want %v\n%s", c.name, c.want, v.Text())
		}
	}
}

// Containment against exact point-in-polygon tests: a place that the bounds allow is in the country when the verdict says so.
func TestVerdictAgainstExactLookup(t *testing.T) {
	kinds := map[verdict.Kind]int{}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 5))
		core := earth.LatLon{Lat: 36 + rng.Float64()*30, Lon: -9 + rng.Float64()*40}
		code := []string{"DE", "FR", "PL", "SE", "EU27"}[rng.IntN(5)]
		area := permit(t, code)
		obs := around(core, 3+rng.ExpFloat64()*60)
		v := judge(t, obs, honest, area)
		kinds[v.Kind()]++
		if v.Kind() != verdict.Inside && v.Kind() != verdict.Outside {
			continue
		}
		e, _ := v.Explain()
		for range 40 {
			p := earth.LatLon{Lat: core.Lat + rng.NormFloat64()*0.4, Lon: core.Lon + rng.NormFloat64()*0.6}
			allowed := true
			for i, b := range e.Beacons {
				allowed = allowed && earth.Chord(obs[i].Position, p.ECEF(0)) <= b.Radius
			}
			place, onLand := atlas.Lookup(p)
			in := onLand && (place.Country == code || code == "EU27" && slices.Contains(eu27(t), place.Country))
			if allowed && in != v.Inside() {
				t.Fatalf("seed %d: %v for %s, yet %v (%s) is allowed", seed, v.Kind(), code, p, place.Country)
			}
		}
	}
	if kinds[verdict.Inside] == 0 || kinds[verdict.Outside] == 0 || kinds[verdict.Undetermined] == 0 {
		t.Errorf("kinds seen: %v", kinds)
	}
}

func eu27(t *testing.T) []string {
	t.Helper()
	for _, u := range atlas.Unions() {
		if u.Name == "EU27" {
			return u.Members
		}
	}
	t.Fatal("the atlas has no EU27")
	return nil
}

// fleet is n observations of a core in Frankfurt by towns of Germany, f = 2.
func fleet(n int, delay time.Duration) ([]verdict.Observation, verdict.Params) {
	var obs []verdict.Observation
	for i := range n {
		at := towns[i%len(towns)].at
		at.Lat += float64(i/len(towns)) * 0.3
		at.Lon += float64(i/len(towns)) * 0.5
		d := float64(earth.Chord(at.ECEF(100), frankfurt.ECEF(100)))
		obs = append(obs, observation(i, at, earth.RTT(2*d/float64(earth.Light)*1.9e9)+earth.RTT(delay)+1000))
	}
	return obs, verdict.Params{Speed: earth.Vacuum, F: 2}
}

// benchmarkVerdict judges against a country, at access delays from a rack's to a home's: the region is from 15 km to 3,000 km wide.
func benchmarkVerdict(b *testing.B, n int, region string) {
	area := permit(b, region)
	for _, delay := range []time.Duration{50 * time.Microsecond, 500 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond} {
		obs, params := fleet(n, delay)
		if _, err := verdict.Judge(obs, params, area, atlas.CountriesTouching); err != nil { // the atlas remembers
			b.Fatal(err)
		}
		b.Run(delay.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := verdict.Judge(obs, params, area, atlas.CountriesTouching); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerdict8(b *testing.B)      { benchmarkVerdict(b, 8, "DE") }
func BenchmarkVerdict32(b *testing.B)     { benchmarkVerdict(b, 32, "DE") }
func BenchmarkVerdict8EU27(b *testing.B)  { benchmarkVerdict(b, 8, "EU27") }
func BenchmarkVerdict32EU27(b *testing.B) { benchmarkVerdict(b, 32, "EU27") }

func BenchmarkExplain8(b *testing.B) {
	area := permit(b, "DE")
	obs, params := fleet(8, 500*time.Microsecond)
	for b.Loop() {
		v, err := verdict.Judge(obs, params, area, atlas.CountriesTouching)
		if err != nil {
			b.Fatal(err)
		}
		v.Explain()
	}
}
