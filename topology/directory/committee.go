package directory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// MaxCommittee is the largest number of beacons that one challenge asks.
const MaxCommittee = 64

// The refusals of a committee.
var (
	ErrCommitteeSize  = errors.New("a committee has 1 to 64 beacons")
	ErrTooFewBeacons  = errors.New("no beacon of the directory can be asked now")
	ErrTooFewDomains  = errors.New("committee has too few independent beacons")
	ErrCommitteeClaim = errors.New("claimed place is off the Earth's shell")
)

// Selection says which beacons a gate wants to ask.
type Selection struct {
	Claim     earth.ECEF // where the core says it is; it decides who is near, never who is right
	NonceG    [32]byte   // the challenge's nonce, which the core cannot foresee
	Metro     int        // beacons nearest to the claim
	Random    int        // beacons drawn by H(nonce_g ‖ beacon id) among the others
	F         int        // faulty domains to survive: at least 2f+1 beacons share no domain with one another
	NowUnixNS int64
}

// Committee chooses the beacons for a challenge, ascending by id: a pure function of directory and selection, so that anybody can
// repeat it afterwards. Beacons in quarantine or out of their validity are not asked. Of the near ones, and of the drawn ones,
// those that share no domain with the ones already chosen go first; only when none is left do others fill the number. It may be
// smaller than asked for when the directory is. Metro beacons make the region small; drawn ones are those that a core could not
// make friends with beforehand.
func (d *Directory) Committee(s Selection) ([]identity.ID, error) {
	if err := d.ValidAt(s.NowUnixNS); err != nil {
		return nil, err
	}
	if s.Metro < 0 || s.Random < 0 || s.Metro > MaxCommittee || s.Random > MaxCommittee-s.Metro || s.Metro+s.Random < 1 ||
		s.F < 0 || s.F > MaxCommittee {
		return nil, fmt.Errorf("%w: metro %d, random %d, f %d", ErrCommitteeSize, s.Metro, s.Random, s.F)
	}
	if err := s.Claim.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommitteeClaim, err)
	}
	candidates := d.candidates(s)
	if len(candidates) == 0 {
		return nil, ErrTooFewBeacons
	}
	c := &committee{domains: make(map[string]bool)}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), a.id.Compare(b.id))
	})
	near := min(len(candidates), metroPool*s.Metro)
	c.choose(candidates[:near], s.Metro)
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(slices.Compare(a.draw[:], b.draw[:]), a.id.Compare(b.id))
	})
	c.choose(candidates, len(c.chosen)+s.Random)
	if c.independent < 2*s.F+1 {
		return nil, fmt.Errorf("%w: %d that share no domain, f = %d needs %d", ErrTooFewDomains, c.independent, s.F, 2*s.F+1)
	}
	slices.SortFunc(c.chosen, identity.ID.Compare)
	return c.chosen, nil
}

// metroPool bounds how far a preference for new domains may reach: among so many times the wanted number of nearest beacons.
const metroPool = 3

type candidate struct {
	id       identity.ID
	domains  []string
	distance earth.Metres
	draw     [32]byte
}

func (d *Directory) candidates(s Selection) []candidate {
	list := make([]candidate, 0, len(d.Beacons))
	for _, b := range d.Beacons {
		id := b.ID()
		if _, out := d.Quarantined(id); out || !b.ValidAt(s.NowUnixNS) {
			continue
		}
		list = append(list, candidate{id, b.Domains, earth.Chord(b.ECEF(), s.Claim),
			identity.Hash("committee", s.NonceG[:], id[:])})
	}
	return list
}

// committee grows by choose. independent counts the members that, when chosen, shared no domain with any member before them and
// with none of whose domains a later one was counted: a set of beacons no two of which fall to one faulty domain.
type committee struct {
	chosen      []identity.ID
	domains     map[string]bool // of the independent members
	independent int
}

// choose takes from the ordered list until the committee has the given size: first those with new domains only, then the others.
func (c *committee) choose(list []candidate, size int) {
	for _, onlyNew := range []bool{true, false} {
		for _, k := range list {
			if len(c.chosen) >= size {
				return
			}
			fresh := !slices.ContainsFunc(k.domains, func(name string) bool { return c.domains[name] })
			if onlyNew && !fresh || slices.Contains(c.chosen, k.id) {
				continue
			}
			c.chosen = append(c.chosen, k.id)
			if fresh {
				c.independent++
				for _, name := range k.domains {
					c.domains[name] = true
				}
			}
		}
	}
}
