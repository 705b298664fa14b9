package adversary

import (
	"math"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Link is the exchange with one beacon of the committee.
type Link struct {
	Beacon  world.Place // where the beacon really stands
	Stated  earth.ECEF  // where the directory says
	Domains []string
	Path    sample.Path        // over which the exchange will run; Least 0: there is none
	Adds    earth.RTT          // what is added to what either side measures
	Silent  bool               // gives no statement
	Found   sample.Measurement // of the exchange, and of the statement once the adversary has been at it
}

// Scene is one proof in the making, as its adversary finds it. Links are the committee, the beacon stated nearest to the claim first.
type Scene struct {
	World   *world.World
	At      time.Duration // when the exchanges run, from the world's start
	Stands  world.Place   // where the core is
	Claim   world.Place   // where it says it is
	Cheats  bool          // the core is the adversary's; otherwise it is honest, and its troubles are the adversary's aim
	F       int           // faulty domains that the verdict allows for
	Speed   earth.Speed   // of the verdict's class
	Attempt int           // of Attempts, from 0
	Draws   sample.Draws
	Links   []Link
}

// Attempts returns how many proofs the adversary tries until one is Inside.
func (a Adversary) Attempts() int {
	if k, err := Find(a.Name); err == nil && k.attempts {
		return max(1, int(a.Strength))
	}
	return 1
}

// Before lets the adversary at the paths, before the exchanges are drawn.
func (a Adversary) Before(s *Scene) {
	if k, err := Find(a.Name); err == nil && k.before != nil {
		k.before(s, a.Strength)
	}
}

// After lets it at the results: the adversary adds delay to what was measured, drops statements, and signs with its own beacons' keys.
func (a Adversary) After(s *Scene) {
	if k, err := Find(a.Name); err == nil && k.after != nil {
		k.after(s, a.Strength)
	}
}

// What a cheating core or its network does to the paths. A core of the adversary's does not trouble itself with what only harms.

func losePackets(s *Scene, share float64) {
	for i := range s.Links {
		s.Links[i].lose(share)
	}
}

// lose lets a share of the packets of both ends be lost.
func (l *Link) lose(share float64) {
	for _, e := range []*sample.End{&l.Path.Beacon, &l.Path.Core} {
		e.Loss = 1 - (1-e.Loss)*(1-share)
	}
}

func silenceAll(s *Scene, _ float64) {
	if s.Cheats {
		for i := range s.Links {
			s.Links[i].Silent = true
		}
	}
}

// dropNearest silences those that stand nearest to the core: their bounds say most.
func dropNearest(s *Scene, share float64) {
	for _, i := range s.nearest()[:int(math.Round(share*float64(len(s.Links))))] {
		s.Links[i].Silent = true
	}
}

func floodNearest(s *Scene, share float64) {
	for _, i := range s.nearest()[:(len(s.Links)+1)/2] {
		s.Links[i].lose(share)
	}
}

// nearest returns the links by the distance of the beacon from the core.
func (s *Scene) nearest() []int {
	order, at := make([]int, len(s.Links)), s.Stands.ECEF()
	far := make([]earth.Metres, len(s.Links))
	for i := range s.Links {
		order[i], far[i] = i, earth.Chord(s.Links[i].Beacon.ECEF(), at)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case far[a] < far[b]:
			return -1
		case far[a] > far[b]:
			return 1
		}
		return 0
	})
	return order
}

// fromClaim lets the exchanges run from the claimed place: the key stands there.
func fromClaim(s *Scene, _ float64) {
	if !s.Cheats {
		return
	}
	for i := range s.Links {
		l := &s.Links[i]
		l.Path, _ = sample.Between(s.World, l.Beacon, s.Claim, s.At)
	}
}

func relayPaths(s *Scene, share float64) {
	if !s.Cheats {
		return
	}
	fromClaim(s, 0)
	link := light(earth.Chord(s.Claim.ECEF(), s.Stands.ECEF()), share*float64(earth.Light))
	for i := range s.Links {
		s.Links[i].Adds += link
	}
}

func fastPaths(s *Scene, share float64) {
	if !s.Cheats {
		return
	}
	for i := range s.Links {
		l := &s.Links[i]
		l.Path.Least = max(1, light(earth.Chord(l.Beacon.ECEF(), s.Stands.ECEF()), share*float64(earth.Light)))
		l.Path.Core.Access = world.DataCentre
	}
}

// light returns how long a signal of a speed needs there and back, rounded up: no link of ours is faster than it says.
func light(d earth.Metres, speed float64) earth.RTT {
	return earth.RTT(math.Ceil(2 * float64(d) / speed * 1e9))
}

