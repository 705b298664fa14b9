package region

import (
	"cmp"
	"iter"
	"slices"
	"sync"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Region is a set of S2 cells that holds every place the bounds allow. It is immutable.
type Region struct {
	search *searcher
	level  int    // the level at which the descent stopped
	kept   []node // kept cells in the order of the Hilbert curve
	whole  []int  // levels of the cells taken whole, while the descent runs
	counts []int  // kept cells on each level of the descent, those taken whole counted by their parts
	cells  s2.CellUnion
}

// countWhole returns how many cells of the current level the cells taken whole amount to.
func (r *Region) countWhole() int {
	n := 0
	for _, level := range r.whole {
		n += 1 << (2 * (r.level - level))
	}
	return n
}

func (r *Region) finish() {
	r.whole = nil
	slices.SortFunc(r.kept, func(a, b node) int { return cmp.Compare(a.id, b.id) })
	r.cells = make(s2.CellUnion, len(r.kept))
	for i, n := range r.kept {
		r.cells[i] = n.id
	}
	r.cells.Normalize()
}

// Empty says that no place satisfies the bounds: more than f domains are faulty.
func (r *Region) Empty() bool { return len(r.cells) == 0 }

// Cells returns the region as a normalised S2 cell union (sorted, no overlaps, four siblings merged). The caller owns the copy.
func (r *Region) Cells() s2.CellUnion { return slices.Clone(r.cells) }

// Level returns the S2 level of the smallest cells of the plain search.
func (r *Region) Level() int { return r.level }

// CellsAt returns how many cells of the given level the plain search kept, and false for levels it did not visit. On equal level
// weaker evidence never keeps fewer: a measure by which two regions can be compared without the grain of their search.
func (r *Region) CellsAt(level int) (int, bool) {
	if level < 0 || level >= len(r.counts) {
		return 0, false
	}
	return r.counts[level], true
}

// Contains says whether the place lies in the region. True for the true place whenever at most f domains are faulty.
func (r *Region) Contains(p earth.LatLon) bool {
	return p.Validate() == nil && r.cells.ContainsCellID(s2.CellFromPoint(p.Point()).ID())
}

// areaLevel is fine enough for earth.CellArea to err by less than areaMargin (its relative error is of the order of the cell's
// angular size squared, 0.0006 at level 6, times the eccentricity's 0.007 and the flat-cell term of ApproxArea).
const (
	areaLevel  = 6
	areaMargin = 1.001
)

// AreaKM2 returns an upper estimate of the region's area in km² on the ellipsoid; 0 when empty, 510,065,622 for the whole Earth.
func (r *Region) AreaKM2() float64 {
	total := 0.0
	for _, id := range r.cells {
		total += cellArea(id)
	}
	return min(total*areaMargin, earthKM2)
}

const earthKM2 = 510_065_621.7 // WGS84 ellipsoid (TR8350.2)

func cellArea(id s2.CellID) float64 {
	if id.Level() >= areaLevel {
		return earth.CellArea(id)
	}
	return coarseAreas()[id.Level()][placeOf(id)]
}

// placeOf numbers the cells of a level along the curve.
func placeOf(id s2.CellID) uint64 { return uint64(id) >> (2*(s2.MaxLevel-id.Level()) + 1) }

// coarseAreas holds the area of every cell coarser than areaLevel, the sum of its parts on that level. A region that spans oceans
// has hundreds of such cells, and would sum thousands of parts each time it is asked.
var coarseAreas = sync.OnceValue(func() (areas [areaLevel][]float64) {
	for level := range areas {
		areas[level] = make([]float64, 6<<(2*level))
		for id := range cellsOf(level) {
			sum := 0.0
			for c := id.ChildBeginAtLevel(areaLevel); c != id.ChildEndAtLevel(areaLevel); c = c.Next() {
				sum += earth.CellArea(c)
			}
			areas[level][placeOf(id)] = sum
		}
	}
	return areas
})

// cellsOf yields the cells of a level along the curve.
func cellsOf(level int) iter.Seq[s2.CellID] {
	return func(yield func(s2.CellID) bool) {
		end := s2.CellIDFromFace(5).ChildEndAtLevel(level)
		for id := s2.CellIDFromFace(0).ChildBeginAtLevel(level); id != end && yield(id); id = id.Next() {
		}
	}
}

// Reach returns how far the region stretches from p: at least lo (when the farthest cell holds a place of the region at all) and
// certainly no farther than hi. Zero for the empty region.
func (r *Region) Reach(p earth.ECEF) (lo, hi earth.Metres) {
	for _, id := range r.cells {
		column := earth.ColumnOf(id)
		lo, hi = max(lo, column.MinChord(p)), max(hi, column.MaxChord(p))
	}
	return lo, hi
}
