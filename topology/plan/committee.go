package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Committee is a choice of beacons for a claimed place.
type Committee struct {
	At      earth.LatLon
	Members []Measurement // shortest round trip first
	Domains int
	Outcome Outcome
	Rounds  int // exchanges of a member that made the region smaller
}

// Limits of the search: candidates beyond the shortest few cannot cut much, because under any stretch above 1 the rim of a far
// beacon's bound lies far behind the core; and the exchanges end by themselves long before the last round.
const (
	candidatesAtLeast = 48
	maxRounds         = 32
)

// ChooseCommittee looks for the m beacons that make the region smallest for a core at the claimed place, of at least 2f+1 domains.
// It begins with the shortest round trips and exchanges one member at a time for the one beacon that helps most, until no exchange
// helps: a local optimum.
func ChooseCommittee(ctx context.Context, f *Fleet, at earth.LatLon, m int, progress Progress) (Committee, error) {
	if err := f.Validate(); err != nil {
		return Committee{}, err
	}
	if err := at.Validate(); err != nil {
		return Committee{}, fmt.Errorf("%w: %w", ErrPlace, err)
	}
	if least := 2*f.F + 1; m < least || m > len(f.Sites) {
		return Committee{}, fmt.Errorf("%w: %d is not within 2f+1 = %d..%d sites", ErrMembers, m, least, len(f.Sites))
	}
	if n := Domains(f.Sites); n < 2*f.F+1 {
		return Committee{}, fmt.Errorf("%w: the sites have %d, 2f+1 = %d are needed", ErrDomains, n, 2*f.F+1)
	}
	s := &exchange{f: f, at: at, pool: f.byDelay(at, f.Sites), meter: meter{progress: progress}}
	s.members = f.choose(s.pool, m)
	if len(s.pool) > 4*m+candidatesAtLeast {
		s.pool = s.pool[:4*m+candidatesAtLeast]
	}
	return s.run(ctx)
}

// exchange is the search's state.
type exchange struct {
	f       *Fleet
	at      earth.LatLon
	pool    []Measurement
	members []Measurement
	best    Outcome
	meter   meter
}

func (s *exchange) run(ctx context.Context) (Committee, error) {
	var err error
	if s.best, err = s.f.Locator.Locate(s.at, s.members); err != nil {
		return Committee{}, err
	}
	rounds := 0
	for ; rounds < maxRounds; rounds++ {
		better, err := s.round(ctx)
		if err != nil {
			return Committee{}, err
		}
		if !better {
			break
		}
	}
	slices.SortFunc(s.members, func(a, b Measurement) int {
		return cmp.Or(cmp.Compare(a.RTT, b.RTT), cmp.Compare(a.Site.ID, b.Site.ID))
	})
	return Committee{At: s.at, Members: s.members, Domains: domainsOf(s.members), Outcome: s.best, Rounds: rounds}, nil
}

// better orders outcomes: proven before unproven, then the smaller region, with a tenth of a per cent to spare so that noise in the
// cells' grain does not keep the search busy.
func better(a, b Outcome) bool {
	if a.Inside != b.Inside {
		return a.Inside
	}
	return a.AreaKM2 < 0.999*b.AreaKM2
}

// round tries every exchange and makes the best one.
func (s *exchange) round(ctx context.Context) (bool, error) {
	type trial struct{ out, in int }
	var trials []trial
	for out := range s.members {
		for in := range s.pool {
			if !slices.ContainsFunc(s.members, func(m Measurement) bool { return m.Site == s.pool[in].Site }) {
				trials = append(trials, trial{out, in})
			}
		}
	}
	s.meter.total = s.meter.done + len(trials)
	outcomes := make([]Outcome, len(trials))
	valid := make([]bool, len(trials))
	err := parallel(ctx, len(trials), s.meter.step, func(i int) error {
		changed := s.with(trials[i].out, trials[i].in)
		if domainsOf(changed) < 2*s.f.F+1 {
			return nil
		}
		var err error
		outcomes[i], err = s.f.Locator.Locate(s.at, changed)
		valid[i] = err == nil
		return err
	})
	if err != nil {
		return false, err
	}
	best := -1
	for i := range trials {
		if valid[i] && better(outcomes[i], s.best) && (best < 0 || better(outcomes[i], outcomes[best])) {
			best = i
		}
	}
	if best < 0 {
		return false, nil
	}
	s.members, s.best = s.with(trials[best].out, trials[best].in), outcomes[best]
	return true, nil
}

func (s *exchange) with(out, in int) []Measurement {
	changed := slices.Clone(s.members)
	changed[out] = s.pool[in]
	return changed
}

func domainsOf(members []Measurement) int {
	sites := make([]Site, len(members))
	for i, m := range members {
		sites[i] = *m.Site
	}
	return Domains(sites)
}
