package grant

import (
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// book is the gate's memory of the challenges it issued: one open challenge for
// each core, and the last one that was used, so that its replay can be called by
// its name. It is bounded by the number of enrolled cores and forgets with the
// process; what was granted is remembered by the store.
type book struct {
	mu    sync.Mutex
	cores map[identity.ID]*page
}

type page struct {
	open, used *entry
	lease      *running // the newest one; nil: none that this process granted
}

// running is a lease that is out, with what it rested on.
type running struct {
	c          Case
	f          Finding
	permitHash [32]byte
	request    [16]byte
	until      time.Time
	halted     string // why it does not stand any more; empty: it does
}

// entry is one challenge.
type entry struct {
	nonce     [32]byte
	envelope  []byte // as it was sent
	lockNonce lock.Nonce
	issued    time.Time // with the monotonic clock
	ttl       time.Duration
	skew      time.Duration // another gate asked: by how much its clock may differ; 0: this process did
	answer    *Decision     // the refusal that used it up; nil: open, or granted
	request   [32]byte      // hash of the request that used it up
}

// put opens a challenge for a core; an earlier open one is void from then on.
func (b *book) put(core identity.ID, e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.page(core).open = e
}

// page finds or makes a core's. The caller holds mu.
func (b *book) page(core identity.ID) *page {
	if b.cores == nil {
		b.cores = map[identity.ID]*page{}
	}
	p := b.cores[core]
	if p == nil {
		p = &page{}
		b.cores[core] = p
	}
	return p
}

// run notes that a lease is out.
func (b *book) run(core identity.ID, r *running) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.page(core).lease = r
}

// lease finds a core's newest lease, if this process granted it.
func (b *book) lease(core identity.ID, request [16]byte) (running, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.cores[core]
	if p == nil || p.lease == nil || p.lease.request != request {
		return running{}, false
	}
	return *p.lease, true
}

// review asks of every lease that is out whether it still stands, and notes why
// it does not. It returns the cores whose leases fell.
func (b *book) review(now time.Time, fell func(Case) (why string, no bool)) []identity.ID {
	b.mu.Lock()
	var out []*running
	var cores []identity.ID
	for id, p := range b.cores {
		if p.lease != nil && p.lease.halted == "" && now.Before(p.lease.until) {
			out, cores = append(out, p.lease), append(cores, id)
		}
	}
	b.mu.Unlock()
	var fallen []identity.ID
	for i, r := range out { // judging takes its time; nobody waits for it
		if why, no := fell(r.c); no {
			b.mu.Lock()
			r.halted = why
			b.mu.Unlock()
			fallen = append(fallen, cores[i])
		}
	}
	return fallen
}

// find looks up a core's challenge by its nonce.
func (b *book) find(core identity.ID, nonce [32]byte) (e *entry, used bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.cores[core]
	switch {
	case p == nil:
		return nil, false
	case p.open != nil && p.open.nonce == nonce:
		return p.open, false
	case p.used != nil && p.used.nonce == nonce:
		return p.used, true
	}
	return nil, false
}

// use closes a challenge: it was granted (answer nil) or refused for good.
func (b *book) use(core identity.ID, e *entry, request [32]byte, answer *Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.cores[core]
	if p == nil || p.open != e {
		return // another one has taken its place, or it is closed already
	}
	e.request, e.answer = request, answer
	p.open, p.used = nil, e
}
