package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// contradiction is the finding that two checkpoints of one log cannot both be
// true. Both are kept with it: the log signed both. When enough witnesses
// cosigned both, too, the views of the log were split with their help.
func (r *Reader) contradiction(a, b ledger.Checkpoint, format string, args ...any) Finding {
	f := Finding{Kind: Forked, Detail: fmt.Sprintf(format, args...), Notes: notes(a, b)}
	if r.Witnesses != nil && r.Witnesses.Check(a.Raw) == nil && r.Witnesses.Check(b.Raw) == nil {
		f.Kind = SplitView
		f.Detail += "; the witnesses cosigned both"
	}
	return f
}

// notes are the signed checkpoints that show something.
func notes(list ...ledger.Checkpoint) []string {
	var out []string
	for _, c := range list {
		out = append(out, string(c.Raw))
	}
	return out
}

// Compare looks at another place where the same ledger is shown, which name
// names: its checkpoint must bear the same signatures, and of it and what was read
// here one must have grown out of the other, by a consistency proof. The error is
// of reading it.
func (r *Reader) Compare(ctx context.Context, name string, other Source) ([]Finding, error) {
	raw, err := other.ReadCheckpoint(ctx)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNoLedger
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	cp, bad := r.open(raw)
	if bad != nil {
		bad.View = name
		return []Finding{*bad}, nil
	}
	earlier, later, shown := r.head, cp, other
	if cp.Size < r.head.Size {
		earlier, later, shown = cp, r.head, r.Source
	}
	same, err := consistent(ctx, shown, earlier, later)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if same {
		return nil, nil
	}
	f := r.contradiction(earlier, later, "it shows another ledger under the same key: the %d leaves of one are no beginning of the %d of the other", earlier.Size, later.Size)
	f.View = name
	return []Finding{f}, nil
}
