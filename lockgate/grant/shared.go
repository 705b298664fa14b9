package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Gates on one store are one gate in several processes: they have one key, one
// policy and one directory, and any of them grants on a challenge that another
// one issued. The challenge is kept in the store for that, and the transaction of
// the grant takes it out: whoever comes second finds none.
//
// Only its age is a matter of two clocks then. A gate that answers for another
// one's challenge adds Config.ClockSkew to the difference of the wall clocks, so
// that a clock which runs behind makes no proof younger, and refuses when the
// difference itself shows that the clocks are further apart.

// DefaultClockSkew of gates on one store.
const DefaultClockSkew = 2 * time.Second

// share keeps a challenge for the other gates.
func (g *Gate) share(ctx context.Context, core identity.ID, e *entry) error {
	if !g.cfg.Shared {
		return nil
	}
	err := g.cfg.Store.Ask(ctx, store.Challenge{Core: core, Nonce: e.nonce, Envelope: e.envelope, LockNonce: e.lockNonce,
		IssuedUnixNS: e.issued.UnixNano(), TTLNS: int64(e.ttl)})
	if err != nil {
		return fmt.Errorf("grant: cannot share a challenge: %w", err)
	}
	return nil
}

// find looks up a core's challenge: in this process's memory, and, where gates
// share a store, in the store, which knows what the others asked and used up.
func (g *Gate) find(ctx context.Context, core identity.ID, nonce [32]byte) (e *entry, used bool, err error) {
	if e, used = g.book.find(core, nonce); used || !g.cfg.Shared {
		return e, used, nil
	}
	c, ok, err := g.cfg.Store.Asked(ctx, core)
	if err != nil {
		return nil, false, err
	}
	if !ok || c.Nonce != nonce {
		return e, e != nil, nil // another gate has granted on it, or asked anew
	}
	if e == nil {
		e = &entry{nonce: c.Nonce, envelope: c.Envelope, lockNonce: c.LockNonce, issued: time.Unix(0, c.IssuedUnixNS),
			ttl: min(time.Duration(c.TTLNS), statement.MaxTTL), skew: g.cfg.ClockSkew}
	}
	if c.RefusedBy != "" {
		return &entry{nonce: c.Nonce, request: c.Request, answer: &Decision{RefusedBy: c.RefusedBy, Reason: c.Reason}}, true, nil
	}
	return e, false, nil
}

// age of a challenge: on this process's monotonic clock when it asked itself,
// else by the wall clocks of two gates, with what these may differ by.
func (e *entry) age(now time.Time) time.Duration { return max(max(now.Sub(e.issued), 0)+e.skew, 1) }

// apart says whether the clocks of two gates differ by more than they may.
func (e *entry) apart(now time.Time) bool { return e.skew > 0 && now.Sub(e.issued) < -e.skew }

// usedUp closes a challenge that was refused for good.
func (g *Gate) usedUp(ctx context.Context, core identity.ID, e *entry, request [32]byte, d *Decision) error {
	g.book.use(core, e, request, d)
	if !g.cfg.Shared {
		return nil
	}
	err := g.cfg.Store.Refuse(ctx, store.Challenge{Core: core, Nonce: e.nonce, Request: request, RefusedBy: d.RefusedBy, Reason: d.Reason})
	if err != nil {
		return fmt.Errorf("grant: cannot use a challenge up: %w", err)
	}
	return nil
}
