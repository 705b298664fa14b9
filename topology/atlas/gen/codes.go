package main

import (
	"fmt"
	"sort"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

// unitCountry gives parts that the source files under their state the ISO 3166-1 code of their own.
var unitCountry = map[string]string{
	"GUF": "GF", "MTQ": "MQ", "GLP": "GP", "REU": "RE", "MYT": "YT", // France overseas
	"NSV": "SJ", "BVT": "BV", // Norway's Svalbard and Bouvet Island
	"CCK": "CC", "CXR": "CX", // Australia's Indian Ocean territories
}

// codeCountry does the same by subdivision, and names the country of places that have no code in the source.
var codeCountry = map[string]string{
	"NL-BQ1": "BQ", "NL-BQ2": "BQ", "NL-BQ3": "BQ", // Bonaire, Saba, Sint Eustatius
	"-99-X16~": "GB", "-99-X17~": "GB", // the sovereign base areas Dhekelia and Akrotiri are not part of the Republic of Cyprus
	"-99-X08~": "ZZ",                // Spratly Islands: no agreed state
	"UA-40":    "UA", "UA-43": "UA", // the source files Sevastopol and Crimea under Russia
}

// codeName replaces the name of a part where the source gives several features one code.
var codeName = map[string]string{
	"BA-BIH": "Federacija Bosne i Hercegovine", "MG-A": "Toamasina", "MG-D": "Antsiranana", "MG-F": "Fianarantsoa",
	"MG-M": "Mahajanga", "MG-T": "Antananarivo", "PH-MNL": "Manila", "MG-U": "Toliara",
	"AQ-X02~": "Antarctica (islands)", "CO-X01~": "Colombia (cays)", "VE-X01~": "Isla de Aves", "AI-X00": "Sombrero",
	"MX-X01~": "Mexico (cays)", "RU-X01~": "Russia (islets)", "NO-22": "Jan Mayen", "CY-X04~": "Northern Cyprus",
	"IN-X06~": "Siachen Glacier", "KZ-X05~": "Baikonur", "SY-X01~": "UNDOF zone (Golan)",
}

// countryName holds the names that the Unicode tables have not or not briefly.
var countryName = map[string]string{
	"HK": "Hong Kong", "MO": "Macao", "PS": "Palestine", "XK": "Kosovo", "ZZ": "no agreed state", "MM": "Myanmar", "CD": "DR Congo", "CG": "Congo",
}

func pieceOf(f feature, rings [][]wire.Vertex) piece {
	p := f.Properties
	country, code, name := p.Country, p.Code, p.Name
	if c, ok := unitCountry[p.Unit]; ok {
		country = c
	}
	if c, ok := codeCountry[code]; ok {
		country = c
	}
	if code == "NO-18" && isJanMayen(rings[0]) {
		country, code = "SJ", "NO-22"
	}
	if tail, ok := strings.CutPrefix(code, "-99-"); ok {
		code = country + "-" + tail
	}
	if n, ok := codeName[code]; ok {
		name = n
	}
	return piece{country, code, name, rings}
}

// isJanMayen tells the island in 71 N 8 W from the rest of Nordland, with which the source merges it.
func isJanMayen(ring []wire.Vertex) bool {
	return ring[0].Lat > 70*sourceQuantum && ring[0].Lon < -5*sourceQuantum
}

// nameAtoms fills the tables of the file, sorted by code, and returns each atom's number by country and subdivision. Features with
// one code become one atom, named after the largest.
func nameAtoms(file *wire.File, pieces []piece) (map[[2]string]int, error) {
	size, name := map[[2]string]float64{}, map[[2]string]string{}
	countries := map[string]int{}
	for _, p := range pieces {
		key := [2]string{p.country, p.code}
		if a := ringArea(p.rings[0]); a > size[key] {
			size[key], name[key] = a, p.name
		}
		countries[p.country] = 0
	}
	for code := range countries {
		full, err := nameOf(code)
		if err != nil {
			return nil, err
		}
		file.Countries = append(file.Countries, wire.Country{Code: code, Name: full})
	}
	sort.Slice(file.Countries, func(i, j int) bool { return file.Countries[i].Code < file.Countries[j].Code })
	for i, c := range file.Countries {
		countries[c.Code] = i
	}
	for key := range size {
		if key[1] == "" {
			return nil, fmt.Errorf("a part of %s has no code", key[0])
		}
		file.Atoms = append(file.Atoms, wire.Atom{Country: countries[key[0]], Code: key[1], Name: name[key]})
	}
	sort.Slice(file.Atoms, func(i, j int) bool {
		a, b := file.Atoms[i], file.Atoms[j]
		if a.Country != b.Country {
			return a.Country < b.Country
		}
		return a.Code < b.Code
	})
	number := map[[2]string]int{}
	for i, a := range file.Atoms {
		number[[2]string{file.Countries[a.Country].Code, a.Code}] = i + 1
	}
	return number, nil
}

func nameOf(code string) (string, error) {
	if n, ok := countryName[code]; ok {
		return n, nil
	}
	region, err := language.ParseRegion(code)
	if err != nil {
		return "", fmt.Errorf("country code %q: %w", code, err)
	}
	return display.English.Regions().Name(region), nil
}
