package trial

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// move is a beacon that stands elsewhere than the directory says.
type move struct {
	id     string
	from   world.Place
	stated earth.LatLon
	to     world.Place // the town where it stands now
}

// farOff is how far a beacon is moved at least.
const farOff earth.Metres = 800_000

// settle puts the beacons where they stand: the adversary's moved ones in a town outside the permit.
func (t *Trial) settle() {
	away := newTowns(t.setup.World, t.setup.Permit).outside
	moves := t.moves()
	for _, b := range t.byChance() {
		if len(t.moved) < moves && t.setup.Permit.ClassPoint(b.Stated) == atlas.In {
			t.move(&b, away)
		}
		t.fleet = append(t.fleet, station{b, b.Stated.ECEF(0), sample.Hash(b.Place.ID)})
	}
	slices.SortFunc(t.fleet, func(a, b station) int { return cmp.Compare(a.Place.ID, b.Place.ID) })
}

// moves is how many beacons the adversary moves.
func (t *Trial) moves() int {
	switch t.setup.Adversary.Name {
	case adversary.LyingMoved:
		return int(t.setup.Adversary.Strength)
	case adversary.PoisonedCalibration:
		return 1
	}
	return 0
}

// byChance returns the beacons in an order that the seed decides.
func (t *Trial) byChance() []Beacon {
	key := func(b Beacon) sample.Key {
		return sample.KeyOf(t.setup.Seed, sample.Hash(b.Place.ID), sample.Hash("settle"), 0)
	}
	return slices.SortedFunc(slices.Values(t.setup.Beacons), func(a, b Beacon) int {
		return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a.Place.ID, b.Place.ID))
	})
}

// move takes a beacon to a town far from where it is stated, if there is one.
func (t *Trial) move(b *Beacon, towns []world.Place) {
	d := sample.KeyOf(t.setup.Seed, sample.Hash(b.Place.ID), sample.Hash("move"), 0).Draws()
	for range tries {
		if len(towns) == 0 {
			return
		}
		to := pick(&d, towns)
		if earth.Chord(to.ECEF(), b.Stated.ECEF(0)) < farOff {
			continue
		}
		t.moved = append(t.moved, move{b.Place.ID, b.Place, b.Stated, to})
		there := t.setup.World.Host(to, b.Place.ID)
		there.ID, there.Access = b.Place.ID, b.Place.Access
		b.Place = there
		return
	}
}

// quarantine draws the mesh, every beacon with every other, runs the real audit over it, and takes the convicted out of the fleet.
func (t *Trial) quarantine() error {
	nodes := make([]dataset.Node, len(t.fleet))
	for i, s := range t.fleet {
		nodes[i] = dataset.Node{ID: s.Place.ID, Name: s.Place.Name, Country: s.Place.Country, At: s.Stated, Source: "trial"}
	}
	set, err := dataset.New("mesh", nodes)
	if err != nil {
		return fmt.Errorf("the mesh of the constellation: %w", err)
	}
	speak := t.accomplices()
	for i := range t.fleet {
		for j := range i {
			rtt, ok := t.mesh(i, j, speak)
			if !ok {
				continue
			}
			if err := set.Add(i, j, rtt, false); err != nil {
				return fmt.Errorf("the mesh of the constellation: %w", err)
			}
		}
	}
	report, err := audit.Run(set, audit.Options{})
	if err != nil {
		return fmt.Errorf("the audit of the constellation: %w", err)
	}
	t.convicted = slices.Sorted(slices.Values(report.ConvictedIDs()))
	t.caught = map[string]bool{}
	for _, m := range t.moved {
		if slices.Contains(t.convicted, m.id) {
			t.caught[m.id] = true
		}
	}
	t.fleet = slices.DeleteFunc(t.fleet, func(s station) bool { return slices.Contains(t.convicted, s.Place.ID) })
	if len(t.fleet) == 0 {
		return fmt.Errorf("%w: the audit convicts every beacon", ErrBeacons)
	}
	return nil
}

// accomplices returns who lies in the mesh for a poisoned calibration: the moved beacon and those that speak for it, the nearest to
// where it is stated.
func (t *Trial) accomplices() map[string]bool {
	if t.setup.Adversary.Name != adversary.PoisonedCalibration || len(t.moved) == 0 {
		return nil
	}
	m := t.moved[0]
	near := slices.Clone(t.fleet)
	x := m.stated.ECEF(0)
	slices.SortFunc(near, func(a, b station) int {
		return cmp.Or(cmp.Compare(earth.Chord(a.at, x), earth.Chord(b.at, x)), cmp.Compare(a.Place.ID, b.Place.ID))
	})
	liars := map[string]bool{m.id: true}
	for _, s := range near {
		if len(liars) <= int(t.setup.Adversary.Strength) {
			liars[s.Place.ID] = true
		}
	}
	return liars
}

// mesh returns what a pair of beacons states of its round trip. Liars state to each other what fits their stated places; to those
// who stand nearest to the moved beacon's true place, and so contradict it, they state less than light allows.
func (t *Trial) mesh(i, j int, liars map[string]bool) (earth.RTT, bool) {
	a, b := &t.fleet[i], &t.fleet[j]
	p, ok := sample.Between(t.setup.World, a.Place, b.Place, t.setup.At)
	if !ok {
		return 0, false
	}
	m, ok := t.sampler.Exchange(p, sample.KeyOf(t.setup.Seed, a.name, b.name, 1<<32))
	if !ok {
		return 0, false
	}
	rtt := m.Bound()
	light := earth.RTT(2*float64(earth.Chord(a.at, b.at))/float64(earth.Light)*1e9) + 1
	switch la, lb := liars[a.Place.ID], liars[b.Place.ID]; {
	case la && lb:
		return 2 * light, true
	case la != lb:
		victim := a
		if la {
			victim = b
		}
		if earth.Chord(victim.at, t.moved[0].to.ECEF()) < farOff {
			return max(1, min(rtt, light/2)), true
		}
	}
	return rtt, true
}
