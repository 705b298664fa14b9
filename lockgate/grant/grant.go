package grant

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Decision is the gate's answer to a request. Exactly one of Lease and
// RefusedBy is set.
type Decision struct {
	Granted   bool
	Repeated  bool   // the request had been answered before; only Lease is set then
	Lease     []byte // envelope; identical in every retry
	RefusedBy string // short name of the check
	Reason    string // one line for people
	Finding   Finding
	Record    Record // what evidence is made of; empty when it did not come to a proof
}

// Record is what the gate knew when it decided, for whoever re-verifies it.
type Record struct {
	Challenge     []byte         // envelope
	IssuedUnixNS  int64          // of the challenge
	DecidedUnixNS int64          // the gate's clock
	Age           time.Duration  // of the challenge, on the monotonic clock
	Previous      [32]byte       // proof that this one had to name
	Policy        policy.Policy  // in force
	PolicyHash    [32]byte       // of it
	Revoked       revoke.List    // in force
	PermitHash    [32]byte       // of the compiled region; zero: not from the atlas
	Available     lock.Units     // what the wallet or the burn held
	Drawn         []policy.Drawn // on the buckets of the policy's budgets before, in the windows of DecidedUnixNS
	Account       store.Account  // that the decision was made on
	Salt          [32]byte       // opens the ledger's commitment
	Leaf          uint64         // index in the ledger
}

// Grant decides a request. The error is the gate's own trouble: then nothing is
// known of the outcome and the core sends the same request again.
func (g *Gate) Grant(ctx context.Context, r Request) (Decision, error) {
	hash, err := r.Hash()
	if err != nil {
		return Decision{}, err
	}
	before, done, err := g.cfg.Store.Lookup(ctx, r.Core, r.RequestID, hash)
	switch {
	case err != nil:
		return g.troubled(ctx, err)
	case done:
		if err := g.published(ctx, before.Leaf); err != nil {
			return Decision{}, err
		}
		return Decision{Granted: true, Repeated: true, Lease: before.Response, Record: Record{Leaf: before.Leaf}}, nil
	}
	if r.RequestID == ([16]byte{}) {
		return g.refuse(ctx, RefusedRequest, "the request id is missing"), nil
	}
	a, err := g.cfg.Store.Account(ctx, r.Core)
	if err != nil {
		return g.troubled(ctx, err)
	}
	if by, why := g.off(a); by != "" {
		return g.refuse(ctx, by, why), nil
	}
	pays, err := g.pays(ctx, r, a)
	if err != nil {
		return g.troubled(ctx, err)
	}
	claim, e, no, err := g.challengeOf(ctx, r, hash)
	if err != nil {
		return Decision{}, err
	}
	if no != nil {
		return *no, nil
	}
	return g.decide(ctx, r, hash, a, claim, e, pays)
}

// challengeOf reads a request's proof and finds the open challenge that it
// answers, or the refusal.
func (g *Gate) challengeOf(ctx context.Context, r Request, hash [32]byte) (statement.Claim, *entry, *Decision, error) {
	no := func(by, reason string) (statement.Claim, *entry, *Decision, error) {
		d := g.refuse(ctx, by, reason)
		return statement.Claim{}, nil, &d, nil
	}
	claim, err := statement.ReadProof(r.Proof)
	if err != nil {
		return no(nameOf(err, RefusedProof), err.Error())
	}
	c, err := claim.Challenge()
	if err != nil {
		return no(nameOf(err, RefusedProof), err.Error())
	}
	if c.Core != r.Core {
		return no(RefusedOtherCore, "the challenge asked core "+c.Core.Short())
	}
	e, used, err := g.find(ctx, r.Core, c.NonceG)
	if err != nil {
		return claim, nil, nil, err
	}
	now := g.cfg.Now()
	switch {
	case e != nil && used && e.answer != nil && e.request == hash:
		return claim, nil, e.answer, nil // the same request again: the same refusal again
	case used:
		return no(RefusedConsumed, "the challenge was answered already")
	case e == nil:
		gone, err := g.cfg.Store.Consumed(ctx, c.NonceG)
		if err != nil {
			return claim, nil, nil, err
		}
		if gone {
			return no(RefusedConsumed, "the challenge was answered already")
		}
		return no(RefusedUnknown, "no such challenge is open; ask for a new one")
	case e.lockNonce != r.LockNonce:
		return no(RefusedLockNonce, "the challenge was asked with another lock nonce")
	case e.apart(now):
		return no(RefusedExpired, "the challenge was issued in the future: the gates' clocks differ too much")
	case e.age(now) > e.ttl:
		return no(RefusedExpired, "the challenge has expired; ask for a new one")
	}
	return claim, e, nil, nil
}

