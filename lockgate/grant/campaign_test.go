package grant_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// TestCampaign lets a gate live through faults under a seed: every step of a
// transaction fails at times, not applied or applied but said to have failed; at
// times the process dies there, and another gate opens what lies on the disk; at
// times the core loses the answer, and asks again. After each round: the retry
// has the same bytes, the debit is exact, of the wallet and of every bucket, every release has its leaf, and no
// lock nonce has two. URSA_CAMPAIGN sets the number of rounds.
func TestCampaign(t *testing.T) {
	rounds := 50
	if n, err := strconv.Atoi(os.Getenv("URSA_CAMPAIGN")); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 15
	}
	const seed = 20261121
	t.Logf("seed %d, %d rounds", seed, rounds)
	c := &campaign{t: t, rng: rand.New(rand.NewPCG(seed, 6)), path: filepath.Join(t.TempDir(), "gate.db")}
	c.since = time.Now()
	c.s = granttest.New(t, bounded(roomy...), granttest.WithStore(c.path, store.Options{Fault: c.fault}), granttest.WithGate(func(g *grant.Config) { g.Ledger = c }))
	for c.round = range rounds {
		c.play()
	}
	c.armed = false
	if err := c.s.Store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d grants, %d faults, %d deaths, %d times unpublished, %d answers lost, %d repeated", c.grants, c.faults, c.deaths, c.unpublished, c.lost, c.repeated)
	if rounds >= 50 && (c.faults == 0 || c.deaths == 0 || c.unpublished == 0 || c.lost == 0 || c.repeated == 0) {
		t.Fatal("the hard cases did not happen")
	}
}

type campaign struct {
	t     *testing.T
	rng   *rand.Rand
	s     *granttest.Scene
	path  string
	round int
	since time.Time

	armed bool   // faults happen
	dying string // where the process died: an image of the disk there

	granted                                lock.Units
	grants, faults, deaths, lost, repeated int
	unpublished                            int
}

var errFault = errors.New("injected fault")

// fault is called at every step of a transaction, by the writer alone.
func (c *campaign) fault(store.Step) error {
	if !c.armed || c.rng.IntN(14) != 0 {
		return nil
	}
	c.faults++
	if c.dying == "" && c.rng.IntN(2) == 0 {
		c.dying = c.image()
	}
	return errFault
}

// Await is the transparency log, which at times cannot publish: the grant is
// durable then, and the lease is not sent.
func (c *campaign) Await(context.Context, uint64) error {
	if c.armed && c.rng.IntN(14) == 0 {
		c.unpublished++
		return errFault
	}
	return nil
}

// image copies the files as they lie on the disk now.
func (c *campaign) image() string {
	to := filepath.Join(c.t.TempDir(), "gate.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(c.path + end)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+end, b, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return to
}

// reborn opens what the dead process left, as a new gate.
func (c *campaign) reborn() {
	c.deaths++
	_ = c.s.Store.Close()
	c.path, c.dying, c.armed = c.dying, "", false
	st, err := store.OpenSQLite(c.t.Context(), c.path, store.Options{Fault: c.fault})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = st.Close() })
	if err := st.Check(c.t.Context()); err != nil {
		c.t.Fatalf("round %d: after a death: %v", c.round, err)
	}
	c.s.Store = st
	if c.s.Gate, err = grant.New(c.t.Context(), grant.Config{Key: c.s.GateKey, Store: st, Directory: c.s.Directory, Policy: c.s.Policy, Ledger: c}); err != nil {
		c.t.Fatal(err)
	}
}

// play goes the road once, through whatever happens, until the core has its
// lease.
func (c *campaign) play() {
	core := c.s.Core
	for {
		c.armed = false
		proof, hash := c.s.Prove(core, c.s.Ask(core))
		r := c.s.Request(core, proof, 3)
		lease := c.send(r)
		if lease == nil {
			continue // the challenge died with its gate: a new question
		}
		core.Chain = hash
		feed(c.t, c.s, core, lease)
		work(core)
		c.settle(r, lease)
		return
	}
}

// send sends one request until it is answered; nil when it has to ask anew.
func (c *campaign) send(r grant.Request) []byte {
	for {
		c.armed = true
		d, err := c.s.Gate.Grant(c.t.Context(), r)
		c.armed = false
		if c.dying != "" {
			c.reborn()
			continue // whatever it answered died with it
		}
		switch {
		case errors.Is(err, errFault):
			continue
		case err != nil:
			c.t.Fatal(err)
		case d.Granted && c.rng.IntN(4) == 0:
			c.lost++
			continue
		case d.Granted:
			if d.Repeated {
				c.repeated++
			}
			return d.Lease
		case d.RefusedBy == grant.RefusedUnknown:
			return nil
		default:
			c.t.Fatalf("round %d: refused by %s: %s", c.round, d.RefusedBy, d.Reason)
		}
	}
}

// settle checks what must hold after every grant.
func (c *campaign) settle(r grant.Request, lease []byte) {
	ctx := c.t.Context()
	c.grants++
	again := try(c.t, c.s, r)
	if !again.Granted || !bytes.Equal(again.Lease, lease) {
		c.t.Fatalf("round %d: a retry gives other bytes", c.round)
	}
	leaves, err := c.s.Store.Leaves(ctx, again.Record.Leaf, again.Record.Leaf+1)
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := ledger.Decode(leaves[0].Data)
	if err != nil || l.Kind != ledger.KindGrant {
		c.t.Fatalf("round %d: the release has no leaf: %+v %v", c.round, l, err)
	}
	c.granted += lock.Units(l.Units)
	a, err := c.s.Store.Account(ctx, r.Core)
	if err != nil || a.Spent != c.granted {
		c.t.Fatalf("round %d: %d spent, %d granted, %v", c.round, a.Spent, c.granted, err)
	}
	allDrew(c.t, c.s.Store, c.since, c.s.Policy.Name, c.granted)
}
