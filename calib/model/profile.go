package model

import (
	"fmt"
	"math"
)

// Profile is what is known of a kind of network before anything was measured.
type Profile uint8

// The profiles. There is no zero profile.
const (
	Public   Profile = 1 // hosts in data centres on the public Internet
	Backbone Profile = 2 // one operator's private network
	Access   Profile = 3 // homes and offices behind access links
)

// Profiles lists them all.
var Profiles = []Profile{Public, Backbone, Access}

// shape is a profile's numbers: the median round trip over a distance is offset + stretch·(time in fibre), and the logarithm of the
// round trip spreads by below and above around it.
type shape struct{ offsetMS, stretch, below, above float64 }

// shapes come from the median stretch over light in fibre, and the standard deviation of its logarithm, of pairs 300 km or more
// apart in eleven measured sets of 2016 to 2026: public 2.0 to 2.3 (0.37 to 0.39), clouds 1.67 to 1.80 (0.20 to 0.33), homes 2.57
// (0.51). Delays spread farther up than down. The offsets are the round numbers of a data centre's, a region's and an access link's
// first hops.
var shapes = map[Profile]shape{
	Public:   {offsetMS: 4, stretch: 2.1, below: 0.34, above: 0.46},
	Backbone: {offsetMS: 2, stretch: 1.7, below: 0.22, above: 0.34},
	Access:   {offsetMS: 9, stretch: 2.5, below: 0.42, above: 0.62},
}

// ParseProfile reads "public", "backbone" or "access".
func ParseProfile(s string) (Profile, error) {
	for _, p := range Profiles {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: %q, use public, backbone or access", ErrProfile, s)
}

// String returns the word that ParseProfile reads.
func (p Profile) String() string {
	switch p {
	case Public:
		return "public"
	case Backbone:
		return "backbone"
	case Access:
		return "access"
	}
	return fmt.Sprintf("Profile(%d)", uint8(p))
}

// Valid says whether p is one of the profiles.
func (p Profile) Valid() bool { return p >= Public && p <= Access }

// Curve returns the profile as a curve. An invalid profile answers that of the public Internet.
func (p Profile) Curve() *Curve {
	s, ok := shapes[p]
	if !ok {
		s = shapes[Public]
	}
	c := new(Curve)
	for k := range knots {
		fibre := (math.Exp(firstKnot+float64(k)*knotStep) - nearKM) * msPerKM
		median := math.Log((s.offsetMS + s.stretch*fibre + scaleMS) / (fibre + scaleMS))
		for i, z := range normal {
			spread := s.above
			if z < 0 {
				spread = s.below
			}
			c.q[k][i] = median + z*spread
		}
	}
	return c
}
