package ledger

import (
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/tessera"
)

// Witnesses are others who have to cosign a checkpoint before it is published
// (C2SP tlog-witness and tlog-cosignature): they have seen the one before, and
// sign only what has grown out of it. So a gate cannot show one ledger to one
// reader and another to the next, unless so many witnesses help it.
type Witnesses struct {
	group tessera.WitnessGroup
}

// ErrWitnesses is a file of witnesses that says nothing.
var ErrWitnesses = errors.New("ledger: not a file of witnesses: write lines such as 'witness NAME VKEY URL', 'group NAME N MEMBER…' and one 'quorum NAME'")

// ParseWitnesses reads a policy of witnesses in the format of Sigsum and the
// public tools: whom to ask, and whose signatures suffice. Keys are note keys of
// cosignature/v1.
func ParseWitnesses(text []byte) (*Witnesses, error) {
	g, err := tessera.NewWitnessGroupFromPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrWitnesses, strings.TrimSpace(err.Error()))
	}
	if g.N < 1 || len(g.Endpoints()) == 0 {
		return nil, fmt.Errorf("%w: the quorum asks nobody", ErrWitnesses)
	}
	return &Witnesses{group: g}, nil
}

// Satisfied says whether enough of them signed a checkpoint.
func (w *Witnesses) Satisfied(checkpoint []byte) bool {
	return w == nil || w.group.Satisfied(checkpoint)
}

// with makes Tessera ask them. When too few answer, nothing is published.
func (w *Witnesses) with(o *tessera.AppendOptions) *tessera.AppendOptions {
	if w == nil {
		return o
	}
	return o.WithWitnesses(w.group, &tessera.WitnessOptions{})
}
