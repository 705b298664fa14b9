package estimate

import (
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/locator/estimate/places"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// codebook numbers the countries, so that sums over candidates need no map. Number 0 is no country: the sea, and land that no
// state is agreed to own.
type codebook struct {
	codes  []string
	number map[string]uint16
}

// countries knows every country of the atlas and of the places; others that beacons name count as none.
var countries = sync.OnceValue(func() *codebook {
	var all []string
	if list, err := atlas.Countries(); err == nil {
		for _, c := range list {
			if isCountry(c.Code) && c.Code != "ZZ" {
				all = append(all, c.Code)
			}
		}
	}
	for _, p := range places.All() {
		all = append(all, p.Country)
	}
	slices.Sort(all)
	b := &codebook{codes: append([]string{""}, slices.Compact(all)...), number: map[string]uint16{}}
	for i, c := range b.codes {
		b.number[c] = uint16(i)
	}
	return b
})

// at returns the country of a place, snapped to the nearest land as the atlas advises.
func (b *codebook) at(p earth.LatLon) uint16 {
	if place, ok := atlas.LookupNear(p, atlas.SnapDistance); ok {
		return b.number[place.Country]
	}
	return 0
}

func (b *codebook) site(beacon Beacon) uint16 {
	if beacon.Country != "" {
		return b.number[beacon.Country]
	}
	return b.at(beacon.At)
}
