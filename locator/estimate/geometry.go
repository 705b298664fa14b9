package estimate

import (
	"math"

	"github.com/golang/geo/r3"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// vec is a position as a unit vector. Distances of an estimate are great circles on the mean sphere, good to half a per cent.
type vec = r3.Vector

const radiusKM = float64(earth.MeanRadius) / 1000

func vecOf(p earth.LatLon) vec { return p.Point().Vector }

// km returns the great-circle distance.
func km(a, b vec) float64 {
	half := a.Sub(b).Norm() / 2
	return 2 * radiusKM * math.Asin(min(1, half))
}

// cosOf returns the least dot product of two unit vectors no farther than km apart.
func cosOf(km float64) float64 { return math.Cos(min(math.Pi, km/radiusKM)) }

func latLonOf(v vec) earth.LatLon { return earth.LatLonOf(s2.Point{Vector: v}) }

// areaKM2 returns the area of a cell on the mean sphere.
func areaKM2(id s2.CellID) float64 { return earth.CellArea(id) }