func slowCoreClock(s *Scene, share float64) {
	if s.Cheats {
		for i := range s.Links {
			s.Links[i].Path.Core.Clock.RatePPB = -int64(share * 1e9)
		}
	}
}

func slowCoreFully(s *Scene, _ float64) { slowCoreClock(s, 0.999) }

func pickSome(s *Scene, _ float64) {
	if s.Cheats {
		s.silenceSome(s.Attempt)
	}
}

// silenceSome leaves at least 2f+1 of the committee, all of it in the first attempt.
func (s *Scene) silenceSome(attempt int) {
	if attempt == 0 {
		return
	}
	left := len(s.Links)
	for i := range s.Links {
		if left > 2*s.F+1 && s.Draws.Uint64()&1 == 0 {
			s.Links[i].Silent = true
			left--
		}
	}
}

// What is made of the results.

// longer adds to what both sides measured.
func (l *Link) longer(by earth.RTT) {
	if by > 0 && !l.Silent {
		l.Found.Beacon += by
		l.Found.Core += by
	}
}

// state writes another round trip into the statement.
func (l *Link) state(rtt earth.RTT) {
	l.Silent = false
	l.Found.Beacon, l.Found.Core = rtt, rtt
}

// fits returns the round trip whose bound just holds the claimed place, with 20 µs to spare.
func (s *Scene) fits(l *Link) earth.RTT {
	return light(earth.Chord(l.Stated, s.Claim.ECEF()), float64(s.Speed)) + 20_000
}

func addConstant(s *Scene, ms float64) {
	for i := range s.Links {
		s.Links[i].longer(earth.RTT(ms * 1e6))
	}
}

func addSelective(s *Scene, share float64) {
	if !s.Cheats {
		return
	}
	for i := range s.Links {
		l := &s.Links[i]
		if there, ok := s.World.MinRTTAt(l.Beacon, s.Claim, s.At); ok {
			l.longer(earth.RTT(share * float64(there-l.Path.Least)))
		}
	}
}

func addAdaptive(s *Scene, _ float64) {
	if s.Cheats {
		s.silenceSome(s.Attempt)
		fitAll(s, 0)
	}
}

// fitAll delays every answer whose bound does not hold the claimed place until it does.
func fitAll(s *Scene, _ float64) {
	if s.Cheats {
		for i := range s.Links {
			l := &s.Links[i]
			l.longer(s.fits(l) - l.Found.Bound())
		}
	}
}

// beside is what a liar states of a core beside it: 6 km at the speed of light.
const beside earth.RTT = 40_000

// blind is a delay after which a bound holds the whole Earth.
const blind earth.RTT = 100_000_000

// owned returns the links whose beacons belong to n domains: the first of the committee.
func (s *Scene) owned(n int) []*Link {
	var domains []string
	var own []*Link
	for i := range s.Links {
		l := &s.Links[i]
		if len(domains) < n && !slices.Contains(domains, l.Domains[0]) {
			domains = append(domains, l.Domains[0])
		}
		if slices.ContainsFunc(l.Domains, func(d string) bool { return slices.Contains(domains, d) }) {
			own = append(own, l)
		}
	}
	return own
}

func lieShort(s *Scene, domains float64) {
	for _, l := range s.owned(int(domains)) {
		l.state(beside)
	}
}

func lieLong(s *Scene, domains float64) {
	for _, l := range s.owned(int(domains)) {
		l.longer(blind)
	}
}

// lieTogether is all that a core and n domains can do together: the honest answers are delayed until they exclude no place, and the
// liars say that the core stands beside them.
func (s *Scene) lieTogether(domains int) {
	if !s.Cheats {
		for _, l := range s.owned(domains) {
			l.state(beside)
		}
		return
	}
	for i := range s.Links {
		s.Links[i].longer(blind)
	}
	for _, l := range s.owned(domains) {
		l.state(beside)
	}
}

func collude(s *Scene, beyond float64) { s.lieTogether(s.F + int(beyond)) }

func forge(s *Scene, keys float64) { s.lieTogether(int(keys)) }

// pauseBeacons shortens what paused beacons measured; the core's own slow clock does the rest, and it delays the others.
func pauseBeacons(s *Scene, domains float64) {
	if s.Cheats {
		for i := range s.Links {
			s.Links[i].longer(blind)
		}
	}
	for _, l := range s.owned(int(domains)) {
		if l.Silent {
			continue
		}
		l.Found.Beacon = beside
		if s.Cheats {
			l.Found.Core = min(l.Found.Core, beside)
		}
	}
}
