package tpm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
)

// ErrClockBack reports a TPM whose counters went backwards: an older state of it was restored, or there are two of it.
var ErrClockBack = errors.New("TPM's clock or reset counter went backwards")

// Clock is a TPM's own idea of time, from a quote. It says nothing about the hour.
type Clock struct {
	Milliseconds uint64 // powered since the TPM was cleared
	Resets       uint32 // boots since then
	Restarts     uint32 // resumes since the last boot
	Safe         bool   // false: after a power cut, values up to now may have been given out before
}

func clockOf(q *tpm2.TPMSAttest) Clock {
	c := q.ClockInfo
	return Clock{Milliseconds: c.Clock, Resets: c.ResetCount, Restarts: c.RestartCount, Safe: bool(c.Safe)}
}

// follows says whether c can be a later moment of the same TPM than before. Within one boot nothing goes back. After another boot the
// clock may, if the power was cut: it is then not safe.
func (c Clock) follows(before Clock) bool {
	switch {
	case c.Resets != before.Resets:
		return c.Resets > before.Resets && (!c.Safe || c.Milliseconds >= before.Milliseconds)
	case c.Restarts != before.Restarts:
		return c.Restarts > before.Restarts
	}
	return c.Milliseconds >= before.Milliseconds
}

// Clocks remembers the latest clock of every machine, in memory. A virtual TPM can be copied with its disk; two copies in use, or an
// old snapshot, show here as a clock that went back. Safe for concurrent use; the nil Clocks remembers nothing.
type Clocks struct {
	mu     sync.Mutex // guards latest
	latest map[[32]byte]Clock
}

// maxMachines bounds the memory; beyond it the machines already known stay known.
const maxMachines = 1 << 16

func (h *Clocks) advance(machine [32]byte, c Clock) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.latest[machine]
	if known && !c.follows(before) {
		return fmt.Errorf("%w: boot %d at %d ms, after boot %d at %d ms", ErrClockBack, c.Resets, c.Milliseconds, before.Resets, before.Milliseconds)
	}
	if h.latest == nil {
		h.latest = make(map[[32]byte]Clock)
	}
	if known || len(h.latest) < maxMachines {
		h.latest[machine] = c
	}
	return nil
}
