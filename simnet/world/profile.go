package world

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// FibreIndex is the group index of the fibre that routes are made of: light needs 1.468 times as long in it as in vacuum.
const FibreIndex = 1.468

// Profile is the law of the least round trips between towns: light in fibre along the great circle, t milliseconds there and
// back, plus an excess whose median is Scale·t^Power milliseconds and which scatters log-normally from pair to pair, further
// above the median than below.
//
// Why so: over 28,000 pairs of public city servers the median excess runs from 2 ms at 10 km over 11 ms at 450 km to 103 ms at
// 13,000 km, which is Scale·t^Power within a fifth from 100 km on, and its logarithm scatters by a half, more at short
// distances, where one pair meets at an exchange in town and another in the next capital. A stretch factor that is the same at
// all distances fits neither end. The three sets of parameters reproduce the known marks of the stretch over light in fibre
// (median, log-sd and p1 over pairs of at least 300 km) and of the ratio to light (p5, p95 over pairs of at least 100 km); the
// package's test holds them against these marks.
type Profile struct {
	Name  string
	Scale float64 // of the median excess, in milliseconds
	Power float64 // of the light time in milliseconds
	Sigma float64 // standard deviation of the excess's logarithm below the median, far away
	Near  float64 // added to Sigma at distance zero, falling by e for each 3 ms of light
	Tail  float64 // how many times as far it scatters above the median

	Stretch float64 // of the fibre's way over the great circle, before the excess; below 1 counts as 1
	Table   *Table  // where not nil, the excess is drawn from it and the numbers from Scale to Tail do not count
}

// The profiles.
var (
	// Public is the public Internet between hosts in data centres of different operators.
	Public = Profile{Name: "public", Scale: 4.6, Power: 0.64, Sigma: 0.46, Near: 0.35, Tail: 1.35}
	// Cloud is the private backbone of one large operator.
	Cloud = Profile{Name: "cloud", Scale: 1.1, Power: 0.9, Sigma: 0.5, Near: 0, Tail: 1.3}
	// Homes is the public Internet when at least one end is a home or a phone. Other profiles give way to it for such pairs.
	Homes = Profile{Name: "homes", Scale: 6.2, Power: 0.64, Sigma: 0.57, Near: 0.2, Tail: 1.65}
)

// ErrProfile reports a profile that is none.
var ErrProfile = errors.New("unknown profile")

// ParseProfile reads the name of a profile.
func ParseProfile(s string) (Profile, error) {
	for _, p := range []Profile{Public, Cloud, Homes} {
		if strings.EqualFold(s, p.Name) {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("%w %q: use public, cloud or homes", ErrProfile, s)
}

// Every route passes some switches; two hosts in one town meet at its exchange, 0.15 to 0.4 ms beyond light.
const (
	equipment   = 0.15 // ms
	metroSpread = 0.25 // ms
)

// maxDeviate cuts the normal deviates of routes: one pair in 370 would lie beyond, and beyond it the model has no data.
const maxDeviate = 3

// longest is the longest round trip of a route in milliseconds, whatever a file says: half round the Earth takes light in fibre 0.2 s.
const longest = 10_000

// fibreMillis returns how long light needs along the great circle in fibre, there and back.
func fibreMillis(a, b Place) float64 {
	return 2 * float64(earth.GreatCircle(a.At, b.At)) * FibreIndex / float64(earth.Light) * 1e3
}

// leastMillis draws the least round trip of a pair of towns.
func (p Profile) leastMillis(light float64, rnd *rand.Rand) float64 {
	light *= max(1, p.Stretch)
	z := (p.Sigma + p.Near*math.Exp(-light/3)) * deviate(rnd)
	if z > 0 {
		z *= p.Tail
	}
	return math.Min(longest, light+equipment+p.Scale*math.Pow(light, p.Power)*math.Exp(z))
}

// deviate draws a normal deviate within ±maxDeviate.
func deviate(rnd *rand.Rand) float64 {
	for {
		if z := rnd.NormFloat64(); math.Abs(z) <= maxDeviate {
			return z
		}
	}
}
