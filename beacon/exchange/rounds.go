package exchange

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// The refusals of the timed phase. A refused packet changes nothing: the machine stands where it stood.
var (
	ErrNotTiming   = errors.New("round packet outside the timed phase")
	ErrSession     = errors.New("round packet of another session")
	ErrNoChallenge = errors.New("answer while no challenge is outstanding: early, late, or answered before")
	ErrWrongRound  = errors.New("round packet of a round that is not the current one")
	ErrAnswered    = errors.New("challenge of a round already answered or passed")
	ErrTooMany     = errors.New("challenge of a round beyond the agreed number")
	ErrMAC         = errors.New("round packet whose MAC does not verify")
	ErrBeforeSent  = errors.New("packet before the departure of the one it answers was reported")
)

// Round is one verified round as one side timed it.
type Round struct {
	Index uint16
	NS    int64 // the interval by the clock rule, positive
}

// caller is the beacon's half of the timed phase: it sends challenges, one at a time, and times the answers.
//
//	waiting --wake--> (CH) --departed--> outstanding --answer verified--> (FN) answered --arrived--> waiting or over
//	                                        | time-out --> waiting or over     | time-out, the same
type caller struct {
	limits      Limits
	session     Session
	mac         macs
	granularity uint64
	challenges  [MaxRoundsEver]Packet // all prepared before the first is due
	gaps        [MaxRoundsEver]uint64 // random bits for the pause before each

	state     callerState
	sent      uint16 // challenges sent; the outstanding or next index is sent-1 or sent
	finish    Packet
	departure stamp.Departure
	sentAt    stamp.Instant
	startAt   stamp.Instant
	wake      stamp.Instant
	startNS   int64 // real time of the first departure
	endNS     int64 // real time of the last valid arrival

	rounds   [MaxRoundsEver]Round
	valid    int
	answers  [MaxRoundsEver][16]byte // d_i of verified rounds, by index
	best     [2]int64                // the two smallest, ascending; 0 where there is none yet
	unstable int                     // verified rounds that the clock rule refused
	kernel   int                     // valid rounds stopped by a kernel stamp
}

type callerState uint8

const (
	callerWaiting callerState = iota + 1
	callerDeparting
	callerOutstanding
	callerAnswered
	callerOver
)

func newCaller(l Limits, s Session, seed Seed, keys roundKeys, granularity uint64) *caller {
	c := &caller{limits: l, session: s, mac: newMACs(keys, s), granularity: granularity}
	d := newDeriver(seed)
	for i := range l.MaxRounds {
		ch, gap := d.at(labelValue, s, i), d.at(labelGap, s, i)
		c.challenges[i].head(CH, s, i)
		*c.challenges[i].value() = ch
		c.mac.ch.put(&c.challenges[i], i, &ch, &zeroValue)
		c.gaps[i] = binary.BigEndian.Uint64(gap[:])
	}
	return c
}

// start opens the timed phase.
func (c *caller) start(now stamp.Instant) {
	c.startAt = now
	c.pause(now, now)
}

// pause sets when the next challenge is due.
func (c *caller) pause(now, since stamp.Instant) {
	c.wake = now.Add(c.limits.pause(c.gaps[c.sent], now.Sub(since)))
	c.state = callerWaiting
}

// tick does what is due: hands out the next challenge, or gives a round up.
func (c *caller) tick(now stamp.Instant) *Packet {
	if now < c.wake {
		return nil
	}
	switch c.state {
	case callerOutstanding, callerDeparting, callerAnswered:
		c.next(now)
		return nil
	case callerWaiting:
		if now.Sub(c.startAt) >= c.limits.Deadline {
			c.over()
			return nil
		}
		c.state = callerDeparting
		c.sentAt = now
		c.sent++
		c.wake = now.Add(c.limits.Timeout)
		return &c.challenges[c.sent-1]
	}
	return nil
}

// departed reports the departure of the challenge handed out last. A departure that no challenge waits for is ignored.
func (c *caller) departed(d stamp.Departure) {
	if c.state != callerDeparting {
		return
	}
	c.departure = d
	c.state = callerOutstanding
	if real, ok := d.RealNS(); ok && c.startNS == 0 {
		c.startNS = real
	}
}

// answer takes RS and returns FN. The clock has stopped before anything here; what does not verify changes nothing.
func (c *caller) answer(p *Packet) (*Packet, error) {
	index := p.Index()
	switch {
	case p.Kind() != RS:
		return nil, ErrPacketKind
	case p.Session() != c.session:
		return nil, ErrSession
	case c.state == callerDeparting:
		return nil, ErrBeforeSent
	case c.state != callerOutstanding:
		return nil, ErrNoChallenge
	case index != c.sent-1:
		return nil, ErrWrongRound
	}
	ch, d := c.challenges[index].value(), p.value()
	if !c.mac.rs.verify(p, index, ch, d) {
		return nil, ErrMAC
	}
	c.finish.head(FN, c.session, index)
	c.mac.fn.put(&c.finish, index, d, ch)
	c.answers[index] = *d
	c.state = callerAnswered
	return &c.finish, nil
}

