package box

import (
	"context"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/simnet/stage"
)

// renewal is how often every machine attests anew: before half of a result's life is over.
const renewal = 2 * attest.MaxResultTTL / 5

// renew keeps the results of beacons and core fresh until the box is closed. A machine that cannot attest keeps the result that it has,
// which ends by itself.
func (b *Box) renew(servers []*server.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.onClose(func() { cancel(); <-done })
	go func() {
		defer close(done)
		t := time.NewTicker(renewal)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			for i, s := range servers {
				if result, err := b.made.Attest(ctx, b.made.Beacons[i]); err == nil {
					_ = s.SetAttestation(result, false) // it has the size of the one before
				}
			}
			if result, err := b.made.Attest(ctx, b.core()); err == nil {
				b.mu.Lock()
				b.result = result
				b.mu.Unlock()
			}
		}
	}()
}

// core is the machine of the only core.
func (b *Box) core() stage.Machine { return b.made.Cores[0] }

// coreResult is the newest result about it.
func (b *Box) coreResult() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result
}
