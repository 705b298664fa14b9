package ledger

import (
	"context"

	"github.com/ursa-virtual/ursa/lockgate/store"
)

// FromStore reads leaves from a store.
func FromStore(s store.Store) Source { return fromStore{s} }

type fromStore struct{ s store.Store }

// Size is the number of leaves.
func (f fromStore) Size(ctx context.Context) (uint64, error) {
	h, err := f.s.Head(ctx)
	return h.Size, err
}

// Data reads leaves from..to (to excluded).
func (f fromStore) Data(ctx context.Context, from, to uint64) ([][]byte, error) {
	leaves, err := f.s.Leaves(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(leaves))
	for i, l := range leaves {
		out[i] = l.Data
	}
	return out, nil
}
