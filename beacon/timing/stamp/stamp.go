package stamp

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Instant is a moment on one host's monotonic clock in nanoseconds since an arbitrary origin. It orders events and runs
// time-outs; it never becomes part of a bound, for which only Between is made.
type Instant int64

// Never is later than every other instant: a deadline that does not exist.
const Never Instant = math.MaxInt64

// Add returns the instant d later, saturating at Never.
func (i Instant) Add(d time.Duration) Instant {
	if d > 0 && i > Never-Instant(d) {
		return Never
	}
	return i + Instant(d)
}

// Sub returns the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// Clock reads a host's two clocks. The two origins differ and neither matters; only differences are used.
type Clock interface {
	// RealNS is CLOCK_REALTIME in nanoseconds since 1970: the clock in which the kernel stamps received packets.
	RealNS() int64
	// RawNS is CLOCK_MONOTONIC_RAW or the nearest the platform has, in nanoseconds: a clock that nobody steps or slews.
	RawNS() int64
	// Quality says how far both may be wrong.
	Quality() Quality
}

// Quality is a clock's own error. The zero value is "unknown" and is refused by Validate.
type Quality struct {
	// GranularityNS is the largest distance between two neighbouring readings of a running clock, in nanoseconds, at least 1.
	GranularityNS uint64
	// ErrPPB is the largest error of the clock's rate, in parts per billion, at least 1. A free-running quartz is within 200,000.
	ErrPPB uint32
}

// The limits of a usable clock, and the error of an undisciplined quartz oscillator with ageing and temperature.
const (
	MaxGranularityNS uint64 = 1e9
	MaxErrPPB        uint32 = 1_000_000
	QuartzPPB        uint32 = 200_000
)

// The refusals of this package, one for each check.
var (
	ErrQuality       = errors.New("clock quality unknown or out of range: granularity must be 1 ns to 1 s, rate error 1 to 1,000,000 ppb")
	ErrUnstamped     = errors.New("stamp was not made by Send or Receive")
	ErrKernelFuture  = errors.New("kernel stamp lies after the read that returned its packet: real time was stepped back, or the stamp is not this packet's")
	ErrKernelMissing = errors.New("kernel stamp missing")
	ErrStep          = errors.New("real time and raw monotonic time disagree over this round: real time was stepped or slewed")
	ErrNotPositive   = errors.New("interval is zero or negative: nothing comes back before it left")
	ErrAbsurd        = errors.New("interval is longer than ten seconds: it says nothing about a place on Earth")
)

// Validate refuses a quality that is unknown or outside the limits.
func (q Quality) Validate() error {
	if q.GranularityNS == 0 || q.GranularityNS > MaxGranularityNS || q.ErrPPB == 0 || q.ErrPPB > MaxErrPPB {
		return fmt.Errorf("%w (granularity %d ns, rate error %d ppb)", ErrQuality, q.GranularityNS, q.ErrPPB)
	}
	return nil
}

// Cost returns by how much the quality lengthens an interval of rttNS before it becomes a radius, in nanoseconds, rounded up:
// twice the granularity and the rate error. Times c/2 it is the distance that the clock costs.
func (q Quality) Cost(rttNS int64) int64 {
	rate := (float64(rttNS) * float64(q.ErrPPB)) / 1e9
	return int64(2*q.GranularityNS) + int64(math.Ceil(rate))
}

// Source says which clock stopped an interval.
type Source uint8

// The sources of an arrival's stamp. There is no zero source.
const (
	// User is the clock read after the read returned: it includes the host's own wake-up.
	User Source = 1
	// Kernel is the stamp that the kernel (or a simulated socket) put on the packet when it reached the host.
	Kernel Source = 2
)

// String returns "user" or "kernel".
func (s Source) String() string {
	switch s {
	case User:
		return "user"
	case Kernel:
		return "kernel"
	}
	return fmt.Sprintf("Source(%d)", uint8(s))
}

// Departure is a look at both clocks before a write. Its only maker is Send; the zero value is refused everywhere.
type Departure struct {
	rawNS, realNS int64
	made          bool
}

// The two clocks cannot be read at once. Each look reads real time on both sides of the raw clock and is taken again, at most
// looks times, while the two readings are more than tightNS apart: a process that was interrupted between them would otherwise
// look like a stepped clock.
const (
	looks   = 4
	tightNS = 700
)

// Send looks at the clocks and then calls write, in this order. The returned departure is no later than the moment the
// packet left, whatever write did. A failed write returns no departure.
func Send(c Clock, write func() error) (Departure, error) {
	d := Departure{made: true}
	for before, i := c.RealNS(), 0; i < looks; i++ {
		d.rawNS = c.RawNS()
		d.realNS = c.RealNS() // last: it is the interval's own start, and the raw reading before it errs long
		if gap := d.realNS - before; gap >= 0 && gap <= tightNS {
			break
		}
		before = d.realNS
	}
	if err := write(); err != nil {
		return Departure{}, err
	}
	return d, nil
}

// RealNS returns the departure in real time, nanoseconds since 1970, for the statement's start. Not for arithmetic.
func (d Departure) RealNS() (int64, bool) { return d.realNS, d.made }

// Receipt says that a read returned, and when at the latest. It becomes an Arrival after whatever is urgent has been done,
// because looking at the raw clock takes as long as a MAC. Its only maker is Receive.
type Receipt struct {
	clock    Clock
	userNS   int64 // real time right after the read
	kernelNS int64
	lag      time.Duration
	how      Source
	waited   bool
}