// decide verifies, and grants what nothing refuses. A refusal uses the
// challenge up: one challenge, one attempt.
func (g *Gate) decide(ctx context.Context, r Request, hash [32]byte, a store.Account, claim statement.Claim, e *entry, pays payment) (Decision, error) {
	rules, d, now := g.rules.Load(), g.directory.Load(), g.cfg.Now()
	age := e.age(now)
	if now.Before(e.issued) {
		now = e.issued // by the other gate's clock, which is a little ahead
	}
	stands := rules.policy.For(Subject(a), now.UnixNano())
	permitted, err := rules.area(stands)
	if err != nil {
		return Decision{}, err
	}
	rec := Record{Challenge: e.envelope, IssuedUnixNS: e.issued.UnixNano(), DecidedUnixNS: now.UnixNano(),
		Age: age, Policy: rules.policy, PolicyHash: rules.hash, PermitHash: permitted.hash, Revoked: rules.revoked, Account: a, Available: pays.available}
	if rec.Drawn, err = g.drawn(ctx, rec); err != nil {
		return Decision{}, err
	}
	c := Case{Request: r, Account: a, Policy: stands, Drawn: rec.Drawn, Permit: permitted.permit, Touching: rules.touching,
		Age: rec.Age, Available: pays.available, Revoked: rules.revoked, Doubt: g.cfg.Doubt,
		Expect: statement.Expect{Directory: d, Gate: g.cfg.Key.ID(), Core: r.Core, NonceG: e.nonce, PolicyHash: rules.hash,
			NowUnixNS: rec.DecidedUnixNS, Roots: g.roots}, Results: g.results, read: &claim}
	f := Decide(c)
	rec.Previous = f.Previous
	if f.RefusedBy == "" && r.LockSeq <= a.LastSeq {
		f = f.refuse(RefusedSequence, plain(store.ErrSequence))
	}
	out := Decision{RefusedBy: f.RefusedBy, Reason: f.Reason, Finding: f, Record: rec}
	if f.RefusedBy != "" {
		if f.RefusedBy == RefusedFork {
			// The core's own signature stands under a proof that forks its
			// chain: its key is in use twice, and a key that exists twice has no
			// place. Neither copy is served until somebody has looked.
			if err := g.cfg.Store.Enable(ctx, r.Core, false); err != nil {
				return Decision{}, err
			}
		}
		_ = g.cfg.Store.Deny(ctx, f.RefusedBy)
		return out, g.usedUp(ctx, r.Core, e, hash, &out)
	}
	if err := g.release(ctx, r, hash, a, e, pays, &out); err != nil {
		name, no := refusal(err)
		if !no {
			return Decision{}, err
		}
		out.RefusedBy, out.Reason = name, plain(err)
		_ = g.cfg.Store.Deny(ctx, name)
		if name == RefusedConcurrent || name == RefusedConsumed {
			return out, nil
		}
		return out, g.usedUp(ctx, r.Core, e, hash, &out)
	}
	g.book.use(r.Core, e, hash, nil)
	g.book.run(r.Core, &running{c: c, f: f, permitHash: rec.PermitHash, request: r.RequestID, until: now.Add(f.Life)})
	// Durable by now; sent only when the ledger shows it. If that takes too long
	// the core sends the same request again and gets the same bytes.
	if err := g.published(ctx, out.Record.Leaf); err != nil {
		return Decision{}, err
	}
	return out, nil
}

// published waits until the ledger shows a leaf.
func (g *Gate) published(ctx context.Context, leaf uint64) error {
	if g.cfg.Ledger == nil {
		return nil
	}
	return g.cfg.Ledger.Await(ctx, leaf)
}

