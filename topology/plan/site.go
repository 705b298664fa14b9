package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// One sentinel for each thing a plan's input can get wrong.
var (
	ErrSite     = errors.New("bad site")
	ErrNoSites  = errors.New("no sites")
	ErrPlace    = errors.New("bad place")
	ErrFaulty   = errors.New("impossible number of faulty domains")
	ErrDomains  = errors.New("too few fault domains")
	ErrMembers  = errors.New("impossible size of committee")
	ErrStretch  = errors.New("impossible stretch")
	ErrAccess   = errors.New("impossible access delay")
	ErrPicks    = errors.New("impossible number of sites to pick")
	ErrSamples  = errors.New("nothing to cover")
	ErrTooLarge = errors.New("too large to plan")
)

// Limits of one plan, against input that would run for days.
const (
	MaxSites   = 4096
	MaxSamples = 100_000
	maxFaulty  = 8
)

// Site is where a beacon stands or could stand.
type Site struct {
	ID      string       `json:"id"`      // unique, not empty
	Name    string       `json:"name"`    // for people
	At      earth.LatLon `json:"at"`      // WGS84
	Domains []string     `json:"domains"` // fault domains, at least one
}

// Sample is a place of which one wants to know whether a core could be proven there. Cell is the S2 cell that it stands for, 0 for
// a single place. Weight is square kilometres for cells, whatever the list counts (people, halls) for places.
type Sample struct {
	Name   string
	At     earth.LatLon
	Cell   uint64
	Weight float64
}

// Delay predicts the smallest round trip between a core and a beacon at two places.
type Delay func(core, beacon earth.LatLon) earth.RTT

// Bounds of Stretched. The fastest of 57,263 measured pairs had a stretch of 1.65; below 1 light would be outrun.
const (
	MinStretch = 1.0
	MaxStretch = 100.0
	maxAccess  = earth.RTT(10e9)
)

// Stretched returns the model rtt = stretch · 2·chord/c + access: stretch is the ratio of half the round trip times c to the
// distance (public Internet: 2.1 at the fifth percentile, 3.2 in the median), access what the core's own link adds to every round
// trip. No answer is below a microsecond, which two neighbours in one hall take.
func Stretched(stretch float64, access earth.RTT) (Delay, error) {
	if !(stretch >= MinStretch && stretch <= MaxStretch) {
		return nil, fmt.Errorf("%w: %v is not within %v..%v times the light's time", ErrStretch, stretch, MinStretch, MaxStretch)
	}
	if access < 0 || access > maxAccess {
		return nil, fmt.Errorf("%w: %v is not within 0..%v", ErrAccess, access, maxAccess)
	}
	return func(core, beacon earth.LatLon) earth.RTT {
		d := earth.Chord(core.ECEF(0), beacon.ECEF(0))
		ns := 2 * stretch * float64(d) / float64(earth.Light) * 1e9
		return max(1000, earth.RTT(math.Ceil(ns))) + access
	}, nil
}

// Measurement is a round trip that a core would measure to a site.
type Measurement struct {
	Site *Site
	RTT  earth.RTT
}

// Outcome is what measurements would prove.
type Outcome struct {
	AreaKM2 float64      // of the region
	Inside  bool         // the region is proven to lie in the permitted region
	Reach   earth.Metres // the farthest that the region stretches from the place asked about
}

// Locator says what measurements prove under the assumptions that it was made with (speed class, f, permitted region). It must
// be pure and safe for concurrent use.
type Locator interface {
	// Locate judges the measurements of a core at the given place.
	Locate(at earth.LatLon, measured []Measurement) (Outcome, error)
	// Radius is how far from a beacon a round trip allows the core to be.
	Radius(rtt earth.RTT) (earth.Metres, error)
	// Margin is a distance within which of the place there is ground that a region must not hold to be inside; more than the Earth
	// is wide when all is permitted.
	Margin(at earth.LatLon) (earth.Metres, error)
}

// Progress is told how much of the work is done; it is called from one goroutine at a time.
type Progress func(done, total int)

// Fleet is the beacons there are and how they would be used.
type Fleet struct {
	Sites   []Site
	F       int // faulty domains allowed for
	Ask     int // how many beacons a core asks: those with the shortest round trips, of 2F+1 domains at least; 0 means all
	Delay   Delay
	Locator Locator
}

// Validate refuses sites without id, place or domain, duplicates, and what exceeds the limits.
func (f *Fleet) Validate() error {
	if f.F < 0 || f.F > maxFaulty {
		return fmt.Errorf("%w: f = %d is not within 0..%d", ErrFaulty, f.F, maxFaulty)
	}
	if f.Ask < 0 || f.Ask > 0 && f.Ask < 2*f.F+1 {
		return fmt.Errorf("%w: %d beacons cannot show 2f+1 = %d domains", ErrMembers, f.Ask, 2*f.F+1)
	}
	if f.Delay == nil || f.Locator == nil {
		return fmt.Errorf("%w: a plan needs a delay model and a locator", ErrNoSites)
	}
	return validateSites(f.Sites)
}

func validateSites(sites []Site) error {
	if len(sites) > MaxSites {
		return fmt.Errorf("%w: %d sites, at most %d", ErrTooLarge, len(sites), MaxSites)
	}
	seen := map[string]bool{}
	for _, s := range sites {
		if s.ID == "" || seen[s.ID] {
			return fmt.Errorf("%w %q: every site needs an id of its own", ErrSite, s.ID)
		}
		seen[s.ID] = true
		if err := s.At.Validate(); err != nil {
			return fmt.Errorf("%w %q: %w", ErrSite, s.ID, err)
		}
		if len(s.Domains) == 0 || slices.Contains(s.Domains, "") {
			return fmt.Errorf("%w %q: want at least one fault domain, none empty", ErrSite, s.ID)
		}
	}
	return nil
}

// Domains counts the distinct fault domains of sites.
func Domains(sites []Site) int {
	seen := map[string]bool{}
	for _, s := range sites {
		for _, d := range s.Domains {
			seen[d] = true
		}
	}
	return len(seen)
}
