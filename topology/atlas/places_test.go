package atlas_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func s1Angle(a float64) s1.Angle { return s1.Angle(a) }

func degrees(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }

func metresText(m earth.Metres) string { return degrees(float64(m)) + "m" }

func km(m earth.Metres) string { return degrees(m.Kilometres()) + "km" }

func metres(m float64) earth.Metres { return earth.Metres(m) }

func at(lat, lon float64) earth.LatLon { return earth.LatLon{Lat: lat, Lon: lon} }

func mustParse(t testing.TB, expression string) *atlas.Region {
	t.Helper()
	r, err := atlas.Parse(expression, atlas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cellAt returns the cell of a level around a point.
func cellAt(p earth.LatLon, level int) s2.CellID {
	return s2.CellFromPoint(p.Point()).ID().Parent(level)
}

// The places that such an atlas gets wrong, each with what is special about it.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name        string
		p           earth.LatLon
		country     string
		subdivision string
		claimants   []string
	}{
		{"Frankfurt, an ordinary place", at(50.11, 8.68), "DE", "DE-HE", nil},
		{"Svalbard is SJ, not NO", at(78.2, 15.6), "SJ", "NO-21", nil},
		{"Jan Mayen, which the source draws in Nordland", at(71.0, -8.4), "SJ", "NO-22", nil},
		{"Lesotho, an enclave in South Africa", at(-29.5, 28.2), "LS", "LS-K", nil},
		{"South Africa just outside Lesotho", at(-29.12, 26.22), "ZA", "ZA-FS", nil},
		{"Kaliningrad, an exclave of Russia", at(54.71, 20.5), "RU", "RU-KGD", nil},
		{"Gibraltar", at(36.13, -5.35), "GI", "GI-X01~", nil},
		{"Baarle-Hertog, which the source does not draw", at(51.443, 4.93), "NL", "NL-NB", []string{"NL", "BE"}},
		{"Büsingen, which the source does not draw", at(47.697, 8.69), "CH", "CH-SH", []string{"CH", "DE"}},
		{"Campione, which the source does not draw", at(45.968, 8.972), "CH", "CH-TI", []string{"CH", "IT"}},
		{"Llivia, an exclave that it does draw", at(42.465, 1.98), "ES", "ES-GI", nil},
		{"Vatican", at(41.903, 12.453), "VA", "VA-X01~", nil},
		{"Fiji east of the antimeridian", at(-16.85, -179.95), "FJ", "FJ-N", nil},
		{"Fiji west of the antimeridian", at(-16.5, 179.3), "FJ", "FJ-N", nil},
		{"Chukotka east of the antimeridian", at(67, -175), "RU", "RU-CHU", nil},
		{"on the antimeridian, written as 180", at(68, 180), "RU", "RU-CHU", nil},
		{"on the antimeridian, written as -180", at(68, -180), "RU", "RU-CHU", nil},
		{"the South Pole", at(-90, 0), "AQ", "AQ-X01~", nil},
		{"French Guiana has its own code", at(4.9, -52.3), "GF", "FR-GF", nil},
		{"Reunion", at(-21.1, 55.5), "RE", "FR-RE", nil},
		{"Bonaire", at(12.2, -68.3), "BQ", "NL-BQ1", nil},
		{"Christmas Island", at(-10.48, 105.63), "CX", "CX-X14~", nil},
		{"Crimea, which the source codes RU", at(44.95, 34.1), "UA", "UA-43", []string{"UA", "RU"}},
		{"Sevastopol", at(44.6, 33.55), "UA", "UA-40", []string{"UA", "RU"}},
		{"Kosovo is XK", at(42.6, 21.0), "XK", "XK-X09~", []string{"XK", "RS"}},
		{"Northern Cyprus", at(35.2, 33.36), "CY", "CY-X04~", []string{"CY", "TR"}},
		{"Somaliland", at(9.56, 44.06), "SO", "SO-X11~", []string{"SO", "ZZ"}},
		{"Taiwan", at(25.04, 121.55), "TW", "TW-TPE", []string{"TW", "CN"}},
		{"Golan, which the source draws in Israel", at(33.0, 35.78), "IL", "IL-Z", []string{"IL", "SY"}},
		{"Hala'ib, which the source draws in Egypt", at(22.3, 35.8), "EG", "EG-BA", []string{"EG", "SD"}},
		{"Siachen", at(35.42, 77.11), "IN", "IN-X06~", []string{"IN", "PK"}},
		{"Lake Michigan belongs to its states", at(43.5, -87), "US", "US-MI", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := atlas.Lookup(c.p)
			if !ok || got.Country != c.country || got.Subdivision != c.subdivision {
				t.Errorf("%v: got %s %s (%v), want %s %s", c.p, got.Country, got.Subdivision, ok, c.country, c.subdivision)
			}
			if !slices.Equal(got.Claimants, c.claimants) {
				t.Errorf("%v: claimed by %v, want %v", c.p, got.Claimants, c.claimants)
			}
			if !slices.Contains(atlas.CountriesTouching(cellAt(c.p, 20)), c.country) {
				t.Errorf("%v: a cell around it does not touch %s", c.p, c.country)
			}
		})
	}
}

// At sea nobody owns the place, unless the caller lets it snap to land near by.
func TestAtSea(t *testing.T) {
	for _, p := range []earth.LatLon{at(90, 0), at(0, 0), at(0, 180), at(0, -180), at(45, -35), at(42, 51)} {
		if got, ok := atlas.Lookup(p); ok {
			t.Errorf("%v is at sea, got %+v", p, got)
		}
		if got, ok := atlas.LookupNear(p, atlas.SnapDistance); ok {
			t.Errorf("%v is far from land, got %+v", p, got)
		}
	}
	pier := at(53.98, 6.9) // off the East Frisian islands
	if _, ok := atlas.Lookup(pier); ok {
		t.Fatalf("%v was meant to be at sea", pier)
	}
	got, ok := atlas.LookupNear(pier, 50_000)
	if !ok || got.Country != "DE" || !(got.OffBy > 1000 && got.OffBy < 50_000) {
		t.Errorf("%v snapped to %+v, %v", pier, got, ok)
	}
	if got, ok := atlas.LookupNear(pier, got.OffBy-10); ok {
		t.Errorf("snapped beyond the reach that was asked for: %+v", got)
	}
}

func TestFirstRegion(t *testing.T) {
	europe := mustParse(t, "EU27+EEA+CH+GB")
	for _, c := range []struct {
		name string
		p    earth.LatLon
		want atlas.Class
	}{
		{"Frankfurt", at(50.11, 8.68), atlas.In},
		{"the Rhine at Basel, where three members meet: no seam", at(47.59, 7.59), atlas.In},
		{"Geneva, a kilometre from France: no seam", at(46.2, 6.15), atlas.In},
		{"New York", at(40.7, -74), atlas.Out},
		{"the coast at Ostend", at(51.23, 2.92), atlas.Border},
		{"a core in the middle of the North Sea", at(56, 3), atlas.Out},
		{"Belgrade", at(44.8, 20.46), atlas.Out},
		{"Northern Cyprus, claimed by Turkey", at(35.3, 33.4), atlas.Border},
		{"Kaliningrad, inside the union's outline", at(54.71, 20.9), atlas.Out},
	} {
		if got := europe.ClassPoint(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