// Receive calls read and then looks at real time, in this order: the receipt is no earlier than the arrival of every packet that
// read returned. A failed read returns no receipt.
func Receive(c Clock, read func() error) (Receipt, error) {
	if err := read(); err != nil {
		return Receipt{}, err
	}
	return Receipt{clock: c, userNS: c.RealNS(), how: User}, nil
}

// WithKernel returns the receipt of the packet that the kernel stamped with kernelRealNS: the stamp *of the packet itself*, or
// the latest of the batch when it cannot be told.
func (r Receipt) WithKernel(kernelRealNS int64) Receipt {
	r.kernelNS, r.waited = kernelRealNS, false
	return r.as(Kernel)
}

// WithWait returns the receipt of a packet that had waited in the host for at least lag when the read returned: for sockets
// that tell the waiting time and not the moment. The caller must have computed lag before Receive looked, so that it errs short
// and the arrival late.
func (r Receipt) WithWait(lag time.Duration) Receipt {
	r.lag, r.waited = lag, true
	return r.as(Kernel)
}

func (r Receipt) as(s Source) Receipt {
	if r.how != 0 {
		r.how = s
	}
	return r
}

// Arrival is the moment a packet came, no earlier than the truth. It is made from a Receipt alone.
type Arrival struct {
	stampNS       int64
	rawNS, realNS int64
	source        Source
}

// Arrival looks at both clocks and returns the arrival: the kernel's stamp where there is one, else the look right after the
// read. A stamp from after that look belongs to something else and is refused, as is a missing one (zero or less).
func (r Receipt) Arrival() (Arrival, error) {
	a := Arrival{stampNS: r.userNS, source: r.how}
	switch {
	case r.how == 0:
		return Arrival{}, ErrUnstamped
	case r.how == User:
	case r.waited && r.lag < 0:
		return Arrival{}, fmt.Errorf("%w (%v after)", ErrKernelFuture, -r.lag)
	case r.waited:
		a.stampNS -= int64(r.lag)
	case r.kernelNS <= 0:
		return Arrival{}, ErrKernelMissing
	case r.kernelNS > r.userNS:
		return Arrival{}, fmt.Errorf("%w (%d ns after)", ErrKernelFuture, r.kernelNS-r.userNS)
	default:
		a.stampNS = r.kernelNS
	}
	a.lookNow(r.clock)
	return a, nil
}

// lookNow reads both clocks as close together as can be had.
func (a *Arrival) lookNow(c Clock) {
	a.realNS = c.RealNS()
	for i := 1; ; i++ {
		a.rawNS = c.RawNS() // after the real reading that it goes with: it errs long
		after := c.RealNS()
		if gap := after - a.realNS; gap >= 0 && gap <= tightNS || i == looks {
			return
		}
		a.realNS = after
	}
}

// RealNS returns the arrival in real time, nanoseconds since 1970, for the statement's end. Not for arithmetic.
func (a Arrival) RealNS() (int64, bool) { return a.stampNS, a.source != 0 }

// Source says which clock stamped the arrival; 0 for a value that no Look made.
func (a Arrival) Source() Source { return a.source }

// The clock rule's own figures: NTP slews by at most 500 ppm, and the two clocks of one look are read less than a microsecond
// apart; what differs by more is a step (or a process that was stopped between the two reads, which costs only the round).
const (
	slewPPM    = 500
	slackNS    = 1_000
	maxRoundNS = 10_000_000_000
)

// Interval is a measured round trip that passed the clock rule.
type Interval struct {
	ns     int64
	slewNS int64
	source Source
}

// NS returns the interval in nanoseconds, always positive, the slew's margin included.
func (i Interval) NS() int64 { return i.ns }

// SlewNS returns how much of it was added because real time ran slower than raw time.
func (i Interval) SlewNS() int64 { return i.slewNS }

// Source says which clock stopped it.
func (i Interval) Source() Source { return i.source }

// Between is the clock rule. granularityNS is that of the clock both stamps came from: two readings of a coarse clock may
// differ from those of a fine one by twice as much without any step.
func Between(d Departure, a Arrival, granularityNS uint64) (Interval, error) {
	if !d.made || a.source == 0 {
		return Interval{}, ErrUnstamped
	}
	if granularityNS == 0 || granularityNS > MaxGranularityNS {
		return Interval{}, ErrQuality
	}
	raw, real, stamped := a.rawNS-d.rawNS, a.realNS-d.realNS, a.stampNS-d.realNS
	if raw > maxRoundNS || real > maxRoundNS || stamped > maxRoundNS {
		return Interval{}, ErrAbsurd
	}
	if raw < 0 {
		return Interval{}, fmt.Errorf("%w (raw clock: %d ns)", ErrNotPositive, raw)
	}
	allowed := slackNS + 2*int64(granularityNS) + raw/1_000_000*slewPPM + raw%1_000_000*slewPPM/1_000_000
	differ := raw - real
	if differ > allowed || differ < -allowed {
		return Interval{}, fmt.Errorf("%w (%d ns apart)", ErrStep, differ)
	}
	i := Interval{ns: stamped, source: a.source}
	if differ > 0 {
		i.slewNS = differ
		i.ns += differ
	}
	if stamped <= 0 {
		return Interval{}, fmt.Errorf("%w (%d ns)", ErrNotPositive, stamped)
	}
	return i, nil
}
