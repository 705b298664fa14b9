package drift

import "math"

// Kind says what a change looks like.
type Kind string

// The kinds of change. The first two are told from one series, the others from what happens to many pairs of one beacon at a time.
const (
	Route      Kind = "route change" // the path's own length changed
	Congestion Kind = "congestion"   // queues rose or fell above an unchanged path
	Access     Kind = "access link"  // all pairs of a beacon by about the same amount
	Moved      Kind = "moved beacon" // most pairs of a beacon, by amounts that differ
	Clock      Kind = "clock fault"  // only what a beacon measured itself, or all its pairs in proportion
)

// Change is one change of one series.
type Change struct {
	Unix          int64 // the first point of the new level
	Before, After Level
	Kind          Kind // Route or Congestion
}

// ShiftMS is by how much the path's own length changed.
func (c Change) ShiftMS() float64 { return c.After.BaseMS - c.Before.BaseMS }

// A shift of the base is believed when it exceeds what the base itself wanders: half a millisecond, a hundredth of the round trip
// (interdomain paths are rerouted in steps of some milliseconds; 30-day averages in whole milliseconds wander by one), and half of
// the smaller swell on either side, for quantiles of a noisy stretch are noisy.
const (
	leastShiftMS    = 0.5
	leastShiftShare = 0.01
	leastShiftSwell = 0.5
)

// Levels cuts a series and describes the stretches. It refuses what Validate refuses.
func Levels(s Series) ([]Level, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if len(s.Points) == 0 {
		return nil, nil
	}
	values := make([]float64, len(s.Points))
	for i, p := range s.Points {
		values[i] = p.MS
	}
	scratch := make([]float64, len(values))
	var levels []Level
	start := 0
	for _, at := range append(cuts(values), len(values)) {
		levels = append(levels, level(s.Points[start:at], scratch))
		start = at
	}
	return levels, nil
}

// Changes returns the changes of one series in time order.
func Changes(s Series) ([]Change, error) {
	levels, err := Levels(s)
	if err != nil {
		return nil, err
	}
	var found []Change
	for i := 1; i < len(levels); i++ {
		c := Change{Unix: levels[i].From, Before: levels[i-1], After: levels[i]}
		c.Kind = c.kind()
		found = append(found, c)
	}
	return found, nil
}

func (c Change) kind() Kind {
	swell := math.Min(c.Before.swell(), c.After.swell())
	least := max(leastShiftMS, leastShiftShare*c.Before.BaseMS, leastShiftSwell*swell)
	if math.Abs(c.ShiftMS()) >= least {
		return Route
	}
	return Congestion
}
