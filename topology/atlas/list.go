package atlas

import (
	"fmt"
	"strings"
)

// Country is one of the atlas's countries.
type Country struct {
	Code         string `json:"code"` // ISO 3166-1 alpha-2; XK for Kosovo, ZZ where no state is agreed
	Name         string `json:"name"` // in English
	Subdivisions int    `json:"subdivisions"`
}

// Subdivision is one of the atoms of a country.
type Subdivision struct {
	Code    string `json:"code"` // ISO 3166-2, or in its form (ending in ~) where ISO assigns none
	Name    string `json:"name"`
	Country string `json:"country"`
	// Claimants lists every country that claims it, its own first, when there is more than one.
	Claimants []string `json:"claimants,omitempty"`
	Dispute   string   `json:"dispute,omitempty"`
}

// Dispute is a place that several states claim, or an enclave that the data does not draw.
type Dispute struct {
	Name      string   `json:"name"`
	Claimants []string `json:"claimants"` // sorted
	// Places lists the countries and subdivisions in dispute. It is empty where the dispute is about a part of them that the atlas
	// draws itself.
	Places []string `json:"places,omitempty"`
}

// Countries returns all countries, sorted by code.
func Countries() ([]Country, error) {
	w, err := load()
	if err != nil {
		return nil, err
	}
	var out []Country
	for _, c := range w.countries {
		out = append(out, Country{c.Code, c.Name, len(w.byCountry[c.Code])})
	}
	return out, nil
}

// Subdivisions returns the subdivisions of a country, sorted by code. The error of an unknown country says what may have been meant.
func Subdivisions(country string) ([]Subdivision, error) {
	w, err := load()
	if err != nil {
		return nil, err
	}
	code := strings.ToUpper(country)
	if w.byCountry[code] == nil {
		return nil, fmt.Errorf("%w: country %q%s", ErrUnknown, clip(country), w.hint(country))
	}
	var out []Subdivision
	for _, n := range w.byCountry[code] {
		p := w.atoms[n].place
		out = append(out, Subdivision{p.Subdivision, p.Name, code, append([]string(nil), p.Claimants...), p.Dispute})
	}
	return out, nil
}

// Disputes returns the table of disputes and enclaves that Strict regions keep out of.
func Disputes() ([]Dispute, error) {
	w, err := load()
	if err != nil {
		return nil, err
	}
	var out []Dispute
	for _, d := range disputes {
		var all countrySet
		for _, n := range w.atomsOf(d.where) {
			all.merge(w.atoms[n].countries)
		}
		out = append(out, Dispute{d.name, w.names(all), append([]string(nil), d.where...)})
	}
	for i := range w.zones {
		z := &w.zones[i]
		out = append(out, Dispute{z.name, w.names(z.countries), nil})
	}
	return out, nil
}
