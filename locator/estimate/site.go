package estimate

import (
	"math"
	"slices"
	"sync"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/estimate/places"
)

// site is a populated place with what the prior wants to know about it.
type site struct {
	leaf    s2.CellID
	at      vec
	country uint16
	place   *places.Place
	// logPop is log(population / 100,000); town and region are the log of its share of the people around it, by a Gaussian of 40 km
	// and of 200 km: is it the city of its surroundings, or a suburb?
	logPop, town, region float64
}

const (
	townKM, regionKM = 40, 200
	reachKM          = 500 // where the sums stop
)

// sites lists the places by cell, so that those in a cell are neighbours in the list.
var sites = sync.OnceValue(func() []site {
	list := places.All()
	book := countries()
	out := make([]site, len(list))
	for i := range list {
		p := &list[i]
		at := vecOf(p.At)
		out[i] = site{leaf: s2.CellIDFromLatLng(s2.LatLngFromDegrees(p.At.Lat, p.At.Lon)), at: at, country: book.number[p.Country], place: p,
			logPop: math.Log(float64(max(places.MinPopulation, p.Population)) / 1e5)}
	}
	slices.SortFunc(out, func(a, b site) int {
		switch {
		case a.leaf != b.leaf:
			if a.leaf < b.leaf {
				return -1
			}
			return 1
		case a.place.Name < b.place.Name:
			return -1
		}
		return 1
	})
	dominance(out)
	return out
})

// dominance fills in the shares. It walks the places by latitude, so that only a band of them is compared.
func dominance(list []site) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if d := list[a].at.Z - list[b].at.Z; d != 0 {
			return int(math.Copysign(1, d))
		}
		return a - b
	})
	near := cosOf(reachKM)
	for q, i := range order {
		a := &list[i]
		townSum, regionSum := 0.0, 0.0
		for _, step := range []int{1, -1} {
			z := q
			if step < 0 {
				z--
			}
			for ; z >= 0 && z < len(order); z += step {
				b := &list[order[z]]
				if math.Abs(a.at.Z-b.at.Z) > reachKM/radiusKM {
					break
				}
				if a.at.Dot(b.at) < near {
					continue
				}
				d := km(a.at, b.at)
				people := math.Exp(b.logPop)
				townSum += people * math.Exp(-d*d/(2*townKM*townKM))
				regionSum += people * math.Exp(-d*d/(2*regionKM*regionKM))
			}
		}
		a.town, a.region = a.logPop-math.Log(townSum), a.logPop-math.Log(regionSum)
	}
}

// sitesIn returns the range of sites within a cell.
func sitesIn(list []site, id s2.CellID) (from, to int) {
	compare := func(s site, leaf s2.CellID) int {
		if s.leaf < leaf {
			return -1
		}
		return 1
	}
	from, _ = slices.BinarySearchFunc(list, id.RangeMin(), compare)
	to, _ = slices.BinarySearchFunc(list, id.RangeMax()+1, compare)
	return from, to
}
