package trial

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// One sentinel for each thing a setup can get wrong. What an adversary can get wrong is adversary's to name, what parameters of the
// verdict can, verdict's.
var (
	ErrWorld     = errors.New("a trial needs a world")
	ErrPermit    = errors.New("a trial needs a permitted region")
	ErrBeacons   = errors.New("impossible constellation")
	ErrBeacon    = errors.New("impossible beacon")
	ErrCommittee = errors.New("impossible size of committee")
	ErrAccess    = errors.New("impossible access delay")
	ErrAge       = errors.New("impossible age of a proof")
)

// Beacon is a beacon of the constellation: where it stands, and where the directory says.
type Beacon struct {
	Place   world.Place  // where it really stands; its ID is unique in the constellation
	Stated  earth.LatLon // as surveyed, at ellipsoid height 0
	PosUnc  earth.Metres // of the survey, positive
	Domains []string     // fault domains, at least one
}

// surveyed is how well a beacon's place is known: as good as a satellite fix on a roof.
const surveyed earth.Metres = 3

// Survey returns an honest beacon at a place, in a fault domain of its own, known to 3 m.
func Survey(at world.Place) Beacon {
	return Beacon{Place: at, Stated: at.At, PosUnc: surveyed, Domains: []string{"operator:" + at.ID}}
}

// Constellation surveys an honest beacon in each of the towns.
func Constellation(w *world.World, towns []world.Place) []Beacon {
	beacons := make([]Beacon, len(towns))
	for i, t := range towns {
		beacons[i] = Survey(w.Host(t, "beacon"))
	}
	return beacons
}

// Setup is everything of a trial but the core.
type Setup struct {
	World     *world.World
	Beacons   []Beacon
	Committee int              // how many beacons are asked: those stated nearest to the claim, of 2F+1 domains; 0 means all
	Permit    *atlas.Region    // the permitted region
	F         int              // faulty domains that the verdict allows for, 0 to region.MaxFaulty
	Class     earth.SpeedClass // that the verdict assumes; must be set
	Access    earth.RTT        // delay of the core's own link besides what its class of access waits, added to every round trip
	Rounds    int              // of an exchange, 8 to 64; 0 means the protocol's rule: 8 to 64 until the two smallest agree
	At        time.Duration    // when the exchanges run, from the world's start: hours and routes follow it
	Age       time.Duration    // of the proof when it is judged; 0 means DefaultAge

	Adversary  adversary.Adversary // the zero value means adversary.Honest
	Quarantine bool                // beacons whom the audit of the mesh convicts are not asked
	Seed       uint64              // of everything that is drawn here; the world has its own
}

// DefaultAge is the age of a proof that is judged at once.
const DefaultAge = time.Second

// flight is how long after its proof a moved core is judged.
const flight = 10 * time.Minute

// Trial is a setup that was checked and prepared.
type Trial struct {
	setup   Setup
	kind    adversary.Kind
	params  verdict.Params
	sampler *sample.Sampler
	fleet   []station // those who may be asked

	moved     []move          // beacons that stand elsewhere than the directory says
	convicted []string        // beacons that the audit convicted, sorted
	caught    map[string]bool // liars among them
	towns     towns
}

// station is a beacon prepared.
type station struct {
	Beacon
	at   earth.ECEF // stated
	name sample.Name
}

// Prepare checks the setup and reckons what all cores share. With Quarantine it also runs the audit of the beacons' mesh.
func (s Setup) Prepare() (*Trial, error) {
	if s.Adversary == (adversary.Adversary{}) {
		s.Adversary.Name = adversary.Honest
	}
	if s.Age == 0 {
		s.Age = DefaultAge
	}
	kind, err := s.Adversary.Kind()
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	t := &Trial{setup: s, kind: kind}
	if t.params, err = (verdict.Params{Speed: s.Class, F: s.F}).Resolve(); err != nil {
		return nil, err
	}
	limits := exchange.DefaultLimits()
	if s.Rounds != 0 {
		if limits, err = sample.Fixed(s.Rounds); err != nil {
			return nil, err
		}
	}
	if t.sampler, err = sample.New(s.World, limits); err != nil {
		return nil, err
	}
	t.settle()
	if s.Quarantine {
		if err := t.quarantine(); err != nil {
			return nil, err
		}
	}
	t.towns = newTowns(s.World, s.Permit)
	return t, nil
}

func (s Setup) check() error {
	switch {
	case s.World == nil:
		return ErrWorld
	case s.Permit == nil:
		return ErrPermit
	case len(s.Beacons) == 0 || len(s.Beacons) > MaxBeacons:
		return fmt.Errorf("%w: %d beacons, want 1..%d", ErrBeacons, len(s.Beacons), MaxBeacons)
	case s.Committee < 0 || s.Committee > region.MaxBounds || s.Committee > 0 && s.Committee < 2*s.F+1:
		return fmt.Errorf("%w: %d, want 2f+1 = %d..%d, or 0 for all", ErrCommittee, s.Committee, 2*s.F+1, region.MaxBounds)
	case s.Committee == 0 && len(s.Beacons) > region.MaxBounds:
		return fmt.Errorf("%w: all %d beacons, at most %d can be asked", ErrCommittee, len(s.Beacons), region.MaxBounds)
	case s.Access < 0 || s.Access > maxAccess:
		return fmt.Errorf("%w: %v is not within 0..%v", ErrAccess, s.Access, maxAccess)
	case s.Age < 0 || s.Age > region.MaxAge:
		return fmt.Errorf("%w: %v is not within 1ns..%v", ErrAge, s.Age, region.MaxAge)
	}
	seen := make(map[string]bool, len(s.Beacons))
	for _, b := range s.Beacons {
		switch {
		case b.Place.ID == "" || seen[b.Place.ID]:
			return fmt.Errorf("%w: the id %q; each beacon's place needs one of its own", ErrBeacon, b.Place.ID)
		case !b.Place.Access.Valid():
			return fmt.Errorf("%w %s: %w %d", ErrBeacon, b.Place.ID, world.ErrAccess, b.Place.Access)
		case b.Stated.Validate() != nil || b.Place.At.Validate() != nil:
			return fmt.Errorf("%w %s: it stands at %v and is stated at %v", ErrBeacon, b.Place.ID, b.Place.At, b.Stated)
		case !(b.PosUnc > 0 && b.PosUnc <= region.MaxPosUnc):
			return fmt.Errorf("%w %s: a survey good to %v m; want more than 0", ErrBeacon, b.Place.ID, float64(b.PosUnc))
		case len(b.Domains) == 0 || slices.Contains(b.Domains, ""):
			return fmt.Errorf("%w %s: it needs a fault domain", ErrBeacon, b.Place.ID)
		}
		seen[b.Place.ID] = true
	}
	return nil
}

// maxAccess is more than any link adds.
const maxAccess = earth.RTT(10 * time.Second)

// MaxBeacons is the largest constellation of a trial.
const MaxBeacons = 4096

// Setup returns what the trial was made of, defaults filled in.
func (t *Trial) Setup() Setup { return t.setup }

// Asked returns the beacons that may be asked, moved ones where they really stand; those in quarantine are gone.
func (t *Trial) Asked() []Beacon {
	out := make([]Beacon, len(t.fleet))
	for i, s := range t.fleet {
		out[i] = s.Beacon
	}
	return out
}

// Convicted returns the ids of the beacons that the audit put into quarantine, sorted.
func (t *Trial) Convicted() []string { return slices.Clone(t.convicted) }
