package monitor

import (
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/policy"
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
func (a *Auditor) asks(d decision, p policy.Policy) {
	h := a.habits[d.Core]
	if h == nil {
		h = &habit{}
		a.habits[d.Core] = h
	}
	most := uint64(0)
	if p.MaxUnits != nil {
		most = *p.MaxUnits
	}
	if d.Want/greedyFactor > most {
		if h.greedy++; h.greedy == often {
			a.Found(Finding{Kind: OverRequest, Core: d.Core.String(), Detail: fmt.Sprintf("%d times it asked for more than %d times the most in one lease", often, greedyFactor)})
		}
	}
	if d.Held > most {
		if h.full++; h.full == often {
			a.Found(Finding{Kind: Hoarding, Core: d.Core.String(), Detail: fmt.Sprintf("%d times it held more than a greatest lease when it asked for more", often)})
		}
	}
}
