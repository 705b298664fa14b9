package server

import (
	"context"
	"sync"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// turns lets the requests of one core through one after another. Twins of a
// request would otherwise find its lease in the store, and send it, while its
// evidence is being written, which may fail. Those of different cores never wait
// for each other.
type turns struct {
	mu   sync.Mutex
	busy map[identity.ID]*turn
}

// turn is a core's: held by whoever put something into it.
type turn struct {
	held  chan struct{}
	users int // who hold it or wait for it
}

// take waits for the core's turn, and returns what gives it back.
func (t *turns) take(ctx context.Context, core identity.ID) (give func(), err error) {
	t.mu.Lock()
	if t.busy == nil {
		t.busy = map[identity.ID]*turn{}
	}
	mine := t.busy[core]
	if mine == nil {
		mine = &turn{held: make(chan struct{}, 1)}
		t.busy[core] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.busy, core)
		}
	}
	select {
	case mine.held <- struct{}{}:
		return func() { <-mine.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
