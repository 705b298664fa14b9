// Package quarantine carries what an audit found into the next epoch of the directory, as a draft that the directory's keys sign.
//
// It believes the report and decides nothing more: convicted beacons are taken out of service, suspected ones may be given a wider
// uncertainty. Both can only make proofs weaker. Nothing here lifts a quarantine by itself: an audit that finds nothing proves
// nothing, for a liar may behave while it is watched. A person lifts it, with Lift, and the signatures say who.
package quarantine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// What a draft may be refused for.
var (
	ErrNotVerified = errors.New("the directory to go on from is not verified")
	ErrNotIn       = errors.New("not in quarantine")
)

// Next drafts the epoch after d, with the same lifetime from now on. Convicted beacons of the report are added to the quarantine,
// those already there stay. unknown lists the convicted whose ids are no beacon of d.
func Next(d *directory.Directory, r audit.Report, nowUnixNS int64) (draft *directory.Directory, unknown []string, err error) {
	draft, err = copied(d, nowUnixNS)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range r.Convicted {
		id, err := identity.ParseID(a.ID)
		if _, known := d.Lookup(id); err != nil || !known {
			unknown = append(unknown, a.ID)
			continue
		}
		if _, in := d.Quarantined(id); !in {
			reason := fmt.Sprintf("audit: contradicted by %d peers at %s speed", a.Contradictions, r.Speed)
			draft.Quarantine = append(draft.Quarantine, directory.Quarantine{Beacon: id, SinceUnixNS: nowUnixNS, Reason: reason})
		}
	}
	draft.Sort()
	return draft, unknown, nil
}

// Widen raises the uncertainty of suspected beacons in a draft to what would remove every contradiction. It never lowers one. It
// returns how many it raised.
func Widen(draft *directory.Directory, r audit.Report) (raised int) {
	for _, a := range r.Suspected {
		id, err := identity.ParseID(a.ID)
		if err != nil {
			continue
		}
		for i := range draft.Beacons {
			if b := &draft.Beacons[i]; b.ID() == id {
				if mm := uint64(math.Ceil(a.PosUncKM * 1e6)); mm > b.PosUncMM {
					b.PosUncMM = mm
					raised++
				}
			}
		}
	}
	return raised
}

// Lift drafts the epoch after d without the quarantine of one beacon.
func Lift(d *directory.Directory, id identity.ID, nowUnixNS int64) (*directory.Directory, error) {
	draft, err := copied(d, nowUnixNS)
	if err != nil {
		return nil, err
	}
	if _, in := d.Quarantined(id); !in {
		return nil, fmt.Errorf("%w: %s", ErrNotIn, id.Short())
	}
	draft.Quarantine = slices.DeleteFunc(draft.Quarantine, func(q directory.Quarantine) bool { return q.Beacon == id })
	return draft, nil
}

// copied returns a draft of the next epoch with the content of d.
func copied(d *directory.Directory, nowUnixNS int64) (*directory.Directory, error) {
	if !d.Verified() {
		return nil, ErrNotVerified
	}
	return &directory.Directory{
		Epoch: d.Epoch + 1, IssuedUnixNS: nowUnixNS, ExpiresUnixNS: nowUnixNS + d.ExpiresUnixNS - d.IssuedUnixNS,
		Beacons: slices.Clone(d.Beacons), Gates: slices.Clone(d.Gates), Appraisers: slices.Clone(d.Appraisers),
		Quarantine: slices.Clone(d.Quarantine), AttestRoots: slices.Clone(d.AttestRoots),
	}, nil
}
