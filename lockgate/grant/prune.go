package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
)

// pruneAtOnce is how many answers go in one transaction: few enough that grants
// hardly wait for it.
const pruneAtOnce = 256

// Prune forgets answers that no core can ask for again, with the challenge
// nonces that they consumed, and returns how many. Call it every hour or so; with
// nothing to forget it reads an index. A grant takes some 9 KB in an embedded store
// until then, and 350 bytes, its leaf and its lock nonce, for good.
//
// Why no second grant can follow. An answer goes when it is older than Config.Keep,
// which is longer than any challenge and any lease of the policy live, and is not
// its core's newest. Its challenge is not open any more, whether or not its nonce
// is remembered: this process's book holds it as used or not at all, and the
// shared table lost it in the transaction that granted. Its lock nonce stays in
// the store for good, and the core's sequence has gone on. A late retry is refused.
func (g *Gate) Prune(ctx context.Context) (int, error) {
	before := g.cfg.Now().Add(-g.keep()).UnixNano()
	for gone := 0; ; {
		n, err := g.cfg.Store.Prune(ctx, before, pruneAtOnce)
		gone += n
		if err != nil {
			return gone, fmt.Errorf("grant: cannot prune: %w", err)
		}
		if n < pruneAtOnce {
			return gone, nil
		}
	}
}

// keep is how long an answer stays.
func (g *Gate) keep() time.Duration {
	lease := time.Duration(*g.rules.Load().policy.LeaseTTLMS) * time.Millisecond
	return max(g.cfg.Keep, lease+statement.MaxTTL+g.cfg.ClockSkew)
}
