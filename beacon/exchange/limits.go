package exchange

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
)

// Limits are the figures of one exchange. The beacon decides them and signs them in Accept; the core refuses what lies outside
// the bounds that Validate states. The zero value is refused; DefaultLimits is the usual one.
type Limits struct {
	// MinRounds is the number of verified rounds below which there is no statement; 8 (statement.MinRounds) to MaxRoundsEver,
	// usually 8. Each verified round is a bound by itself; the first of a burst pays cold caches, so a single one would be
	// needlessly wide.
	MinRounds uint16
	// MaxRounds is the largest number of challenges sent; MinRounds to MaxRoundsEver.
	MaxRounds uint16
	// Agree stops the exchange once the two smallest round trips differ by no more; usually 20 µs. 0 never stops it early.
	Agree time.Duration
	// Timeout is how long one answer is waited for; a round later than that is lost and never sent again. 1 ms to 5 s, usually
	// 500 ms.
	Timeout time.Duration
	// Spread is the time over which MinRounds rounds are spread at random, so that one busy moment does not spoil all; 0 to 5
	// s, usually 100 ms.
	Spread time.Duration
	// Budget stops the exchange when it has lasted so long and MinRounds are verified, agreeing or not; usually 1.2 s.
	Budget time.Duration
	// Deadline ends the timed phase whatever was reached; at least Budget, at most 60 s, usually 10 s.
	Deadline time.Duration
	// Step is how long each side waits for a message of the slow phase; 1 ms to 60 s, usually 5 s.
	Step time.Duration
}

// MaxRoundsEver is the largest number of rounds that either side keeps state for.
const MaxRoundsEver = 64

// DefaultLimits returns the limits of the design: until the two smallest agree within 20 µs, 8 to 64 rounds, spread at random
// over 100 ms.
func DefaultLimits() Limits {
	return Limits{
		MinRounds: 8, MaxRounds: MaxRoundsEver, Agree: 20 * time.Microsecond, Timeout: 500 * time.Millisecond,
		Spread: 100 * time.Millisecond, Budget: 1200 * time.Millisecond, Deadline: 10 * time.Second, Step: 5 * time.Second,
	}
}

// ErrLimits refuses limits out of bounds.
var ErrLimits = errors.New("limits of the exchange out of bounds")

// Validate refuses limits outside the bounds given with each field.
func (l Limits) Validate() error {
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{l.MinRounds >= statement.MinRounds && l.MinRounds <= MaxRoundsEver, "fewest rounds must be 8 to 64"},
		{l.MaxRounds >= l.MinRounds && l.MaxRounds <= MaxRoundsEver, "most rounds must be at least the fewest and at most 64"},
		{l.Agree >= 0, "agreement must not be negative"},
		{l.Timeout >= time.Millisecond && l.Timeout <= 5*time.Second, "round time-out must be 1 ms to 5 s"},
		{l.Spread >= 0 && l.Spread <= 5*time.Second, "spread must be 0 to 5 s"},
		{l.Budget >= 0 && l.Deadline >= l.Budget && l.Deadline <= time.Minute, "deadline must be at least the budget and at most 60 s"},
		{l.Deadline >= l.Timeout, "deadline must be at least the round time-out"},
		{l.Step >= time.Millisecond && l.Step <= time.Minute, "slow step must be 1 ms to 60 s"},
	} {
		if !c.ok {
			return fmt.Errorf("%w: %s", ErrLimits, c.what)
		}
	}
	return nil
}

// within applies a challenge's own bounds on the number of rounds: the gate may ask for more rounds than the beacon's fewest and for
// fewer than its most.
func (l Limits) within(minRounds, maxRounds uint64) (Limits, error) {
	l.MinRounds = uint16(min(max(minRounds, uint64(l.MinRounds)), math.MaxUint16))
	l.MaxRounds = uint16(min(maxRounds, uint64(l.MaxRounds)))
	return l, l.Validate()
}

// pause returns how long the next challenge waits, given 64 random bits: uniform below twice the mean gap that spreads MinRounds over
// Spread. What the rounds themselves last counts towards it; only a sixth is always waited, so that far beacons end in time.
func (l Limits) pause(random uint64, lasted time.Duration) time.Duration {
	window := 2 * l.Spread / time.Duration(l.MinRounds)
	if window <= 0 {
		return 0
	}
	gap := time.Duration(random % uint64(window))
	return max(gap-lasted, gap/6)
}
