package monitor

import (
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// habit is how a core asks.
type habit struct {
	greedy, full int
}

// greedyFactor is what counts as asking too much, a greatest lease what counts
// as holding too much; often is how many times make a habit.
const (
	greedyFactor = 10
	often        = 5
)

// asks looks at how a core asks.
func (a *Auditor) asks(core identity.ID, r *evidence.Report) {
	h := a.habits[core]
	if h == nil {
		h = &habit{}
		a.habits[core] = h
	}
	b, most := r.Bundle, uint64(0)
	if r.Policy.MaxUnits != nil {
		most = *r.Policy.MaxUnits
	}
	if b.Request.Want/greedyFactor > most {
		if h.greedy++; h.greedy == often {
			a.Found(Finding{Kind: OverRequest, Core: core.String(), Detail: fmt.Sprintf("%d times it asked for more than %d times the most in one lease", often, greedyFactor)})
		}
	}
	if b.Request.Usage[4] > most {
		if h.full++; h.full == often {
			a.Found(Finding{Kind: Hoarding, Core: core.String(), Detail: fmt.Sprintf("%d times it held more than a greatest lease when it asked for more", often)})
		}
	}
}
