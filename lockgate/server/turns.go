package server

import (
	"sync"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// turns lets one lease request of a core through at a time. A twin would
// otherwise find the lease in the store, and send it, while its evidence is being
// written, which may fail. Nobody waits here: a place among the requests being
// verified is everybody's, and the core sends the same request again.
type turns struct {
	mu   sync.Mutex
	busy map[identity.ID]bool
}

// take gives the core its turn and returns what ends it; false when the turn is
// another request's.
func (t *turns) take(core identity.ID) (end func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy[core] {
		return nil, false
	}
	if t.busy == nil {
		t.busy = map[identity.ID]bool{}
	}
	t.busy[core] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, core)
	}, true
}
