package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// payment is what pays for a request.
type payment struct {
	available lock.Units
	leaf      *uint64 // of the burn, when one pays
}

// pays finds it: the burn that the request names, whose leaf the ledger must
// show by then, or the wallet of the chip.
func (g *Gate) pays(ctx context.Context, r Request, a store.Account) (payment, error) {
	if r.Burn == ([16]byte{}) {
		units, err := g.cfg.Store.Wallet(ctx, a.Chip, g.cfg.Now().UnixNano())
		return payment{available: units}, err
	}
	b, err := g.cfg.Store.Burnt(ctx, r.Core, r.Burn)
	if err != nil {
		return payment{}, err
	}
	if err := g.published(ctx, b.Leaf); err != nil {
		return payment{}, err
	}
	return payment{available: b.Left(), leaf: &b.Leaf}, nil
}

// BurnQuestion is a core's wish to burn units. That the core signed it has been
// checked by whoever made it.
type BurnQuestion struct {
	Core  identity.ID
	ID    [16]byte // the same in every retry
	Units lock.Units
}

// Receipt shows that a burn is in the ledger.
type Receipt struct {
	Index uint64 // of the leaf
	Leaf  []byte // as it stands in the ledger
}

// Burn takes units out of the wallet of the core's chip, for good, and returns
// when the ledger shows it. A retry finds the same burn. A *Denial is a definite
// no.
func (g *Gate) Burn(ctx context.Context, q BurnQuestion) (Receipt, error) {
	leaf, err := g.leaf(ledger.Leaf{Kind: ledger.KindBurn, Units: uint64(q.Units), Object: ledger.ObjectOf(ledger.KindBurn, q.ID, q.Core)})
	if err != nil {
		return Receipt{}, g.deny(ctx, RefusedUnits, "a burn of no units")
	}
	b, err := g.cfg.Store.Burn(ctx, store.Burn{ID: q.ID, Core: q.Core, Units: q.Units, Leaf: leaf, AtUnixNS: g.cfg.Now().UnixNano()})
	if err != nil {
		if name, no := refusal(err); no {
			return Receipt{}, g.deny(ctx, name, plain(err))
		}
		return Receipt{}, err
	}
	if err := g.published(ctx, b.Leaf); err != nil {
		return Receipt{}, err
	}
	// A retry shows the leaf of the first time, not the one made above.
	was, err := g.cfg.Store.Leaves(ctx, b.Leaf, b.Leaf+1)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Index: b.Leaf, Leaf: was[0].Data}, nil
}

// Deposit puts units into the wallet of a chip; notBefore, when it is not zero,
// is from when on they may be used. The same id twice is one deposit.
func (g *Gate) Deposit(ctx context.Context, id [16]byte, chip [32]byte, units lock.Units, notBefore time.Time) (uint64, error) {
	d := store.Deposit{ID: id, Chip: chip, Units: units, AtUnixNS: g.cfg.Now().UnixNano()}
	l := ledger.Leaf{Kind: ledger.KindDeposit, Units: uint64(units), Object: ledger.ObjectOf(ledger.KindDeposit, id, chip)}
	if !notBefore.IsZero() {
		d.NotBeforeNS, l.NotBeforeMS = notBefore.UnixNano(), notBefore.UnixMilli()
	}
	var err error
	if d.Leaf, err = g.leaf(l); err != nil {
		return 0, err
	}
	i, err := g.cfg.Store.Deposit(ctx, d)
	if err != nil {
		return 0, fmt.Errorf("grant: %w", err)
	}
	return i, g.published(ctx, i)
}

// leaf stamps and encodes a leaf.
func (g *Gate) leaf(l ledger.Leaf) ([]byte, error) {
	l.Version, l.AtUnixMS = ledger.Version, g.cfg.Now().UnixMilli()
	return l.Encode()
}
