package places_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/locator/estimate/places"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func find(t *testing.T, name, country string) places.Place {
	t.Helper()
	i := slices.IndexFunc(places.All(), func(p places.Place) bool { return p.Name == name && p.Country == country })
	if i < 0 {
		t.Fatalf("no %s in %s", name, country)
	}
	return places.All()[i]
}

func TestEmbeddedList(t *testing.T) {
	list := places.All()
	if len(list) < 24_000 || len(list) > 25_000 {
		t.Fatalf("%d places, want the 24,323 of the source", len(list))
	}
	for _, c := range []struct {
		name, country string
		at            earth.LatLon
		rank          places.Rank
		least         int
	}{
		{"Frankfurt am Main", "DE", earth.LatLon{Lat: 50.116, Lon: 8.684}, places.Ordinary, 600_000},
		{"Canberra", "AU", earth.LatLon{Lat: -35.283, Lon: 149.128}, places.Capital, 300_000},
		{"Suva", "FJ", earth.LatLon{Lat: -18.142, Lon: 178.442}, places.Capital, 70_000},
		{"Hong Kong", "HK", earth.LatLon{Lat: 22.278, Lon: 114.175}, places.Capital, 7_000_000},
	} {
		p := find(t, c.name, c.country)
		if earth.GreatCircle(p.At, c.at) > 2000 || p.Rank != c.rank || p.Population < c.least {
			t.Errorf("%s: got %+v", c.name, p)
		}
	}
	if !slices.IsSortedFunc(list, func(a, b places.Place) int { return strings.Compare(a.Country, b.Country) }) {
		t.Error("not sorted by country")
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "n")
		list := make([]places.Place, n)
		for i := range list {
			list[i] = places.Place{
				Name:       rapid.StringMatching(`[A-Za-zé][A-Za-z ]{0,9}`).Draw(t, "name"),
				Country:    rapid.SampledFrom([]string{"AA", "DE", "FJ", "ZW"}).Draw(t, "country"),
				At:         earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")},
				Population: rapid.IntRange(15_000, 40_000_000).Draw(t, "population"),
				Rank:       places.Rank(rapid.IntRange(0, 3).Draw(t, "rank")),
			}
		}
		packed, err := places.Encode(list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := places.Decode(packed)
		if err != nil || len(got) != n {
			t.Fatalf("%d places, %v", len(got), err)
		}
		for _, g := range got {
			if !slices.ContainsFunc(list, func(p places.Place) bool {
				return p.Name == g.Name && p.Country == g.Country && p.Rank == g.Rank && math.Abs(p.At.Lat-g.At.Lat) < 6e-4 &&
					math.Abs(p.At.Lon-g.At.Lon) < 6e-4 && math.Abs(float64(p.Population-g.Population)) <= 50
			}) {
				t.Fatalf("%+v came from nowhere", g)
			}
		}
		again, _ := places.Encode(got)
		if !bytes.Equal(packed, again) {
			t.Fatal("packing is not a function of the list")
		}
	})
}

func pack(body string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(body))
	z.Close()
	return b.Bytes()
}

func TestRefusals(t *testing.T) {
	const head = "ursa places 1\n"
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"no gzip", []byte("hello"), places.ErrGzip},
		{"too long", make([]byte, 2<<20), places.ErrCount},
		{"other file", pack("something"), places.ErrMagic},
		{"nothing after the head", pack(head), places.ErrShort},
		{"lower-case country", pack(head + "\x01de\x01"), places.ErrCountry},
		{"country twice", pack(head + "\x02DE\x01DE\x01"), places.ErrCountry},
		{"country without places", pack(head + "\x01DE\x00"), places.ErrCount},
		{"too many places", pack(head + "\x01DE\xff\xff\xff\x7f"), places.ErrCount},
		{"latitude beyond the pole", pack(head + "\x01DE\x01\xff\xff\x7f"), places.ErrPosition},
		{"longitude 1000", pack(head + "\x01DE\x01\x00\x80\x89\x7a\x01\x00x\n"), places.ErrPosition},
		{"unknown rank", pack(head + "\x01DE\x01\x00\x00\x01\x09x\n"), places.ErrCount},
		{"name missing", pack(head + "\x01DE\x01\x00\x00\x01\x00"), places.ErrName},
		{"name empty", pack(head + "\x01DE\x01\x00\x00\x01\x00\n"), places.ErrName},
		{"one name too many", pack(head + "\x01DE\x01\x00\x00\x01\x00x\ny\n"), places.ErrName},
	} {
		if _, err := places.Decode(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := places.Encode([]places.Place{{Name: "a\nb", Country: "DE"}}); !errors.Is(err, places.ErrName) {
		t.Errorf("line feed in a name: got %v", err)
	}
	if _, err := places.Encode([]places.Place{{Name: "a", Country: "DEU"}}); !errors.Is(err, places.ErrCountry) {
		t.Errorf("three letters: got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := places.Encode([]places.Place{{Name: "A", Country: "DE", At: earth.LatLon{Lat: 50, Lon: 8}, Population: 20000}})
	f.Add(good)
	f.Add(pack("ursa places 1\n\x01DE\x01\x00\x00\x01\x00x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := places.Decode(data)
		if err != nil {
			return
		}
		for _, p := range list {
			if p.At.Validate() != nil || p.Name == "" || len(p.Country) != 2 {
				t.Fatalf("accepted %+v", p)
			}
		}
	})
}
