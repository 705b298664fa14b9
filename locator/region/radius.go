package region

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Limits of what one measurement may say. Beyond them it is not a slow path but a mistake in units.
const (
	MaxRTT         = earth.RTT(60 * time.Second)
	MaxGranularity = earth.RTT(1 * time.Second)
	MaxErrPPB      = 100_000_000 // a clock ten per cent off; oscillators stay below 200,000
	MaxPosUnc      = 2 * earth.SemiMajor
	MaxVMax        = earth.Speed(100_000) // m/s; far above orbital speed
	MaxAge         = 366 * 24 * time.Hour
)

// One sentinel for each thing a measurement can get wrong.
var (
	ErrSpeedClass  = errors.New("unknown signal speed class")
	ErrRTT         = errors.New("impossible round trip")
	ErrGranularity = errors.New("impossible timer granularity")
	ErrClockError  = errors.New("impossible clock rate error")
	ErrPosUnc      = errors.New("impossible position uncertainty")
	ErrVMax        = errors.New("impossible core speed")
	ErrAge         = errors.New("impossible age")
)

// RadiusInput is what turns one timed exchange into a limit on distance.
type RadiusInput struct {
	Speed       earth.SpeedClass // assumption about the signal; must be set
	RTT         earth.RTT        // smallest round trip, ns, positive
	Granularity earth.RTT        // tick of the timer, ns, positive
	ErrPPB      uint64           // rate error of the clock, parts per 10⁹
	PosUnc      earth.Metres     // how far the beacon may be from its stated position, positive
	VMax        earth.Speed      // how fast the core may move, m/s, positive
	Age         time.Duration    // time since the exchange, positive: no measurement is younger than its own round trip
}

// Validate refuses values that no measurement has.
func (in RadiusInput) Validate() error {
	switch {
	case !in.Speed.Valid():
		return fmt.Errorf("%w %d: state vacuum or fibre", ErrSpeedClass, in.Speed)
	case in.RTT <= 0 || in.RTT > MaxRTT:
		return fmt.Errorf("%w: %d ns is not within 1..%d", ErrRTT, in.RTT, MaxRTT)
	case in.Granularity <= 0 || in.Granularity > MaxGranularity:
		return fmt.Errorf("%w: %d ns is not within 1..%d", ErrGranularity, in.Granularity, MaxGranularity)
	case in.ErrPPB > MaxErrPPB:
		return fmt.Errorf("%w: %d ppb is more than %d", ErrClockError, in.ErrPPB, MaxErrPPB)
	case !(in.PosUnc > 0 && in.PosUnc <= MaxPosUnc):
		return fmt.Errorf("%w: %v m is not above 0 and at most %.0f", ErrPosUnc, float64(in.PosUnc), float64(MaxPosUnc))
	case !(in.VMax > 0 && in.VMax <= MaxVMax):
		return fmt.Errorf("%w: %v m/s is not above 0 and at most %.0f", ErrVMax, float64(in.VMax), float64(MaxVMax))
	case in.Age <= 0 || in.Age > MaxAge:
		return fmt.Errorf("%w: %v is not within 1ns..%v", ErrAge, in.Age, MaxAge)
	}
	return nil
}

// Radius returns the greatest distance in metres at which the core can now stand from the beacon's stated position:
//
//	(v/2)·(rtt·(1 + err_ppb·1e-9) + 2·granularity) + pos_unc + v_max·age + 1 m
//
// Rounding. Every operation below is one correctly rounded float64 operation on non-negative numbers followed by math.Nextafter
// towards +∞. The correctly rounded result of an exact value e is at least the float just below the smallest float ≥ e, so its
// successor is ≥ e; and as all operations grow with their operands the chain of successors stays above the exact formula.
// Conversions are exact: rtt, granularity and err_ppb are integers below 2^53, age below 2^55 is pushed up after conversion.
// Rounding and successor are both monotone, so the radius never shrinks when an input grows. The excess is below 1e-14 of the
// radius; the design's last metre is not spent on it.
func Radius(in RadiusInput) (earth.Metres, error) {
	if err := in.Validate(); err != nil {
		return 0, err
	}
	rate := up(1 + up(float64(in.ErrPPB)/1e9))
	nanos := up(up(float64(in.RTT)*rate) + 2*float64(in.Granularity))
	seconds := up(nanos / 1e9)
	oneWay := up(up(float64(in.Speed.Speed())) * seconds / 2) // halving is exact
	drift := up(float64(in.VMax) * up(up(float64(in.Age))/1e9))
	total := up(oneWay + float64(in.PosUnc))
	total = up(total + drift)
	return earth.Metres(up(total + 1)), nil
}

func up(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }
