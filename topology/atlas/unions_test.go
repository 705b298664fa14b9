package atlas_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

func members(t *testing.T, name string) []string {
	t.Helper()
	for _, u := range atlas.Unions() {
		if u.Name == name {
			return u.Members
		}
	}
	t.Fatalf("no union %s", name)
	return nil
}

// The member states of the European Union, from the list of the Publications Office's Interinstitutional Style Guide, by their names.
func TestEU27(t *testing.T) {
	want := map[string]string{
		"Belgium": "BE", "Bulgaria": "BG", "Czechia": "CZ", "Denmark": "DK", "Germany": "DE", "Estonia": "EE", "Ireland": "IE", "Greece": "GR",
		"Spain": "ES", "France": "FR", "Croatia": "HR", "Italy": "IT", "Cyprus": "CY", "Latvia": "LV", "Lithuania": "LT", "Luxembourg": "LU",
		"Hungary": "HU", "Malta": "MT", "Netherlands": "NL", "Austria": "AT", "Poland": "PL", "Portugal": "PT", "Romania": "RO",
		"Slovenia": "SI", "Slovakia": "SK", "Finland": "FI", "Sweden": "SE",
	}
	got := members(t, "EU27")
	if len(want) != 27 || len(got) != 27 {
		t.Errorf("%d members, want 27", len(got))
	}
	names := map[string]string{}
	countries, err := atlas.Countries()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range countries {
		names[c.Code] = c.Name
	}
	for name, code := range want {
		if !slices.Contains(got, code) || names[code] != name {
			t.Errorf("%s (%s, named %s) is missing", name, code, names[code])
		}
	}
}

// Each list: how many members the treaty has, some of them, and some who are often taken for one.
func TestUnions(t *testing.T) {
	for _, c := range []struct {
		name      string
		n         int
		in, notIn string
	}{
		{"EU27", 27, "CY MT HR", "GB NO CH OM IS RE"},
		{"EUOMR", 6, "GF GP MF MQ RE YT", "BL NC PF"},
		{"EEA", 30, "IS LI NO", "CH GB"},
		{"EFTA", 4, "CH IS LI NO", "GB"},
		{"SCHENGEN", 29, "CH IS LI NO BG RO HR", "CY IE GB"},
		{"EUROZONE", 21, "HR BG", "DK SE PL CZ HU RO"},
		{"NORDICS", 9, "FO GL AX SJ", "EE"},
		{"BENELUX", 3, "BE LU NL", "DE"},
		{"COE", 46, "TR UA GB AM AZ GE", "RU BY XK VA"},
		{"NATO", 32, "FI SE MK ME TR US CA", "AT CH IE CY MT UA"},
		{"FIVEEYES", 5, "AU CA GB NZ US", "IE"},
		{"AUKUS", 3, "AU GB US", "NZ"},
		{"ANZUS", 3, "AU NZ US", "GB"},
		{"QUAD", 4, "AU IN JP US", "KR"},
		{"G7", 7, "CA DE FR GB IT JP US", "RU"},
		{"G20", 19, "AR ID ZA TR", "ES NL"},
		{"OECD", 38, "CR CO IL KR LV LT", "BG RO HR CN BR"},
		{"USMCA", 3, "CA MX US", "GL"},
		{"MERCOSUR", 5, "BO", "VE CL"},
		{"ASEAN", 11, "TL", "PG"},
		{"GCC", 6, "OM", "IQ YE"},
		{"BRICS", 10, "ID ET", "AR SA"},
		{"CSTO", 6, "AM", "UZ"},
		{"EAEU", 5, "KG", "TJ"},
		{"SCO", 10, "BY IR", "TM MN"},
		{"AFRICANUNION", 55, "EH MA SS", "RE YT SH"},
	} {
		got := members(t, c.name)
		if len(got) != c.n || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != c.n {
			t.Errorf("%s has %d members, want %d, sorted, each once", c.name, len(got), c.n)
		}
		for _, m := range strings.Fields(c.in) {
			if !slices.Contains(got, m) {
				t.Errorf("%s lacks %s", c.name, m)
			}
		}
		for _, m := range strings.Fields(c.notIn) {
			if slices.Contains(got, m) {
				t.Errorf("%s is not in %s", m, c.name)
			}
		}
		mustParse(t, c.name)
	}
	if len(atlas.Unions()) != 26 {
		t.Errorf("%d unions, of which 26 are tested", len(atlas.Unions()))
	}
	countries, _ := atlas.Countries()
	for _, u := range atlas.Unions() {
		for _, m := range u.Members {
			if !slices.ContainsFunc(countries, func(c atlas.Country) bool { return c.Code == m }) {
				t.Errorf("%s: %s is no country of the atlas", u.Name, m)
			}
		}
	}
}