// release makes the lease and the one transaction. Only what the transaction
// left behind is sent: it may be the answer of a twin request that was faster.
func (g *Gate) release(ctx context.Context, r Request, hash [32]byte, a store.Account, e *entry, pays payment, out *Decision) error {
	rules, f := g.rules.Load(), out.Finding
	terms := keys.Terms{RequestID: r.RequestID, Core: r.Core, LockNonce: r.LockNonce, LockSeq: r.LockSeq, Units: uint64(f.Units),
		PolicyHash: out.Record.PolicyHash, ChallengeHash: f.Verified.Asked.Hash(), ProofHash: f.Verified.Hash,
		IssuedUnixNS: out.Record.DecidedUnixNS, NotAfterUnixNS: out.Record.DecidedUnixNS + int64(f.Life),
		TOffMS: max(min(*rules.policy.TOffMS, uint64(f.Life/time.Millisecond)), 1)}
	class, perMille := rules.policy.Class()
	terms.Class, terms.PerMille, terms.Steps = uint8(class), perMille, rules.policy.Steps(f.Units)
	for _, b := range [][]byte{terms.Serial[:], out.Record.Salt[:]} {
		if _, err := io.ReadFull(g.cfg.Entropy, b); err != nil {
			return fmt.Errorf("grant: no entropy: %w", err)
		}
	}
	env, lease, err := keys.Issue(g.cfg.Key, f.Verified.TimedKey, terms, g.seed(terms.Serial))
	if err != nil {
		return err
	}
	leaf, err := leafOf(lease, out.Record.Salt, f, pays)
	if err != nil {
		return err
	}
	res, err := g.cfg.Store.Grant(ctx, store.Grant{Core: r.Core, Chip: a.Chip, RequestID: r.RequestID, RequestHash: hash,
		Nonce: e.nonce, LockNonce: r.LockNonce, LockSeq: r.LockSeq, PrevSeq: a.LastSeq, Units: f.Units,
		Accepted: r.Usage.Accepted, Used: r.Usage.Used, Redeemed: r.Usage.Redeemed,
		ProofHash: f.Verified.Hash, PrevProof: out.Record.Previous, Burn: r.Burn, Asked: g.cfg.Shared,
		Policy: out.Record.Policy.Name, Budgets: budgets(out.Record.Policy),
		Response: env, Leaf: leaf, AtUnixNS: out.Record.DecidedUnixNS})
	if err != nil {
		return err
	}
	out.Granted, out.Repeated, out.Lease, out.Record.Leaf = true, res.Repeated, res.Response, res.Leaf
	if res.Repeated {
		*out = Decision{Granted: true, Repeated: true, Lease: res.Response, Record: Record{Leaf: res.Leaf}}
	}
	return nil
}

// leafOf is what the ledger says of a lease.
func leafOf(l keys.Lease, salt [32]byte, f Finding, pays payment) ([]byte, error) {
	object, err := l.Hash()
	if err != nil {
		return nil, err
	}
	ms := int64(time.Millisecond)
	return ledger.Leaf{Version: ledger.Version, Kind: ledger.KindGrant, AtUnixMS: l.Terms.IssuedUnixNS / ms, Units: l.Terms.Units,
		PolicyHash: l.Terms.PolicyHash, Epoch: f.Verified.Asked.Challenge().DirectoryEpoch, Object: object,
		Commitment: ledger.Commit(salt, l.Terms.Core, l.Terms.ProofHash), Burn: pays.leaf,
		NotAfterMS: (l.Terms.NotAfterUnixNS + ms - 1) / ms}.Encode()
}

func (g *Gate) refuse(ctx context.Context, by, reason string) Decision {
	d := g.deny(ctx, by, reason)
	return Decision{RefusedBy: d.RefusedBy, Reason: d.Reason}
}

// troubled turns a definite no of the store into a refusal and passes on the rest.
func (g *Gate) troubled(ctx context.Context, err error) (Decision, error) {
	if name, no := refusal(err); no {
		return g.refuse(ctx, name, plain(err)), nil
	}
	return Decision{}, err
}

// Enrol adds a core to the gate: its id follows from its key.
func (g *Gate) Enrol(ctx context.Context, core identity.Public, a store.Account) error {
	b, err := core.MarshalBinary()
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if core.Role() != identity.RoleCore {
		return fmt.Errorf("grant: %w", statement.ErrCoreRole)
	}
	a.Core, a.Public = core.ID(), b
	return g.cfg.Store.Enrol(ctx, a)
}

// Key is the enrolled key of a core, to check its signatures with. A *Denial
// when it is not enrolled.
func (g *Gate) Key(ctx context.Context, core identity.ID) (identity.Public, error) {
	a, err := g.cfg.Store.Account(ctx, core)
	if err != nil {
		if name, no := refusal(err); no {
			return identity.Public{}, g.deny(ctx, name, err.Error())
		}
		return identity.Public{}, err
	}
	return g.keys.parse(a)
}
