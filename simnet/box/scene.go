package box

import (
	"errors"
	"fmt"
	"slices"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Scene is who stands where, and what the adversary is up to. All places are hosts of the world.
type Scene struct {
	World   *world.World
	Claim   world.Place   // where the core says it is
	Stands  world.Place   // where it is
	Gate    world.Place   // where the gate is; it decides nothing but how long its answers take
	Beacons []world.Place // the nearest to the claim first
	Attack  adversary.Attack
}

// Liar is the beacon that works with the core in a lying-beacon attack: the nearest to the claimed place.
const liar = 0

// Errors of a scene.
var (
	ErrBeacons = errors.New("too few beacons can be placed")
	ErrStage   = errors.New("no stage for the attack")
)

// Ask says what a scene should be.
type Ask struct {
	Core    world.Place          // where the core is, or, in an attack, one of the two places: the other is found on the far side of the border
	Beacons int                  // how many
	Permit  *atlas.Region        // what is permitted: in an attack the core stands outside and claims to be inside
	Attack  adversary.Attack     // None for the truth
	Without func(id string) bool // places that no beacon may stand at; nil: none
}

// The core that attacks stands at least so far from where it claims to be.
const (
	apart      earth.Metres = 300_000
	apartLying earth.Metres = 3_000_000 // so that an honest beacon beside it contradicts the liar
)

// shown is by how much that contradiction is sure: 2,000 km are 13 ms, so that a busy machine, which adds delay of its own to what is
// simulated in real time, does not hide it.
const shown earth.Metres = 2_000_000

// Arrange finds the places of a scene. Half of the beacons stand nearest to the claim; of the others, in an attack, two near the
// core's true place, and the rest as far from one another as the world allows, but not so far that their bounds would hold the
// whole Earth, as long as there are others. A measured world offers only places whose round trips to the core were measured.
func Arrange(w *world.World, ask Ask) (Scene, error) {
	if _, err := adversary.Parse(string(ask.Attack)); err != nil {
		return Scene{}, err
	}
	s := Scene{World: w, Attack: ask.Attack, Claim: ask.Core, Stands: ask.Core}
	if ask.Attack != adversary.None {
		if err := s.part(ask); err != nil {
			return Scene{}, err
		}
	}
	towns, err := s.choose(ask)
	if err != nil {
		return Scene{}, err
	}
	for i, town := range towns {
		s.Beacons = append(s.Beacons, w.Host(town, fmt.Sprintf("beacon %d", i+1)))
	}
	s.Gate = w.Host(towns[0], "gate")
	s.Claim, s.Stands = w.Host(s.Claim, "core"), w.Host(s.Stands, "core")
	return s, nil
}

// part sets claim and true place of an attack to different sides of the border, one of them the place asked for.
func (s *Scene) part(ask Ask) error {
	inside := classAt(ask.Permit, ask.Core) != atlas.Out
	least := apart
	if ask.Attack == adversary.LyingBeacon {
		least = apartLying
	}
	for _, p := range s.World.ByDistance(ask.Core.At) {
		claim, stands := ask.Core, p
		if !inside {
			claim, stands = p, ask.Core
		}
		if earth.Chord(claim.ECEF(), stands.ECEF()) < least || classAt(ask.Permit, claim) == atlas.Out ||
			classAt(ask.Permit, stands) != atlas.Out || !s.staged(claim, stands, ask) {
			continue
		}
		s.Claim, s.Stands = claim, stands
		return nil
	}
	return fmt.Errorf("%w %s: it needs a place inside and one outside of %s, %s apart, one of them %s; choose another --core or --permit",
		ErrStage, ask.Attack, ask.Permit, least, ask.Core)
}

// staged says whether the places do for the attack: packets get from one to the other, and a liar is contradicted by an honest
// neighbour of the core even when no faulty beacon is tolerated.
func (s *Scene) staged(claim, stands world.Place, ask Ask) bool {
	if _, ok := s.World.MinRTT(claim, stands); !ok {
		return false
	}
	if ask.Attack != adversary.LyingBeacon {
		return true
	}
	probe := Scene{World: s.World, Claim: claim, Stands: stands, Attack: ask.Attack}
	towns, err := probe.choose(ask)
	if err != nil {
		return false
	}
	lie, ok := s.World.MinRTT(towns[liar], claim)
	if !ok {
		lie = leastLie
	}
	for _, b := range towns[liar+1:] {
		rtt, ok := s.World.MinRTT(b, stands)
		if !ok {
			rtt = leastLie // two hosts of one town
		}
		if reach(lie)+reach(rtt)+shown < earth.Chord(towns[liar].ECEF(), b.ECEF()) {
			return true
		}
	}
	return false
}

// leastLie is the shortest round trip that a lying beacon states.
const leastLie = earth.RTT(400_000)

// reach is how far light gets in a round trip; an estimate for choosing a stage, not a bound.
func reach(rtt earth.RTT) earth.Metres {
	return earth.Metres(float64(earth.Light) * float64(rtt) / 2e9)
}

// classAt classifies a place by the smallest cell around it.
func classAt(r *atlas.Region, p world.Place) atlas.Class {
	return r.Class(s2.CellFromPoint(p.At.Point()).ID())
}

// choose returns the towns of the beacons.
func (s *Scene) choose(ask Ask) ([]world.Place, error) {
	var fit []world.Place
	for _, p := range s.World.ByDistance(s.Claim.At) {
		if s.usable(p) && (ask.Without == nil || !ask.Without(p.ID)) {
			fit = append(fit, p)
		}
	}
	if len(fit) < ask.Beacons || ask.Beacons < 1 {
		return nil, fmt.Errorf("%w: %d asked for, the world offers %d for a core in %s", ErrBeacons, ask.Beacons, len(fit), s.Claim)
	}
	chosen := slices.Clone(fit[:(ask.Beacons+1)/2])
	if ask.Attack != adversary.None {
		near := slices.Clone(fit)
		slices.SortStableFunc(near, func(a, b world.Place) int {
			return int(earth.Chord(a.ECEF(), s.Stands.ECEF()) - earth.Chord(b.ECEF(), s.Stands.ECEF()))
		})
		chosen = addNew(chosen, near, min(ask.Beacons, len(chosen)+2))
	}
	telling := slices.DeleteFunc(slices.Clone(fit), func(p world.Place) bool {
		rtt, ok := s.World.MinRTT(p, s.Claim)
		return ok && reach(rtt) > 2*earth.SemiMajor
	})
	if len(telling) < ask.Beacons {
		telling = fit
	}
	for len(chosen) < ask.Beacons {
		chosen = append(chosen, farthest(telling, chosen))
	}
	return chosen, nil
}

// usable says whether a beacon may stand in the town: its round trips to the core's places exist.
func (s *Scene) usable(p world.Place) bool {
	for _, core := range []world.Place{s.Claim, s.Stands} {
		if s.World.IsMeasured() {
			if _, ok := s.World.MinRTT(p, core); !ok {
				return false
			}
		}
	}
	return true
}

// addNew appends the first places of the list that are not there yet, until there are n.
func addNew(chosen, list []world.Place, n int) []world.Place {
	for _, p := range list {
		if len(chosen) >= n {
			break
		}
		if !slices.ContainsFunc(chosen, func(c world.Place) bool { return c.ID == p.ID }) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// farthest returns the place whose nearest chosen neighbour is farthest away.
func farthest(list, chosen []world.Place) world.Place {
	var best world.Place
	most := earth.Metres(-1)
	for _, p := range list {
		least := earth.Metres(2 * earth.SemiMajor)
		for _, c := range chosen {
			least = min(least, earth.Chord(p.ECEF(), c.ECEF()))
		}
		if least > most {
			best, most = p, least
		}
	}
	return best
}
