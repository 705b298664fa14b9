package audit

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Options say what an audit assumes. The zero value is the audit that `ursa calib audit` runs.
type Options struct {
	// Class is the fastest signal on any path; zero means fibre. A conviction is sound under this class and no faster one. Of 57,263
	// public pairs with right coordinates none exceeds 0.606 c, fibre allows 0.69.
	Class earth.SpeedClass
	// ClaimUnc is how far an honest node may stand from its claimed coordinates; zero means 25 km: published places are cities, and
	// data centres stand in their outskirts. A contradiction counts when it exceeds both ends' uncertainty.
	ClaimUnc earth.Metres
	// MaxLiars is an upper limit on the number of lying nodes, known from elsewhere; nil lets the audit look for the fewest that
	// explain the data. With a limit a conviction is a theorem under it.
	MaxLiars *int
	// Effort limits the exact search in steps; zero means 200,000, some seconds. A search that is cut short convicts on proven
	// bounds only.
	Effort int
	// Countries returns the ISO codes of the countries within the given distance of a place, none when unknown. Nil: labels are not
	// compared with coordinates.
	Countries func(at earth.LatLon, within earth.Metres) []string
}

// What Options may be refused for.
var (
	ErrClass    = errors.New("no speed class")
	ErrClaimUnc = errors.New("claim uncertainty out of range")
	ErrMaxLiars = errors.New("number of liars out of range")
	ErrEffort   = errors.New("effort out of range")
	ErrNoSet    = errors.New("no set to audit")
)

const (
	defaultClaimUnc earth.Metres = 25_000
	defaultEffort   int          = 200_000
	minPeers        int          = 10 // fewer measured peers say too little to compare places by
	maxEvidence     int          = 16
)

func (o Options) complete(set *dataset.Set) (Options, error) {
	if set == nil {
		return o, ErrNoSet
	}
	if o.Class == 0 {
		o.Class = earth.Fibre
	}
	if o.ClaimUnc == 0 {
		o.ClaimUnc = defaultClaimUnc
	}
	if o.Effort == 0 {
		o.Effort = defaultEffort
	}
	switch {
	case !o.Class.Valid():
		return o, fmt.Errorf("%w: %v; use vacuum or fibre", ErrClass, o.Class)
	case !(o.ClaimUnc > 0 && o.ClaimUnc <= 1_000_000):
		return o, fmt.Errorf("%w: %v is not within 1 m..1,000 km", ErrClaimUnc, o.ClaimUnc)
	case o.MaxLiars != nil && (*o.MaxLiars < 0 || *o.MaxLiars > set.Len()):
		return o, fmt.Errorf("%w: f = %d is not within 0..%d, the number of nodes", ErrMaxLiars, *o.MaxLiars, set.Len())
	case o.Effort < 0:
		return o, fmt.Errorf("%w: %d steps; use 1 or more", ErrEffort, o.Effort)
	}
	return o, nil
}

// Run audits a set. It is a pure function of its arguments.
func Run(set *dataset.Set, o Options) (Report, error) {
	o, err := o.complete(set)
	if err != nil {
		return Report{}, err
	}
	f := newField(set)
	e := examine(f, o)
	r := e.report(set)
	r.Labels = labelConflicts(set, o)
	return r, nil
}
