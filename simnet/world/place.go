package world

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// UnknownPopulation marks a place whose population is not known.
const UnknownPopulation = -1

// Place is somewhere a host can stand.
type Place struct {
	ID         string       `json:"id"`      // unique in its world
	Name       string       `json:"name"`    // for people: the town
	Country    string       `json:"country"` // ISO 3166-1 alpha-2; empty when the source gives none
	At         earth.LatLon `json:"at"`      // where the host really stands, WGS84, at height 0
	Population int          `json:"population"`
	Access     Access       `json:"access"`             // the link by which the host reaches the Internet
	Metro      string       `json:"metro"`              // the ID of the town; routes are drawn between towns
	Operator   string       `json:"operator,omitempty"` // of the backbone on which the place stands; empty for none
}

// ECEF returns the place's true position at ellipsoid height 0.
func (p Place) ECEF() earth.ECEF { return p.At.ECEF(0) }

// String prints "Frankfurt, DE".
func (p Place) String() string {
	if p.Country == "" {
		return p.Name
	}
	return p.Name + ", " + p.Country
}

// Host returns the place of a host of that name in the town: a few streets away, at a position drawn from the world's seed and
// the two names, at most 2 km off, less in small towns, so that it stays in the town's country. In a measured world it stays
// where the measured host stands.
func (w *World) Host(town Place, name string) Place {
	h := town
	h.ID = town.ID + "/" + name
	if w.set != nil || town.Population <= 0 {
		return h
	}
	rnd := source.New(w.seed, "host position", town.ID, name)
	farthest := 2000 * math.Min(1, math.Sqrt(float64(town.Population)/1e6))
	metres, bearing := farthest*math.Sqrt(rnd.Float64()), 2*math.Pi*rnd.Float64()
	const metresPerDegree = 111_320 // of latitude and, times its cosine, of longitude: good to a percent, and the result is exact
	h.At.Lat += metres * math.Cos(bearing) / metresPerDegree
	h.At.Lon += metres * math.Sin(bearing) / (metresPerDegree * math.Cos(town.At.Lat*math.Pi/180))
	h.At.Lat = min(90, max(-90, h.At.Lat))
	if math.Abs(h.At.Lon) > 180 { // over the date line, or round a pole
		h.At.Lon = math.Remainder(h.At.Lon, 360)
	}
	return h
}

// Access is the kind of link by which a host reaches the Internet.
type Access uint8

// The access classes. There is no zero class: an unset class is an error, never a default.
const (
	DataCentre Access = iota + 1
	Wired
	Wifi
	Cellular
	Satellite
)

var accessNames = [...]string{DataCentre: "data-centre", Wired: "wired", Wifi: "wifi", Cellular: "cellular", Satellite: "satellite"}

// ErrAccess reports an access class that is none.
var ErrAccess = errors.New("unknown access class")

// ParseAccess reads the name of a class.
func ParseAccess(s string) (Access, error) {
	for a, name := range accessNames {
		if a > 0 && strings.EqualFold(s, name) {
			return Access(a), nil
		}
	}
	return 0, fmt.Errorf("%w %q: use %s", ErrAccess, s, strings.Join(accessNames[1:], ", "))
}

// Valid says whether a is one of the classes.
func (a Access) Valid() bool { return a >= DataCentre && a <= Satellite }

// String returns the word that ParseAccess reads.
func (a Access) String() string {
	if !a.Valid() {
		return fmt.Sprintf("Access(%d)", uint8(a))
	}
	return accessNames[a]
}

// MarshalText writes the class's name.
func (a Access) MarshalText() ([]byte, error) {
	if !a.Valid() {
		return nil, fmt.Errorf("%w %d", ErrAccess, uint8(a))
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads the class's name.
func (a *Access) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAccess(string(text))
	return err
}
