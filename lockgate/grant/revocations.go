package grant

import (
	"context"
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// SetRevocations puts a list into force that was opened by revoke.Open. Its epoch
// must be above that of the present one. Leases that are out are looked at again:
// those that would not be granted under the list get no further key, and their
// cores are returned, so that they can be told. What they hold runs out within
// T_off either way.
func (g *Gate) SetRevocations(ctx context.Context, l revoke.List) ([]identity.ID, error) {
	old := g.rules.Load()
	if l.Epoch <= old.revoked.Epoch {
		return nil, fmt.Errorf("%w: %d after %d", revoke.ErrEpoch, l.Epoch, old.revoked.Epoch)
	}
	now := g.cfg.Now()
	if err := l.ValidAt(now.UnixNano()); err != nil {
		return nil, err
	}
	hash, err := l.Hash()
	if err != nil {
		return nil, err
	}
	area, touching := g.cfg.Permit, g.cfg.Touching
	if old.permitHash != ([32]byte{}) {
		area, touching = nil, nil // from the atlas: compiled anew, without the revoked regions
	} else if l.Permit("x") != "x" {
		return nil, fmt.Errorf("%w: regions cannot be taken out of a permit that was handed in", ErrConfig)
	}
	c, err := compile(old.policy, l, area, touching)
	if err != nil {
		return nil, err
	}
	// In force at once, and noted after: a ledger that cannot be written must
	// not keep the off-switch from working.
	if !g.rules.CompareAndSwap(old, c) {
		return nil, fmt.Errorf("%w: another change came first; try again", revoke.ErrEpoch)
	}
	fallen := g.book.review(now, func(was Case) (string, bool) {
		now, err := c.area(was.Policy)
		if err != nil {
			return err.Error(), true
		}
		was.Revoked, was.Permit = l, now.permit
		f := Decide(was)
		return f.Reason, f.RefusedBy != ""
	})
	return fallen, g.note(ctx, ledger.Leaf{Kind: ledger.KindRevocation, Epoch: l.Epoch, Object: hash})
}

// Revocations is the list in force; the zero list when there is none.
func (g *Gate) Revocations() revoke.List { return g.rules.Load().revoked }

// off says whether a core gets nothing at all, and by which check.
func (g *Gate) off(a store.Account) (by, why string) {
	if !a.Enabled {
		return RefusedRevoked, plain(store.ErrDisabled)
	}
	rules := g.rules.Load()
	if g.cfg.MustRevoke {
		if err := rules.revoked.ValidAt(g.cfg.Now().UnixNano()); err != nil {
			return RefusedNoList, "no list of revocations is in force here"
		}
	}
	if why, no := Switched(rules.revoked, a, rules.hash); no {
		return RefusedRevoked, why
	}
	return "", ""
}