// arrived ends the round whose answer was verified, and says whether there was one.
func (c *caller) arrived(now stamp.Instant, at stamp.Arrival) bool {
	if c.state != callerAnswered {
		return false
	}
	c.record(c.sent-1, at)
	c.next(now)
	return true
}

// record keeps a verified round if the clock rule lets it stand.
func (c *caller) record(index uint16, at stamp.Arrival) {
	interval, err := stamp.Between(c.departure, at, c.granularity)
	if err != nil {
		c.unstable++
		return
	}
	c.rounds[c.valid] = Round{Index: index, NS: interval.NS()}
	c.valid++
	c.endNS, _ = at.RealNS()
	if interval.Source() == stamp.Kernel {
		c.kernel++
	}
	switch ns := interval.NS(); {
	case c.best[0] == 0 || ns < c.best[0]:
		c.best[0], c.best[1] = ns, c.best[0]
	case c.best[1] == 0 || ns < c.best[1]:
		c.best[1] = ns
	}
}

// next decides whether another round follows.
func (c *caller) next(now stamp.Instant) {
	lasted := now.Sub(c.startAt)
	enough := c.valid >= int(c.limits.MinRounds) && (c.agree() || lasted >= c.limits.Budget)
	if enough || c.sent >= c.limits.MaxRounds || lasted >= c.limits.Deadline {
		c.over()
		return
	}
	c.pause(now, c.sentAt)
}

func (c *caller) agree() bool {
	return c.limits.Agree > 0 && c.best[1] != 0 && c.best[1]-c.best[0] <= int64(c.limits.Agree)
}

func (c *caller) over() {
	c.state = callerOver
	c.wake = stamp.Never
}

// answerer is the core's half: it answers each challenge once, in ascending order, and times the beacon's own answers.
type answerer struct {
	session     Session
	max         uint16
	mac         macs
	granularity uint64
	values      [MaxRoundsEver][16]byte // d_i, prepared

	next        uint16 // the smallest index that may still be answered
	departing   bool   // the answer was handed out, its departure not yet reported
	outstanding bool   // its departure was reported, FN has not come
	finished    bool   // FN was verified, its arrival not yet reported
	reply       Packet
	challenge   [16]byte
	departure   stamp.Departure

	challenges [MaxRoundsEver][16]byte // ch_i of answered rounds, by index
	answered   [MaxRoundsEver]bool
	rounds     [MaxRoundsEver]Round
	valid      int
	unstable   int
}

func newAnswerer(max uint16, s Session, seed Seed, keys roundKeys, granularity uint64) *answerer {
	a := &answerer{session: s, max: max, mac: newMACs(keys, s), granularity: granularity}
	d := newDeriver(seed)
	for i := range a.values {
		a.values[i] = d.at(labelValue, s, uint16(i))
	}
	return a
}

// answer takes CH and returns RS, which must leave at once.
func (a *answerer) answer(p *Packet) (*Packet, error) {
	index := p.Index()
	switch {
	case p.Session() != a.session:
		return nil, ErrSession
	case index >= a.max:
		return nil, ErrTooMany
	case index < a.next:
		return nil, ErrAnswered
	}
	ch := p.value()
	if !a.mac.ch.verify(p, index, ch, &zeroValue) {
		return nil, ErrMAC
	}
	d := &a.values[index]
	a.reply.head(RS, a.session, index)
	*a.reply.value() = *d
	a.mac.rs.put(&a.reply, index, ch, d)
	a.challenge, a.challenges[index], a.answered[index] = *ch, *ch, true
	a.next = index + 1
	a.departing, a.outstanding, a.finished = true, false, false
	return &a.reply, nil
}

// departed reports the departure of the answer handed out last.
func (a *answerer) departed(d stamp.Departure) {
	if a.departing {
		a.departure, a.departing, a.outstanding = d, false, true
	}
}

// finish takes FN.
func (a *answerer) finish(p *Packet) error {
	switch {
	case p.Session() != a.session:
		return ErrSession
	case a.departing:
		return ErrBeforeSent
	case !a.outstanding:
		return ErrNoChallenge
	case p.Index() != a.next-1:
		return ErrWrongRound
	}
	index := p.Index()
	if !a.mac.fn.verify(p, index, &a.values[index], &a.challenge) {
		return ErrMAC
	}
	a.outstanding, a.finished = false, true
	return nil
}

// arrived keeps the round's own time, if the clock rule lets it stand.
func (a *answerer) arrived(at stamp.Arrival) {
	if !a.finished {
		return
	}
	a.finished = false
	interval, err := stamp.Between(a.departure, at, a.granularity)
	if err != nil {
		a.unstable++
		return
	}
	a.rounds[a.valid] = Round{Index: a.next - 1, NS: interval.NS()}
	a.valid++
}

// summary is the order statistics of one side's valid rounds, in nanoseconds. Percentiles are the nearest rank above (never below).
type summary struct{ min, p10, p50, p90 int64 }

// summarise sorts a copy. It must not be called without rounds.
func summarise(rounds []Round) summary {
	s := slices.Clone(rounds)
	slices.SortFunc(s, func(a, b Round) int { return cmp.Compare(a.NS, b.NS) })
	at := func(percent int) int64 { return s[(len(s)*percent+99)/100-1].NS }
	return summary{min: s[0].NS, p10: at(10), p50: at(50), p90: at(90)}
}
