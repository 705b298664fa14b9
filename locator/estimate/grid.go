package estimate

import (
	"math"
	"sync"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The posterior lives on S2 cells of three sizes. A coarse cell (280 km) is the unit of the search: it is dropped when the bounds
// exclude it. A fine cell (70 km) is the unit of land: known by its centre as land of one country or as sea. A metro cell (9 km) is
// the unit of what people call a place.
const (
	coarseLevel = 5
	fineLevel   = 7
	metroLevel  = 10
	fineInside  = 1 << (2 * (fineLevel - coarseLevel))
)

// coarse is one cell of the search.
type coarse struct {
	id      s2.CellID
	centre  vec
	radius  float64 // km, from the centre to the farthest corner
	fine    [fineInside]s2.CellID
	country [fineInside]uint16 // of each fine cell's centre; sea for none
	land    int                // how many fine cells are land
	middle  vec                // of the land, or of the cell when it is all sea
}

// sea marks a fine cell without land; 0 is land of no agreed state.
const sea = math.MaxUint16

// grid holds all coarse cells, by id. Filling it asks the atlas 98,304 times, a tenth of a second.
var grid = sync.OnceValue(func() []coarse {
	var out []coarse
	book := countries()
	for id := s2.CellIDFromFace(0).ChildBeginAtLevel(coarseLevel); id != s2.CellIDFromFace(5).ChildEndAtLevel(coarseLevel); id = id.Next() {
		c := coarse{id: id}
		limit := s2.CellFromCellID(id).CapBound()
		c.centre, c.radius = limit.Center().Vector, limit.Radius().Radians()*radiusKM
		i := 0
		for f := id.ChildBeginAtLevel(fineLevel); f != id.ChildEndAtLevel(fineLevel); f = f.Next() {
			c.fine[i], c.country[i] = f, sea
			if place, ok := atlas.Lookup(earth.LatLonOf(f.Point())); ok {
				c.country[i] = book.number[place.Country]
				c.land++
				c.middle = c.middle.Add(f.Point().Vector)
			}
			i++
		}
		if c.land == 0 {
			c.middle = c.centre
		}
		c.middle = c.middle.Normalize()
		out = append(out, c)
	}
	return out
})
