package verdict

import (
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Defaults of Params.
const (
	// DefaultVMax is above the speed of any airliner: a proof an hour old has grown by 1,260 km.
	DefaultVMax earth.Speed = 350
	// DefaultMaxAge is the age beyond which a statement counts as dropped.
	DefaultMaxAge = time.Hour
)

// One sentinel for each thing parameters can get wrong. What a measurement or a bound can get wrong is region's to name.
var (
	ErrSpeedClass    = region.ErrSpeedClass
	ErrMinDomains    = errors.New("too few domains demanded")
	ErrMinStatements = errors.New("impossible number of statements demanded")
	ErrMaxAge        = errors.New("impossible greatest age")
	ErrPermit        = errors.New("no permitted region")
)

// Observation is one verified exchange with one beacon.
type Observation struct {
	Beacon      string        // the beacon's id as text, unique among the observations
	Place       string        // the beacon's place, for people; decides nothing
	Domains     []string      // fault domains, at least one
	Position    earth.ECEF    // stated position, metres
	PosUnc      earth.Metres  // uncertainty of the position, positive
	RTT         earth.RTT     // smallest round trip, ns, positive
	Granularity earth.RTT     // tick of the timer, ns, positive
	ErrPPB      uint64        // clock rate error, parts per 10⁹
	Age         time.Duration // now minus the start of the exchange on one clock, positive
}

// Params are the assumptions and demands under which observations are judged. A verdict names them.
type Params struct {
	Speed         earth.SpeedClass // must be set: an unset class is an error, never a default
	F             int              // at most so many domains are faulty, 0..region.MaxFaulty; absolute for the fleet
	MinDomains    int              // distinct domains demanded, at least 2F+1; 0 means 2F+1
	MinStatements int              // usable statements demanded; 0 means 2F+1
	VMax          earth.Speed      // greatest speed of the core, m/s; 0 means DefaultVMax
	MaxAge        time.Duration    // older statements count as dropped; 0 means DefaultMaxAge
}

// Resolve returns the parameters with the defaults filled in, or the reason why they cannot be used.
func (p Params) Resolve() (Params, error) {
	if p.F < 0 || p.F > region.MaxFaulty {
		return Params{}, fmt.Errorf("%w: f = %d is not within 0..%d", region.ErrFaulty, p.F, region.MaxFaulty)
	}
	least := 2*p.F + 1
	if p.MinDomains == 0 {
		p.MinDomains = least
	}
	if p.MinStatements == 0 {
		p.MinStatements = least
	}
	if p.VMax == 0 {
		p.VMax = DefaultVMax
	}
	if p.MaxAge == 0 {
		p.MaxAge = DefaultMaxAge
	}
	switch {
	case !p.Speed.Valid():
		return Params{}, fmt.Errorf("%w: state vacuum or fibre", ErrSpeedClass)
	case p.MinDomains < least || p.MinDomains > region.MaxBounds:
		return Params{}, fmt.Errorf("%w: %d is not within %d..%d for f = %d", ErrMinDomains, p.MinDomains, least, region.MaxBounds, p.F)
	case p.MinStatements < 1 || p.MinStatements > region.MaxBounds:
		return Params{}, fmt.Errorf("%w: %d is not within 1..%d", ErrMinStatements, p.MinStatements, region.MaxBounds)
	case !(p.VMax > 0 && p.VMax <= region.MaxVMax):
		return Params{}, fmt.Errorf("%w: %v m/s is not above 0 and at most %.0f", region.ErrVMax, float64(p.VMax), float64(region.MaxVMax))
	case p.MaxAge < 0 || p.MaxAge > region.MaxAge:
		return Params{}, fmt.Errorf("%w: %v is not within 1ns..%v", ErrMaxAge, p.MaxAge, region.MaxAge)
	}
	return p, nil
}

// radius applies the design's formula to one observation.
func (p Params) radius(o Observation) (earth.Metres, error) {
	r, err := region.Radius(region.RadiusInput{
		Speed: p.Speed, RTT: o.RTT, Granularity: o.Granularity, ErrPPB: o.ErrPPB, PosUnc: o.PosUnc, VMax: p.VMax, Age: o.Age,
	})
	if err != nil {
		return 0, fmt.Errorf("beacon %.40q: %w", o.Beacon, err)
	}
	return r, nil
}
