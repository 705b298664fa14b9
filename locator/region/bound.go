package region

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Limits of a search. They bound the work and the memory, so that no input can hang a gate.
const (
	MaxBounds        = 1024 // bounds in one search
	MaxFaulty        = 8    // f; 2·8+1 domains are more than fleets have operators
	MaxBeaconDomains = 4    // domains of one beacon: operator, site, hypervisor vendor and one more
	MaxName          = 256  // bytes of a beacon's or domain's name
)

// One sentinel for each thing a set of bounds can get wrong.
var (
	ErrTooMany   = errors.New("too many bounds")
	ErrFaulty    = errors.New("impossible number of faulty domains")
	ErrBeacon    = errors.New("bad beacon name")
	ErrDuplicate = errors.New("two bounds of one beacon")
	ErrDomain    = errors.New("bad domain")
	ErrCentre    = errors.New("beacon off the Earth")
	ErrRadius    = errors.New("impossible radius")
)

// Bound says: the core is at most Radius (chord, metres) from Centre, unless one of the beacon's domains is faulty.
type Bound struct {
	Beacon  string   // the beacon's id; one bound for each beacon
	Domains []string // at least one, distinct, all non-empty
	Centre  earth.ECEF
	Radius  earth.Metres
}

func (b Bound) validate() error {
	if b.Beacon == "" || len(b.Beacon) > MaxName {
		return fmt.Errorf("%w %.40q: want 1..%d bytes", ErrBeacon, b.Beacon, MaxName)
	}
	if len(b.Domains) == 0 || len(b.Domains) > MaxBeaconDomains {
		return fmt.Errorf("%w: beacon %s has %d, want 1..%d", ErrDomain, b.Beacon, len(b.Domains), MaxBeaconDomains)
	}
	for i, d := range b.Domains {
		if d == "" || len(d) > MaxName || slices.Contains(b.Domains[:i], d) {
			return fmt.Errorf("%w %.40q of beacon %s: want distinct names of 1..%d bytes", ErrDomain, d, b.Beacon, MaxName)
		}
	}
	if err := b.Centre.Validate(); err != nil {
		return fmt.Errorf("%w: beacon %s: %w", ErrCentre, b.Beacon, err)
	}
	if r := float64(b.Radius); !(r > 0) || math.IsInf(r, 0) {
		return fmt.Errorf("%w: beacon %s: %v m is not positive and finite", ErrRadius, b.Beacon, r)
	}
	return nil
}

// canonical validates the bounds and returns them sorted by beacon, so that order of arrival leaves no trace.
func canonical(bounds []Bound, f int) ([]Bound, error) {
	if len(bounds) > MaxBounds {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrTooMany, len(bounds), MaxBounds)
	}
	if f < 0 || f > MaxFaulty {
		return nil, fmt.Errorf("%w: f = %d is not within 0..%d", ErrFaulty, f, MaxFaulty)
	}
	sorted := slices.SortedFunc(slices.Values(bounds), func(a, b Bound) int { return cmp.Compare(a.Beacon, b.Beacon) })
	for i, b := range sorted {
		if err := b.validate(); err != nil {
			return nil, err
		}
		if i > 0 && sorted[i-1].Beacon == b.Beacon {
			return nil, fmt.Errorf("%w: %s", ErrDuplicate, b.Beacon)
		}
	}
	return sorted, nil
}
