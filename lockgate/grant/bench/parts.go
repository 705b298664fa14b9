package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// work is a run under way.
type work struct {
	cfg   Config
	r     *Report
	steps float64 // done, of what say is called for
	total float64 // of them
}

func (w *work) say(what string) {
	w.steps++
	w.cfg.Progress(what, min(w.steps/w.total, 1))
}

// all measures one after the other.
func (w *work) all(ctx context.Context, stores []opener) error {
	w.total = float64(len(stores)*6 + 4)
	for _, o := range stores {
		if err := w.gate(ctx, o); err != nil {
			return err
		}
	}
	if err := w.verify(ctx); err != nil {
		return err
	}
	for _, o := range stores {
		if err := w.commits(ctx, o); err != nil {
			return err
		}
	}
	if err := w.ledger(ctx); err != nil {
		return err
	}
	w.say("the lock")
	return w.lock()
}

// processorTime is what this process has used of its processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// caches are what a gate remembers between two proofs.
type caches struct{ roots, results *identity.RootCache }

func remember() caches { return caches{identity.NewRootCache(0), identity.NewRootCache(0)} }

func (c caches) decide(x grant.Case) grant.Finding {
	x.Expect.Roots, x.Results = c.roots, c.results
	return grant.Decide(x)
}

// cases are n proofs with what a gate knows of them.
func (w *work) cases(ctx context.Context, n int) ([]grant.Case, error) {
	s, p, err := setting(99)
	if err != nil {
		return nil, err
	}
	st, err := store.OpenSQLite(ctx, filepath.Join(w.cfg.Dir, "verify.db"), store.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }()
	g, err := grant.New(ctx, grant.Config{Key: s.GateKey, Store: st, Directory: s.Directory, Policy: p, TTL: statement.MaxTTL})
	if err != nil {
		return nil, err
	}
	requests, err := w.prepare(ctx, s, g, n)
	if err != nil {
		return nil, err
	}
	out := make([]grant.Case, n)
	for i, r := range requests {
		if out[i], err = caseOf(ctx, s, p, st, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// verify measures decisions, one after the other on one processor.
func (w *work) verify(ctx context.Context) error {
	cases, err := w.cases(ctx, min(96, w.cfg.Grants))
	if err != nil {
		return err
	}
	w.say("verification")
	known := remember()
	for _, x := range cases { // now everything is known
		if f := known.decide(x); f.RefusedBy != "" {
			return fmt.Errorf("bench: refused by %s: %s", f.RefusedBy, f.Reason)
		}
	}
	ways := []struct {
		name string
		c    caches
		took []time.Duration
		kb   float64
	}{{name: "each signature, nothing remembered"}, {name: "beacons' roots and appraisers' results known", c: known}}
	statements := 0
	for _, x := range cases { // in turns, so that what else goes on here falls on both
		for i := range ways {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := processorTime()
			f := ways[i].c.decide(x)
			ways[i].took = append(ways[i].took, processorTime()-began)
			runtime.ReadMemStats(&after)
			ways[i].kb += float64(after.TotalAlloc-before.TotalAlloc) / 1024 / float64(len(cases))
			statements = len(f.Verified.Facts)
		}
	}
	for _, way := range ways {
		slices.Sort(way.took)
		v := Verify{How: way.name, Statements: statements, MicroS: us(quantile(way.took, 0.5)), AllocatedKB: way.kb, Against: 1}
		v.PerSecond = 1e6 / v.MicroS
		if len(w.r.Verify) > 0 {
			v.Against = w.r.Verify[0].MicroS / v.MicroS
		}
		w.r.Verify = append(w.r.Verify, v)
	}
	return w.issue(cases[0])
}

// caseOf is what a gate would decide on.
func caseOf(ctx context.Context, s *stage.Stage, p policy.Policy, st store.Store, r grant.Request) (grant.Case, error) {
	a, err := st.Account(ctx, r.Core)
	if err != nil {
		return grant.Case{}, err
	}
	claim, err := statement.DecodeProof(r.Proof)
	if err != nil {
		return grant.Case{}, err
	}
	ch, err := statement.DecodeChallenge(claim.Challenge.Payload)
	if err != nil {
		return grant.Case{}, err
	}
	permit, _, err := grant.Permit(p.Permit)
	if err != nil {
		return grant.Case{}, err
	}
	return grant.Case{Request: r, Account: a, Policy: p, Permit: permit, Age: time.Second, Available: 1 << 40,
		Expect: statement.Expect{Directory: s.Directory, Gate: s.GateKey.ID(), Core: r.Core, NonceG: ch.NonceG, PolicyHash: ch.PolicyHash,
			NowUnixNS: time.Now().UnixNano()}}, nil
}

// issue measures leases.
func (w *work) issue(c grant.Case) error {
	gate, err := identity.FromSeed(identity.RoleGate, [identity.SeedSize]byte{1})
	if err != nil {
		return err
	}
	core, err := identity.ParsePublic(c.Account.Public)
	if err != nil {
		return err
	}
	timed, err := identity.NewTimedKey(nil)
	if err != nil {
		return err
	}
	t := keys.Terms{Serial: [16]byte{1}, RequestID: [16]byte{2}, Core: core.ID(), LockNonce: [32]byte{3}, LockSeq: 1, Units: 50,
		Class: uint8(lock.Full), PerMille: 1000, PolicyHash: [32]byte{3}, ChallengeHash: [32]byte{4}, ProofHash: [32]byte{5},
		IssuedUnixNS: 1000, NotAfterUnixNS: 2000, TOffMS: 100, Steps: 1}
	const n = 200
	began := processorTime()
	for range n {
		if _, _, err := keys.Issue(gate, timed.Public(), t, lock.Key{8}); err != nil {
			return err
		}
	}
	w.r.IssueUS = us(processorTime()-began) / n
	return nil
}

// commits measures a store alone: with one client, with many that each wait for
// a transaction of their own, and with many that share.
func (w *work) commits(ctx context.Context, o opener) error {
	for _, c := range []struct {
		name           string
		clients, batch int
	}{{"one client", 1, 0}, {"one transaction each", w.cfg.Clients, 1}, {"group commit", w.cfg.Clients, 0}} {
		w.say(o.name + ", " + c.name)
		st, err := o.open(ctx, c.batch)
		if err != nil {
			return err
		}
		out, err := commit(ctx, st, c.clients, min(w.cfg.Grants, 40*c.clients+400))
		_ = st.Close()
		if err != nil {
			return err
		}
		out.Store, out.Clients = o.name+", "+c.name, c.clients
		w.r.Commit = append(w.r.Commit, out)
	}
	return nil
}

// commit makes n grants, each client for a core of its own.
func commit(ctx context.Context, st store.Store, clients, n int) (Commit, error) {
	core := func(i int) (id [32]byte) {
		id[0] = 0xb0
		binary.BigEndian.PutUint32(id[1:], uint32(i))
		return id
	}
	if _, err := rush(64, clients, func(i int) error {
		id := core(i)
		return st.Enrol(ctx, store.Account{Core: id, Chip: id, Tenant: "bench", Platform: "sim", Public: []byte("p"), Enabled: true, Budget: 1 << 50})
	}); err != nil {
		return Commit{}, err
	}
	took := &times{}
	each := max(n/clients, 1)
	began := time.Now()
	_, err := rush(clients, clients, func(i int) error {
		for k := range each {
			at := time.Now()
			if _, err := st.Grant(ctx, nth(core(i), uint64(i), uint64(k)+1)); err != nil {
				return err
			}
			took.add(time.Since(at))
		}
		return nil
	})
	if err != nil {
		return Commit{}, err
	}
	return Commit{PerSecond: float64(each*clients) / time.Since(began).Seconds(), Latency: latency(took.list)}, nil
}

// nth is a core's n-th grant, as large as a real one.
func nth(core [32]byte, client, n uint64) store.Grant {
	g := store.Grant{Core: core, Chip: core, LockSeq: n, PrevSeq: n - 1, Units: 1, AtUnixNS: int64(n),
		Response: make([]byte, 5<<10), Leaf: make([]byte, 240)}
	for _, b := range [][]byte{g.RequestID[:], g.RequestHash[:], g.Nonce[:], g.LockNonce[:], g.ProofHash[:], g.PrevProof[:]} {
		binary.BigEndian.PutUint64(b, client+1)
		binary.BigEndian.PutUint64(b[8:], n)
	}
	return g
}
