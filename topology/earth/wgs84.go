package earth

import (
	"errors"
	"fmt"
	"math"
)

// The WGS84 ellipsoid (NIMA TR8350.2, third edition, table 3.1): the semi-major axis and the flattening define it, the others
// are derived.
const (
	SemiMajor  Metres = 6_378_137
	Flattening        = 1 / 298.257223563
	SemiMinor         = SemiMajor * (1 - Flattening)
	ecc2              = Flattening * (2 - Flattening)

	// MaxCurvatureRadius is a²/b, the polar radius of curvature and the largest of the ellipsoid in any direction.
	MaxCurvatureRadius = SemiMajor / (1 - Flattening)

	// MeanRadius is the IUGG mean radius (2a+b)/3. For estimates only: a sphere errs by -0.45 % to +0.56 %, unsound one way.
	MeanRadius Metres = 6_371_008.8
)

// The shell in which a core may stand: from the deepest mine to above the highest summit, in metres of ellipsoid height.
const (
	MinHeight Metres = -500
	MaxHeight Metres = 9_000
)

// ArithmeticError bounds the rounding error of one chord computed here: coordinates stay below 6.4e6 m, so each of the about ten
// roundings contributes at most 2^-53 · 1.3e7 m = 1.5e-9 m, and the degree-to-radian conversion 2e-9 m more. A millionth of a
// metre covers it fifty times over; Min and Max functions subtract or add it.
const ArithmeticError Metres = 1e-6

// ErrPosition reports coordinates that are no place on Earth.
var ErrPosition = errors.New("not a position on Earth")

// LatLon is a geodetic WGS84 position in degrees, north and east positive.
type LatLon struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Validate refuses NaN, infinities, |lat| > 90 and |lon| > 180.
func (p LatLon) Validate() error {
	if !(math.Abs(p.Lat) <= 90) {
		return fmt.Errorf("%w: latitude %v is not within -90..90", ErrPosition, p.Lat)
	}
	if !(math.Abs(p.Lon) <= 180) {
		return fmt.Errorf("%w: longitude %v is not within -180..180", ErrPosition, p.Lon)
	}
	return nil
}

// String prints "50.1100,8.6800".
func (p LatLon) String() string { return fmt.Sprintf("%.4f,%.4f", p.Lat, p.Lon) }

// ECEF is an Earth-centred, Earth-fixed Cartesian position in metres.
type ECEF struct{ X, Y, Z float64 }

// ECEF returns the Cartesian position at the given ellipsoid height.
func (p LatLon) ECEF(height Metres) ECEF {
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return onNormal(cosLat*cosLon, cosLat*sinLon, sinLat, height)
}

// onNormal returns the point at the given height above the ellipsoid's point whose outward unit normal is (nx, ny, nz).
func onNormal(nx, ny, nz float64, height Metres) ECEF {
	n := float64(SemiMajor) / math.Sqrt(1-ecc2*nz*nz) // prime vertical radius of curvature
	h := float64(height)
	return ECEF{(n + h) * nx, (n + h) * ny, (n*(1-ecc2) + h) * nz}
}

// LatLon returns the geodetic position and ellipsoid height of p, by Bowring's method (Survey Review 28, 1985) with two
// refinements, good to a millimetre within 10 km of the ellipsoid.
func (p ECEF) LatLon() (LatLon, Metres) {
	a, b := float64(SemiMajor), float64(SemiMinor)
	rho := math.Hypot(p.X, p.Y)
	beta := math.Atan2(a*p.Z, b*rho) // reduced latitude
	var lat float64
	for range 3 {
		s, c := math.Sincos(beta)
		lat = math.Atan2(p.Z+ecc2*a*a/b*s*s*s, rho-ecc2*a*c*c*c)
		beta = math.Atan2((1-Flattening)*math.Sin(lat), math.Cos(lat))
	}
	s, c := math.Sincos(lat)
	height := rho*c + p.Z*s - a*math.Sqrt(1-ecc2*s*s)
	return LatLon{lat * 180 / math.Pi, math.Atan2(p.Y, p.X) * 180 / math.Pi}, Metres(height)
}

// Validate refuses what lies off the Earth's shell: NaN, infinities, and heights outside [MinHeight, MaxHeight] with a
// kilometre to spare.
func (p ECEF) Validate() error {
	r := math.Sqrt(p.X*p.X + p.Y*p.Y + p.Z*p.Z)
	if !(r > 6.3e6 && r < 6.4e6) {
		return fmt.Errorf("%w: (%.0f, %.0f, %.0f) m is %.0f m from the Earth's centre", ErrPosition, p.X, p.Y, p.Z, r)
	}
	if _, h := p.LatLon(); h < MinHeight-1000 || h > MaxHeight+1000 {
		return fmt.Errorf("%w: ellipsoid height %.0f m is not within %.0f..%.0f", ErrPosition, h, MinHeight-1000, MaxHeight+1000)
	}
	return nil
}

// Millimetres returns p rounded to whole millimetres, as statements and directories carry it.
func (p ECEF) Millimetres() [3]int64 {
	return [3]int64{int64(math.Round(p.X * 1e3)), int64(math.Round(p.Y * 1e3)), int64(math.Round(p.Z * 1e3))}
}

// FromMillimetres returns the position of whole millimetres.
func FromMillimetres(mm [3]int64) ECEF {
	return ECEF{float64(mm[0]) / 1e3, float64(mm[1]) / 1e3, float64(mm[2]) / 1e3}
}

// Chord returns the straight-line distance, correct to ArithmeticError.
func Chord(a, b ECEF) Metres { return Metres(norm(sub(a, b))) }

// GreatCircle returns the distance along the mean sphere: an estimate within 0.56 %, for tables and models, never for a proof.
func GreatCircle(a, b LatLon) Metres {
	rad := math.Pi / 180
	sLat, sLon := math.Sin((b.Lat-a.Lat)*rad/2), math.Sin((b.Lon-a.Lon)*rad/2)
	h := sLat*sLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sLon*sLon
	return 2 * MeanRadius * Metres(math.Asin(math.Min(1, math.Sqrt(h))))
}

func sub(a, b ECEF) ECEF { return ECEF{a.X - b.X, a.Y - b.Y, a.Z - b.Z} }

func dot(a, b ECEF) float64 { return a.X*b.X + a.Y*b.Y + a.Z*b.Z }

func norm(a ECEF) float64 { return math.Sqrt(dot(a, a)) }
