package drift

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Event is what happened, once, to a pair or to a beacon.
type Event struct {
	Unix    int64   `json:"unix"` // when the first of its changes began
	Kind    Kind    `json:"kind"`
	Beacon  string  `json:"beacon,omitempty"` // whose event it is; empty for an event of one pair
	From    string  `json:"from,omitempty"`   // the pair, for an event of one pair
	To      string  `json:"to,omitempty"`
	Pairs   int     `json:"pairs"`    // changed series
	Of      int     `json:"of"`       // series that could have changed
	ShiftMS float64 `json:"shift_ms"` // median shift of the paths' own length; of the median round trip for congestion
}

// most is the share of a beacon's series that has to change at one time before the beacon is the cause: with fewer a change at a
// common upstream is as likely. few is the share below which a direction counts as unchanged.
const (
	most     = 0.5
	few      = 0.2
	minPeers = 3
)

// mark is a change with the series that it belongs to, until an event has taken it.
type mark struct {
	series int
	Change
	taken bool
}

// fleet is the evidence of all series.
type fleet struct {
	series []Series
	marks  []*mark // by time
	window int64   // changes so near in time, in seconds, are one event
	out    map[string][]int
	in     map[string][]int
	own    map[string][]*mark // of each beacon's series, by time
}

// Attribute finds the changes of all series and says whose they are. window is how far apart in time the changes of one event may
// be; zero means three times the median interval between points, for cuts are not exact to the point.
func Attribute(series []Series, window time.Duration) ([]Event, error) {
	f := &fleet{series: series, window: int64(window / time.Second), out: map[string][]int{}, in: map[string][]int{}, own: map[string][]*mark{}}
	for i, s := range series {
		changes, err := Changes(s)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			f.marks = append(f.marks, &mark{series: i, Change: c})
		}
		f.out[s.From] = append(f.out[s.From], i)
		f.in[s.To] = append(f.in[s.To], i)
	}
	if f.window <= 0 {
		f.window = 3 * interval(series)
	}
	slices.SortStableFunc(f.marks, func(a, b *mark) int { return cmp.Compare(a.Unix, b.Unix) })
	for _, m := range f.marks {
		s := f.series[m.series]
		f.own[s.From], f.own[s.To] = append(f.own[s.From], m), append(f.own[s.To], m)
	}
	events := append(f.beaconEvents(Route), f.beaconEvents(Congestion)...)
	events = append(events, f.pairEvents()...)
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Unix, b.Unix), cmp.Compare(a.Beacon, b.Beacon), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return events, nil
}

// interval is the median time between neighbouring points of all series, at least a second.
func interval(series []Series) int64 {
	var gaps []float64
	for _, s := range series {
		for i := 1; i < len(s.Points); i++ {
			gaps = append(gaps, float64(s.Points[i].Unix-s.Points[i-1].Unix))
		}
	}
	if len(gaps) == 0 {
		return 1
	}
	slices.Sort(gaps)
	return max(1, int64(quantile(gaps, 0.5)))
}

// burst is what changed within one window at one beacon.
type burst struct {
	beacon  string
	marks   []*mark
	out, in float64 // share of the series that the beacon measured, and that others measured to it
	share   float64
}

// beaconEvents takes the bursts of changes of one kind that concern most series of a beacon and not those of others, the largest
// share first, so that the peers of the cause do not count as causes.
func (f *fleet) beaconEvents(kind Kind) []Event {
	var events []Event
	for {
		best := burst{}
		for _, b := range f.beacons() {
			if c := f.burst(b, kind); c.share > best.share {
				best = c
			}
		}
		if best.share < most {
			return events
		}
		for _, m := range best.marks {
			m.taken = true
		}
		events = append(events, f.event(best, kind))
	}
}

func (f *fleet) beacons() []string {
	var names []string
	for b := range f.out {
		names = append(names, b)
	}
	for b := range f.in {
		if f.out[b] == nil {
			names = append(names, b)
		}
	}
	slices.Sort(names)
	return names
}

// burst returns the window in which most series of a beacon changed.
func (f *fleet) burst(beacon string, kind Kind) (best burst) {
	if len(f.out[beacon]) < minPeers && len(f.in[beacon]) < minPeers {
		return best
	}
	var own []*mark
	for _, m := range f.own[beacon] {
		if !m.taken && m.Kind == kind {
			own = append(own, m)
		}
	}
	for i, first := range own {
		end := i
		for end < len(own) && own[end].Unix <= first.Unix+f.window {
			end++
		}
		b := f.measure(beacon, own[i:end])
		if b.share > best.share && f.elsewhere(beacon, first.Unix, kind) < b.share/2 {
			best = b
		}
	}
	return best
}

