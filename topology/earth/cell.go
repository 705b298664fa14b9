package earth

import (
	"math"

	"github.com/golang/geo/s2"
)

// S2 divides a unit sphere. Here a point of that sphere is the outward normal of the ellipsoid, that is, the geodetic latitude
// and longitude, so that a cell is a set of geodetic positions and no datum shift can creep in.

// Point returns the S2 point of a geodetic position.
func (p LatLon) Point() s2.Point { return s2.PointFromLatLng(s2.LatLngFromDegrees(p.Lat, p.Lon)) }

// LatLonOf returns the geodetic position of an S2 point.
func LatLonOf(p s2.Point) LatLon {
	ll := s2.LatLngFromPoint(p)
	return LatLon{ll.Lat.Degrees(), ll.Lng.Degrees()}
}

// Column is a body that encloses every position above a cell at every height of the shell: the vertical segment over the cell's
// centre, thickened by Thick.
//
// Proof. Let x(n, h) be the position with normal n and height h, and let every normal of the cell lie within the angle α of n0
// (the cell's bounding cap). The derivative of n ↦ x(n, h) has the two principal radii of curvature plus h as its singular
// values; none exceeds MaxCurvatureRadius + MaxHeight. Along the arc from n0 to n, of length at most α, the position therefore
// moves by at most (MaxCurvatureRadius + MaxHeight)·α, and x(n0, h) lies on the segment.
type Column struct {
	low, high ECEF // ends of the segment, at MinHeight and MaxHeight
	thick     Metres
}

// ColumnOf returns the column over an S2 cell.
func ColumnOf(id s2.CellID) Column { return ColumnOfCap(s2.CellFromCellID(id).CapBound()) }

// ColumnOfCap returns the column over a spherical cap of normals.
func ColumnOfCap(c s2.Cap) Column {
	n := c.Center()
	return Column{
		low:   onNormal(n.X, n.Y, n.Z, MinHeight),
		high:  onNormal(n.X, n.Y, n.Z, MaxHeight),
		thick: (MaxCurvatureRadius+MaxHeight)*Metres(c.Radius().Radians()*(1+1e-12)) + ArithmeticError,
	}
}

// Thick returns the column's horizontal half-width in metres.
func (c Column) Thick() Metres { return c.thick }

// MinChord returns a lower bound of the chord from p to any position in the column; zero when p may be inside.
func (c Column) MinChord(p ECEF) Metres {
	axis := sub(c.high, c.low)
	t := dot(sub(p, c.low), axis) / dot(axis, axis)
	t = math.Max(0, math.Min(1, t))
	nearest := ECEF{c.low.X + t*axis.X, c.low.Y + t*axis.Y, c.low.Z + t*axis.Z}
	return max(0, Chord(p, nearest)-c.thick-2*ArithmeticError)
}

// MaxChord returns an upper bound of the chord from p to any position in the column. Distance from a point is convex along the
// segment, so the farther end bounds it.
func (c Column) MaxChord(p ECEF) Metres {
	return max(Chord(p, c.low), Chord(p, c.high)) + c.thick + 2*ArithmeticError
}

// CellArea returns the area of a cell on the ellipsoid in km²: the solid angle of its normals times the product of the two
// principal radii of curvature at its centre (the Gauss map's Jacobian). An estimate for people, good to the cell's size squared.
func CellArea(id s2.CellID) float64 {
	cell := s2.CellFromCellID(id)
	z := cell.Center().Z
	w := 1 - ecc2*z*z
	meridian := float64(SemiMajor) * (1 - ecc2) / (w * math.Sqrt(w))
	prime := float64(SemiMajor) / math.Sqrt(w)
	return cell.ApproxArea() * meridian * prime / 1e6
}
