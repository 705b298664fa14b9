package grant

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// StepQuestion asks for the key of a later step of a core's newest lease. That
// the core signed it has been checked by whoever made it.
type StepQuestion struct {
	Core      identity.ID
	RequestID [16]byte   // of the request that was answered with the lease
	Step      uint32     // from 2
	Previous  lock.Key   // of the step before: only who opened that one knows it, which began with what was wrapped to the timed key
	Usage     lock.Usage // the lock's account now
}

// The short names of the checks on a step.
const (
	RefusedStep     = "step"     // no such step of no such lease
	RefusedStepKey  = "step-key" // the key of the step before is another: whoever asks did not open the lease
	RefusedHoarding = "hoarding" // the core holds enough
)

// seed is the secret from which a lease's step keys follow. It is not stored:
// gates that share the secret agree on it, and after a restart it is the same.
func (g *Gate) seed(serial [16]byte) lock.Key {
	m := hmac.New(sha256.New, g.cfg.StepSecret[:])
	m.Write(serial[:])
	return lock.Key(m.Sum(nil))
}

// StepKey releases the key of a later step. The lease was granted and debited as
// a whole; here the gate only agrees that it goes on: the core is still switched
// on, the lease is still its newest and in its time, the lock does not hold more
// than two steps, and whoever asks opened the step before: a copy of the core's
// key file, without the memory that was located, opens nothing. A *Denial is a definite no.
func (g *Gate) StepKey(ctx context.Context, q StepQuestion) (lock.Key, error) {
	a, err := g.cfg.Store.Account(ctx, q.Core)
	if err != nil {
		if name, no := refusal(err); no {
			return lock.Key{}, g.deny(ctx, name, plain(err))
		}
		return lock.Key{}, err
	}
	if by, why := g.off(a); by != "" {
		return lock.Key{}, g.deny(ctx, by, why)
	}
	lease, known := g.book.lease(q.Core, q.RequestID)
	if lease.halted != "" {
		return lock.Key{}, g.deny(ctx, RefusedRevoked, lease.halted)
	}
	before, ok, err := g.cfg.Store.Answer(ctx, q.Core, q.RequestID)
	if err != nil {
		return lock.Key{}, err
	}
	if !ok {
		return lock.Key{}, g.deny(ctx, RefusedStep, "no lease was granted to this request")
	}
	l, err := keys.Verify(before.Response, g.cfg.Key.Public())
	if err != nil {
		return lock.Key{}, fmt.Errorf("grant: a stored lease: %w", err)
	}
	t := l.Terms
	switch {
	case q.Step < 2 || q.Step > t.Steps:
		return lock.Key{}, g.deny(ctx, RefusedStep, fmt.Sprintf("the lease has steps 2 to %d to ask for", t.Steps))
	case t.LockSeq != a.LastSeq:
		return lock.Key{}, g.deny(ctx, RefusedSequence, "another lease has taken its place")
	case !known && t.IssuedUnixNS < g.rules.Load().revoked.IssuedUnixNS:
		// Granted by another process, before the list that is in force now: what
		// it rested on cannot be looked at again here.
		return lock.Key{}, g.deny(ctx, RefusedRevoked, "the lease is older than the list of revocations; ask for a new one")
	case g.cfg.Now().UnixNano() >= t.NotAfterUnixNS:
		return lock.Key{}, g.deny(ctx, RefusedExpired, "the lease has ended")
	case q.Usage.Redeemed != a.LastSeq:
		return lock.Key{}, g.deny(ctx, RefusedReport, ErrReportRedeemed.Error())
	case uint64(q.Usage.Allowance) > 2*(t.Units/uint64(t.Steps)+1):
		return lock.Key{}, g.deny(ctx, RefusedHoarding, "the lock holds more than two steps")
	}
	seed := g.seed(t.Serial)
	if before := keys.StepKey(seed, q.Step-1, t.Steps); subtle.ConstantTimeCompare(before[:], q.Previous[:]) != 1 {
		return lock.Key{}, g.deny(ctx, RefusedStepKey, "whoever asks did not open the step before")
	}
	return keys.StepKey(seed, q.Step, t.Steps), nil
}