// measure counts the series of a burst.
func (f *fleet) measure(beacon string, marks []*mark) burst {
	b := burst{beacon: beacon, marks: marks}
	seen := map[int]bool{}
	var out, in float64
	for _, m := range marks {
		if seen[m.series] {
			continue
		}
		seen[m.series] = true
		if f.series[m.series].From == beacon {
			out++
		} else {
			in++
		}
	}
	if n := len(f.out[beacon]); n >= minPeers {
		b.out = out / float64(n)
	}
	if n := len(f.in[beacon]); n >= minPeers {
		b.in = in / float64(n)
	}
	b.share = max(b.out, b.in)
	return b
}

// elsewhere is the share of other beacons' series that changed in the same window: when everything changes, nobody is the cause.
func (f *fleet) elsewhere(beacon string, from int64, kind Kind) float64 {
	changed := map[int]bool{}
	at, _ := slices.BinarySearchFunc(f.marks, from, func(m *mark, t int64) int { return cmp.Compare(m.Unix, t) })
	for _, m := range f.marks[at:] {
		if m.Unix > from+f.window {
			break
		}
		if s := f.series[m.series]; !m.taken && m.Kind == kind && s.From != beacon && s.To != beacon {
			changed[m.series] = true
		}
	}
	others := len(f.series) - len(f.out[beacon]) - len(f.in[beacon])
	return float64(len(changed)) / float64(max(1, others))
}

// event describes a burst.
func (f *fleet) event(b burst, kind Kind) Event {
	e := Event{Unix: b.marks[0].Unix, Kind: kind, Beacon: b.beacon, Of: len(f.out[b.beacon]) + len(f.in[b.beacon])}
	byPeer := map[string]*mark{}
	for _, m := range b.marks {
		s := f.series[m.series]
		peer := s.From
		if peer == b.beacon {
			peer = s.To
		}
		byPeer[peer+" "+s.From] = m // the last of several in one series
	}
	var shifts, shares, before []float64
	for _, m := range byPeer {
		shift := m.ShiftMS()
		if kind == Congestion {
			shift = m.After.MedianMS - m.Before.MedianMS
		}
		shifts = append(shifts, shift)
		shares = append(shares, shift/m.Before.BaseMS)
		before = append(before, m.Before.BaseMS)
	}
	e.Pairs, e.ShiftMS = len(shifts), median(shifts)
	if kind == Route {
		e.Kind = b.cause(f, shifts, shares, before)
	}
	return e
}

// Shifts that agree within a quarter of their median, or half a millisecond, are one shift; shares of the round trip that agree
// within a fifth are one rate, where the round trips differ enough to tell a rate from a shift.
const (
	sameShift, sameShiftMS = 0.25, 0.5
	sameRate, rateReach    = 0.2, 1.5
)

// cause tells the beacon's link, its place and its clock apart.
func (b burst) cause(f *fleet, shifts, shares, before []float64) Kind {
	bothWays := len(f.out[b.beacon]) >= minPeers && len(f.in[b.beacon]) >= minPeers
	shift, rate := median(shifts), median(shares)
	switch {
	case bothWays && b.in < few:
		return Clock // what others measured to it did not change: it held the stopwatch
	case scatter(shifts) <= max(sameShiftMS, sameShift*math.Abs(shift)):
		return Access
	case scatter(shares) <= sameRate*math.Abs(rate) && slices.Max(before) >= rateReach*slices.Min(before):
		return Clock
	}
	return Moved
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return quantile(v, 0.5)
}

// scatter is the median distance from the median, scaled to a standard deviation.
func scatter(v []float64) float64 {
	m := median(v)
	d := make([]float64, len(v))
	for i, x := range v {
		d[i] = math.Abs(x - m)
	}
	return 1.4826 * median(d)
}

// pairEvents takes what is left: changes of single pairs, the two directions of one pair together.
func (f *fleet) pairEvents() []Event {
	var events []Event
	back := map[[2]string]int{}
	for i, s := range f.series {
		back[[2]string{s.From, s.To}] = i
	}
	for i, m := range f.marks {
		if m.taken {
			continue
		}
		m.taken = true
		s := f.series[m.series]
		e := Event{Unix: m.Unix, Kind: m.Kind, From: s.From, To: s.To, Pairs: 1, Of: 1, ShiftMS: m.shift()}
		if other, ok := back[[2]string{s.To, s.From}]; ok {
			e.Of = 2
			for _, n := range f.marks[i+1:] {
				if n.Unix > m.Unix+f.window {
					break
				}
				if n.series == other && n.Kind == m.Kind && !n.taken {
					n.taken, e.Pairs, e.ShiftMS = true, 2, (m.shift()+n.shift())/2
					break
				}
			}
		}
		events = append(events, e)
	}
	return events
}

// shift is the change that the kind is about.
func (m *mark) shift() float64 {
	if m.Kind == Congestion {
		return m.After.MedianMS - m.Before.MedianMS
	}
	return m.ShiftMS()
}
