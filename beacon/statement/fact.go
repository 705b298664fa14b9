package statement

import (
	"errors"
	"fmt"
	"math"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Timing says whose clock a bound rests on.
type Timing uint8

// The timing modes. TimingBoth takes the larger of the two directions, so that neither side's tampered clock alone can shorten a
// bound. TimingBeacon takes the beacon's alone: tighter, because the beacon's own wake-up drops out, and a beacon with a
// tampered clock then counts against f.
const (
	TimingBoth Timing = iota + 1
	TimingBeacon
)

// ErrTiming reports a word that is no timing mode.
var ErrTiming = errors.New(`unknown timing: want "both" or "beacon"`)

// ParseTiming reads "both" or "beacon".
func ParseTiming(s string) (Timing, error) {
	switch s {
	case "both":
		return TimingBoth, nil
	case "beacon":
		return TimingBeacon, nil
	}
	return 0, fmt.Errorf("%w, got %q", ErrTiming, s)
}

// String returns the word that ParseTiming reads.
func (t Timing) String() string {
	switch t {
	case TimingBoth:
		return "both"
	case TimingBeacon:
		return "beacon"
	}
	return "unset"
}

// Unbounded is the round trip of a fact that was never verified: larger than any real one, so that it says nothing.
const Unbounded = earth.RTT(math.MaxInt64)

// Fact is a verified statement: the holder of the core's timed key answered this beacon within these round trips, after the challenge
// was issued. VerifyProof makes facts; one made otherwise is not Verified and bounds nothing.
type Fact struct {
	Beacon         identity.ID
	Place          string       // of the beacon, for people
	Domains        []string     // that the beacon fails with
	Position       earth.ECEF   // the directory's
	PosUnc         earth.Metres // the directory's
	RTTBeacon      earth.RTT    // minimum on the beacon's clock, without granularity and rate error
	RTTCore        earth.RTT    // minimum on the core's clock, as the core signed it
	GranularityNS  uint64       // of the beacon's clock
	ErrPPB         uint64       // rate error of the beacon's clock
	StartUnixNS    int64        // of the session, on the beacon's clock
	EndUnixNS      int64
	NotAfterUnixNS int64
	RoundsSent     uint64
	RoundsOK       uint64
	Flags          Flags
	SessionID      [16]byte
	BeaconResult   [32]byte // hash of the beacon's attestation result
	CoreResult     [32]byte // hash of the core's attestation result
	TimedKey       identity.TimedKeyID

	verified bool
}

// Verified says whether f came out of a verification.
func (f Fact) Verified() bool { return f.verified }

// Bound returns the round trip on which a bound may rest: the larger of the two directions, or the beacon's alone for TimingBeacon.
// Any other timing counts as TimingBoth. Granularity and rate error of the beacon's clock are still to be added. An unverified
// fact answers Unbounded.
func (f Fact) Bound(t Timing) earth.RTT {
	switch {
	case !f.verified:
		return Unbounded
	case t == TimingBeacon:
		return f.RTTBeacon
	}
	return max(f.RTTBeacon, f.RTTCore)
}

// factOf joins what the beacon signed with what the directory says.
func factOf(s Statement, b directory.Beacon) Fact {
	return Fact{
		Beacon: s.Beacon, Place: b.Place, Domains: b.Domains, Position: b.ECEF(), PosUnc: b.PosUnc(),
		RTTBeacon: earth.RTT(s.RTTBeaconMinNS), RTTCore: earth.RTT(s.RTTCoreMinNS),
		GranularityNS: s.TimerGranularityNS, ErrPPB: s.TimerErrorPPB,
		StartUnixNS: s.StartUnixNS, EndUnixNS: s.EndUnixNS, NotAfterUnixNS: s.NotAfterUnixNS,
		RoundsSent: s.RoundsSent, RoundsOK: s.RoundsOK, Flags: s.Flags, SessionID: s.SessionID,
		BeaconResult: s.BeaconResult, CoreResult: s.CoreResult, TimedKey: s.TimedKey, verified: true,
	}
}
