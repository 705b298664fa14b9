package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// setting is a stage whose policy leaves time to prepare.
func setting(seed uint64) (*stage.Stage, policy.Policy, error) {
	s, err := stage.New(seed, time.Now())
	if err != nil {
		return nil, policy.Policy{}, err
	}
	p := s.Policy
	p.MaxAgeMS, p.LeaseTTLMS = new(uint64(statement.MaxTTL/time.Millisecond)), new(uint64(statement.MaxTTL/time.Millisecond))
	p.VMaxMMPS = new(uint64(1)) // so that proofs which waited for their turn are as good as young ones
	return s, p, nil
}

// timedStore and timedLog note how long each grant waits for them.
type timedStore struct {
	store.Store
	took *times
}

// Grant is the store's, timed.
func (s timedStore) Grant(ctx context.Context, g store.Grant) (store.Result, error) {
	began := time.Now()
	defer func() { s.took.add(time.Since(began)) }()
	return s.Store.Grant(ctx, g)
}

type timedLog struct {
	grant.Publisher
	took *times
}

// Await is the log's, timed.
func (l timedLog) Await(ctx context.Context, leaf uint64) error {
	began := time.Now()
	defer func() { l.took.add(time.Since(began)) }()
	return l.Publisher.Await(ctx, leaf)
}

// times collects durations from many goroutines.
type times struct {
	mu   sync.Mutex
	list []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, d)
}

// gate runs the whole gate on a store.
func (w *work) gate(ctx context.Context, o opener) error {
	st, err := o.open(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	log, err := newLog(ctx, filepath.Join(w.cfg.Dir, fmt.Sprintf("log-%d", len(w.r.Whole))), ledger.FromStore(st))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s, p, err := setting(uint64(len(w.r.Whole)) + 1)
	if err != nil {
		return err
	}
	commits, awaits := &times{}, &times{}
	g, err := grant.New(ctx, grant.Config{Key: s.GateKey, Store: timedStore{st, commits}, Directory: s.Directory, Policy: p,
		Ledger: timedLog{log, awaits}, TTL: statement.MaxTTL})
	if err != nil {
		return err
	}
	requests, err := w.prepare(ctx, s, g, w.cfg.Grants)
	if err != nil {
		return err
	}
	w.say("the whole gate on " + o.name)
	runtime.GC() // of what was prepared
	processor, began := processorTime(), time.Now()
	took, err := rush(w.cfg.Clients, len(requests), func(i int) error {
		d, err := g.Grant(ctx, requests[i])
		if err == nil && !d.Granted {
			err = fmt.Errorf("bench: refused by %s: %s", d.RefusedBy, d.Reason)
		}
		return err
	})
	if err != nil {
		return err
	}
	elapsed, used := time.Since(began), processorTime()-processor
	n := len(requests)
	out := Whole{Store: o.name, Grants: n, PerSecond: float64(n) / elapsed.Seconds(), ProcessorUS: us(used) / float64(n)}
	out.Latency, out.CommitMS, out.LedgerMS = latency(took), latency(commits.list).P50MS, latency(awaits.list).P50MS
	out.VerifyMS = max(out.Latency.P50MS-out.CommitMS-out.LedgerMS, 0) // the rest
	w.r.Whole = append(w.r.Whole, out)
	return st.Check(ctx)
}

// prepare enrols cores, has each ask for a challenge, and answers them all, the
// beacons' statements signed together.
func (w *work) prepare(ctx context.Context, s *stage.Stage, g *grant.Gate, n int) ([]grant.Request, error) {
	cores, drafts := make([]*stage.Core, n), make([]*stage.Draft, n)
	w.say("enrolling cores")
	if _, err := rush(runtime.GOMAXPROCS(0)*32, n, func(i int) error {
		var err error
		if cores[i], err = s.NewCore(uint64(i)+1, stage.Middle, [32]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}); err != nil {
			return err
		}
		a := store.Account{Chip: cores[i].Chip, Tenant: "bench", Platform: "sim", Enabled: true, Budget: 1 << 40}
		if err := g.Enrol(ctx, cores[i].Key.Public(), a); err != nil {
			return err
		}
		var entropy [32]byte
		_, _ = rand.Read(entropy[:])
		q, err := stage.Ask(cores[i], entropy)
		if err != nil {
			return err
		}
		challenge, err := g.Challenge(ctx, q)
		if err != nil {
			return err
		}
		drafts[i], err = s.Draft(cores[i], challenge, time.Now())
		return err
	}); err != nil {
		return nil, err
	}
	signed := make([][]identity.Envelope, 0, n)
	for at := 0; at < n; at += w.cfg.Together {
		part, err := s.SignTogether(drafts[at:min(at+w.cfg.Together, n)])
		if err != nil {
			return nil, err
		}
		signed = append(signed, part...)
	}
	w.say("making proofs")
	out := make([]grant.Request, n)
	_, err := rush(runtime.GOMAXPROCS(0), n, func(i int) error {
		proof, _, err := s.Assemble(drafts[i], signed[i])
		if err != nil {
			return err
		}
		var id [16]byte
		_, _ = rand.Read(id[:])
		out[i] = stage.Request(cores[i], id, proof, lock.Units(100))
		return nil
	})
	return out, err
}

// rush does n things, so many at once, and returns how long each took. The first
// error ends it.
func rush(clients, n int, do func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(clients, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				took[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return took, nil
}
