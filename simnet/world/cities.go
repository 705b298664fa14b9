package world

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// citiesCSV is the table of built-in cities: name, ISO country, WGS84 position of the centre to about a kilometre, and people
// within the city's limits, rounded. Facts, written down for this project.
//
//go:embed cities.csv
var citiesCSV string

var cities = sync.OnceValues(func() ([]Place, error) { return parseCities(citiesCSV) })

// errCities reports a table that is not as it should be; the package's test keeps the embedded one from it.
var errCities = errors.New("cities.csv")

// Cities returns the built-in cities, all with data-centre access: towns in every part of Europe, many of them neighbours, and the
// larger towns of the rest of the world.
func Cities() ([]Place, error) {
	all, err := cities()
	return slices.Clone(all), err
}

func parseCities(text string) ([]Place, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCities, err)
	}
	if len(rows) == 0 || strings.Join(rows[0], ",") != "name,country_iso2,lat,lon,population" {
		return nil, fmt.Errorf("%w: wrong header", errCities)
	}
	places := make([]Place, 0, len(rows)-1)
	for i, row := range rows[1:] {
		lat, errLat := strconv.ParseFloat(row[2], 64)
		lon, errLon := strconv.ParseFloat(row[3], 64)
		people, errPeople := strconv.Atoi(row[4])
		if err := errors.Join(errLat, errLon, errPeople); err != nil {
			return nil, fmt.Errorf("%w:%d: %w", errCities, i+2, err)
		}
		p := Place{ID: strings.ReplaceAll(fold(row[0]), " ", "-"), Name: row[0], Country: row[1], Population: people, Access: DataCentre}
		p.At.Lat, p.At.Lon = lat, lon
		places = append(places, p)
	}
	return places, nil
}
