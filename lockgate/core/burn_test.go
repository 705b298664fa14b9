package core_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// purse is a gate that wants burns, and a wallet.
type purse struct {
	*gate
	mu     sync.Mutex
	holds  lock.Units
	burnt  map[[16]byte]lock.Units // what is left of each
	burns  int
	losing int // answers that do not arrive
}

func (p *purse) Burn(_ context.Context, id [16]byte, units lock.Units) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, done := p.burnt[id]; !done {
		if units > p.holds {
			return &core.Denied{RefusedBy: "budget"}
		}
		p.holds -= units
		p.burnt[id] = units
		p.burns++
	}
	if p.losing > 0 {
		p.losing--
		return errDown
	}
	return nil
}

func (p *purse) Lease(ctx context.Context, r core.Request) ([]byte, error) {
	p.mu.Lock()
	left := p.burnt[r.Burn]
	if left == 0 {
		p.mu.Unlock()
		return nil, &core.Denied{RefusedBy: "burn"}
	}
	r.Want = min(r.Want, left)
	p.burnt[r.Burn] -= r.Want
	p.mu.Unlock()
	return p.gate.Lease(ctx, r)
}

// TestBurnsOutliveTheAgent: what was burnt and not used is used by the next agent
// in the folder; a burn whose answer was lost is not made twice; a wallet that
// holds less than is asked for is used up.
func TestBurnsOutliveTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := &purse{gate: newGate(t), holds: 3500, burnt: map[[16]byte]lock.Units{}, losing: 1}
		obtain := func() error {
			c := config(p.gate, nil)
			c.Gate, c.Memory, c.Burn = p, core.NewFolder(dir), 3000
			a, err := core.New(c)
			if err != nil {
				t.Fatal(err)
			}
			return a.Obtain(t.Context())
		}
		if err := obtain(); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		for i := range 3 { // three leases of 1000 units on one burn, each by another agent
			if err := obtain(); err != nil {
				t.Fatal(i, err)
			}
		}
		if p.burns != 1 || p.holds != 500 {
			t.Errorf("%d burns, the wallet holds %d", p.burns, p.holds)
		}
		if err := obtain(); err != nil { // 3000, 1500, 750 are too much
			t.Fatal(err)
		}
		if p.burns != 2 || p.holds != 125 {
			t.Errorf("%d burns, the wallet holds %d", p.burns, p.holds)
		}
		// The gate knows better what a burn holds.
		for id := range p.burnt {
			p.burnt[id] = 0
		}
		b := core.Burnt{ID: [16]byte{9}, Asked: 5000, Left: 5000}
		if err := core.NewFolder(dir).SaveBurn(b); err != nil {
			t.Fatal(err)
		}
		var no *core.Denied
		if err := obtain(); !errors.As(err, &no) || no.RefusedBy != "burn" {
			t.Error(err)
		}
		if b, err := core.NewFolder(dir).LoadBurn(); err != nil || b != (core.Burnt{}) {
			t.Error(b, err)
		}
		for _, damage := range []string{"short", string(make([]byte, 31)) + "\x01"} {
			if err := os.WriteFile(filepath.Join(dir, "burn"), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := core.NewFolder(dir).LoadBurn(); !errors.Is(err, core.ErrBurnFile) {
				t.Errorf("%q: %v", damage, err)
			}
		}
	})
}
