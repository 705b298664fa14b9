package world_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func TestCities(t *testing.T) {
	cities, err := world.Cities()
	if err != nil || len(cities) < 300 {
		t.Fatalf("%d cities, %v", len(cities), err)
	}
	names, countries := make(map[string]bool), make(map[string]int)
	for _, c := range cities {
		if names[c.Name] || names[c.ID] {
			t.Errorf("%s is there twice", c.Name)
		}
		names[c.Name], names[c.ID] = true, true
		countries[c.Country]++
		if err := c.At.Validate(); err != nil || len(c.Country) != 2 || strings.ToUpper(c.Country) != c.Country || c.Population < 1000 || c.Access != world.DataCentre {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, eu := range strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK") {
		if countries[eu] == 0 {
			t.Errorf("no city in %s", eu)
		}
	}
	if len(countries) < 130 {
		t.Errorf("cities in %d countries", len(countries))
	}
}

// Distances that anybody can look up, in kilometres along the great circle.
func TestKnownDistances(t *testing.T) {
	w := builtin(t, 1, world.Public)
	for _, c := range []struct {
		a, b string
		km   float64
	}{
		{"Frankfurt", "Mainz", 32}, {"Frankfurt", "Darmstadt", 27}, {"Frankfurt", "Mannheim", 71}, {"Frankfurt", "Cologne", 153},
		{"Frankfurt", "Stuttgart", 153}, {"Frankfurt", "Strasbourg", 183}, {"Berlin", "Munich", 504}, {"London", "Paris", 344},
		{"Paris", "Brussels", 264}, {"Rome", "Milan", 477}, {"Madrid", "Lisbon", 503}, {"Vienna", "Bratislava", 55},
		{"Helsinki", "Tallinn", 82}, {"Oslo", "Stockholm", 416}, {"Copenhagen", "Malmo", 28}, {"Zurich", "Geneva", 224},
		{"Warsaw", "Kyiv", 690}, {"Moscow", "St Petersburg", 634}, {"Istanbul", "Athens", 562}, {"Dublin", "Belfast", 141},
		{"Reykjavik", "London", 1889}, {"New York", "Los Angeles", 3936}, {"New York", "London", 5570}, {"Chicago", "Toronto", 701},
		{"San Francisco", "San Jose", 67}, {"Ashburn", "Washington", 42}, {"Mexico City", "Bogota", 3167}, {"Sao Paulo", "Rio de Janeiro", 360},
		{"Buenos Aires", "Montevideo", 204}, {"Santiago", "Lima", 2466}, {"Tokyo", "Osaka", 397}, {"Seoul", "Busan", 325},
		{"Beijing", "Shanghai", 1068}, {"Hong Kong", "Shenzhen", 27}, {"Singapore", "Kuala Lumpur", 310}, {"Mumbai", "Delhi", 1150},
		{"Dubai", "Doha", 379}, {"Cairo", "Nairobi", 3530}, {"Johannesburg", "Cape Town", 1262}, {"Lagos", "Accra", 408},
		{"Sydney", "Melbourne", 714}, {"Perth", "Sydney", 3290}, {"Auckland", "Wellington", 494}, {"Honolulu", "Los Angeles", 4117},
	} {
		km := earth.GreatCircle(find(t, w, c.a).At, find(t, w, c.b).At).Kilometres()
		if d := km - c.km; d < -6-0.006*c.km || d > 6+0.006*c.km {
			t.Errorf("%s to %s: %.0f km, known %.0f", c.a, c.b, km, c.km)
		}
	}
}

func TestFind(t *testing.T) {
	w := builtin(t, 1, world.Public)
	for typed, id := range map[string]string{
		"Frankfurt": "frankfurt", "  fRANKFURT ": "frankfurt", "frankfurt, de": "frankfurt", "Zürich": "zurich", "São Paulo": "sao-paulo",
		"sao-paulo": "sao-paulo", "saint denis": "saint-denis", "New York, US": "new-york", "St. Louis": "st-louis",
	} {
		if p := find(t, w, typed); p.ID != id {
			t.Errorf("%q found %s", typed, p.ID)
		}
	}
	for typed, says := range map[string]string{
		"Frankfrt":                `unknown place "Frankfrt": did you mean Frankfurt?`,
		"Fankrfurt":               "did you mean Frankfurt?",
		"Tromsø":                  "did you mean Tromso",
		"San":                     "did you mean Santiago or Santo Domingo or San Jose?",
		"Xanadu":                  `unknown place "Xanadu": world "cities" knows 327 places by name or id, e.g. Frankfurt`,
		"":                        `unknown place "": world "cities" knows`,
		strings.Repeat("x", 1000): `xxx…"`,
	} {
		_, err := w.Find(typed)
		if !errors.Is(err, world.ErrUnknownPlace) || !strings.Contains(err.Error(), says) || len(err.Error()) > 200 {
			t.Errorf("%q: %v\nshould say: %s", typed, err, says)
		}
	}
}

func TestFindInAnAmbiguousWorld(t *testing.T) {
	place := func(id, country string) world.Place {
		return world.Place{ID: id, Name: "San Jose", Country: country, Access: world.Wired}
	}
	w, err := world.Synthetic("x", []world.Place{place("n1", "US"), place("n2", "CR"), place("n3", "CR")}, world.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p := find(t, w, "san jose, us"); p.ID != "n1" {
		t.Errorf("found %s", p.ID)
	}
	if p := find(t, w, "N3"); p.ID != "n3" {
		t.Errorf("found %s", p.ID)
	}
	for _, typed := range []string{"San Jose", "San Jose, CR"} {
		if _, err := w.Find(typed); !errors.Is(err, world.ErrAmbiguousPlace) || !strings.Contains(err.Error(), "say which by its id: San Jose, ") {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// Whatever is typed: no panic, and an answer of one line.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"Frankfurt", "", "\xff\xfe", "é", "a\nb", strings.Repeat("ü", 100)} {
		f.Add(s)
	}
	w, err := world.Builtin(world.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		if _, err := w.Find(typed); err != nil && (strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 600) {
			t.Fatalf("%q", err)
		}
	})
}
