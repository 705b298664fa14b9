package grant_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/pgtemp"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// TestKilledGate kills a gate's process with SIGKILL at seeded points: at every
// step of its transactions, between the store and the transparency log, before
// and after a decision, and from outside at any moment. At times its disk is full
// for a while, in the middle of a write. After each death another process takes
// over the folder, and the core sends the same request until it is answered.
//
// Then: the same bytes on each retry, exact debits, every release in the ledger
// and in the published log, and nothing twice. URSA_CAMPAIGN sets the rounds.
func TestKilledGate(t *testing.T) {
	t.Parallel()
	c := newCrash(t, 1)
	c.bill.Path = filepath.Join(t.TempDir(), "gate.db")
	st, err := store.OpenSQLite(t.Context(), c.bill.Path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.enrol(st)
	_ = st.Close()
	c.run(campaignRounds(8, 4), []*gateProc{{t: t, bill: c.bill}})
	if st, err = store.OpenSQLite(t.Context(), c.bill.Path, store.Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	c.settle(st)
}

// TestTwoKilledGates is the same with two gates on one PostgreSQL: each answers
// for the other's challenges, both are killed, a request goes to either, and at
// times the server crashes in the middle and recovers.
func TestTwoKilledGates(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: no database server is started")
	}
	server, err := pgtemp.Start()
	storetest.Postgres(t, err)
	defer server.Stop()
	c := newCrash(t, 2)
	if c.bill.DSN, err = server.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := store.OpenPostgres(t.Context(), c.bill.DSN, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.enrol(st)
	_ = st.Close()
	other := c.bill
	other.Log = t.TempDir() // each gate publishes for itself: the same leaves, the same roots
	c.hurt = func(g *gateProc) func() {
		if c.rng.IntN(6) != 0 {
			return c.harm(g)
		}
		return c.crashSoon(server)
	}
	c.run(campaignRounds(6, 3), []*gateProc{{t: t, bill: c.bill}, {t: t, bill: other}})
	t.Logf("%d crashes of the server", c.crashes.Load())
	if st, err = store.OpenPostgres(t.Context(), c.bill.DSN, store.Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	c.settle(st)
}

// crashSoon lets the database crash after a while, whatever it does then.
func (c *crash) crashSoon(server *pgtemp.Server) (wait func()) {
	after, child := time.Duration(c.rng.IntN(30_000))*time.Microsecond, c.rng.Uint64()
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(after)
		did, err := server.Crash(child)
		if err != nil {
			c.t.Error(err)
		}
		if did {
			c.crashes.Add(1)
		}
	})
	return wg.Wait
}

// crash is a campaign.
type crash struct {
	t     *testing.T
	rng   *rand.Rand
	bill  playbill
	s     *stage.Stage
	cores []*stage.Core
	gates []*gateProc
	hurt  func(*gateProc) (over func())

	crashes atomic.Int64 // of the database

	granted           map[[32]byte]lock.Units // by core
	leases            map[[32]byte]bool       // hashes of all that were released
	asked, lost, full int                     // challenges lost with their gate; answers that never came; full disks
	faulty            int                     // answers of trouble
}

func newCrash(t *testing.T, seed uint64) *crash {
	t.Helper()
	key, err := ledger.NewKey("ledger.test/campaign")
	if err != nil {
		t.Fatal(err)
	}
	c := &crash{t: t, rng: rand.New(rand.NewPCG(20261121, seed)), granted: map[[32]byte]lock.Units{}, leases: map[[32]byte]bool{}}
	c.bill = playbill{Seed: seed, AtUnixNS: time.Now().UnixNano(), Log: t.TempDir(), LogKey: key.Encode()}
	if c.s, err = stage.New(seed, time.Unix(0, c.bill.AtUnixNS)); err != nil {
		t.Fatal(err)
	}
	c.hurt = c.harm
	return c
}

// enrol puts three cores on two chips into the store.
func (c *crash) enrol(st store.Store) {
	for n := range uint64(3) {
		core, err := c.s.NewCore(n+1, stage.Middle, [32]byte{byte(n%2) + 1})
		if err != nil {
			c.t.Fatal(err)
		}
		b, err := core.Key.Public().MarshalBinary()
		if err != nil {
			c.t.Fatal(err)
		}
		a := store.Account{Core: core.Key.ID(), Chip: core.Chip, Tenant: "t", Platform: "sim", Public: b, Enabled: true, Budget: 1 << 40}
		if err := st.Enrol(c.t.Context(), a); err != nil {
			c.t.Fatal(err)
		}
		c.cores = append(c.cores, core)
	}
}

func (c *crash) run(rounds int, gates []*gateProc) {
	c.gates = gates
	defer func() {
		for _, g := range gates {
			g.reap()
		}
	}()
	died := 0
	for i := range rounds {
		c.round(c.cores[c.rng.IntN(len(c.cores))])
		if i+1 < rounds && (i+1)%250 > 0 {
			continue
		}
		died = 0
		for _, g := range gates {
			died += g.died
		}
		c.t.Logf("seed 20261121, %d rounds: %d grants, %d deaths, %d challenges lost, %d answers lost, %d full disks, %d answers of trouble",
			i+1, len(c.leases), died, c.asked, c.lost, c.full, c.faulty)
	}
	if rounds >= 100 && (died == 0 || c.lost == 0) {
		c.t.Fatal("the hard cases did not happen")
	}
}

// any is one of the gates.
func (c *crash) any() *gateProc { return c.gates[c.rng.IntN(len(c.gates))] }

// round takes one core from its question to its lease, through whatever happens.
func (c *crash) round(core *stage.Core) {
	for {
		r, hash := c.prove(core)
		lease, ok := c.ask(r)
		if !ok {
			c.asked++
			continue // the challenge died with its gate, ungranted
		}
		c.take(core, r, hash, lease)
		return
	}
}

// prove asks for a challenge until there is one, and answers it.
func (c *crash) prove(core *stage.Core) (grant.Request, [32]byte) {
	for tries := 0; ; {
		q, err := stage.Ask(core, c.entropy())
		if err != nil {
			c.t.Fatal(err)
		}
		a, err := c.any().do(order{Do: "challenge", Question: q})
		switch {
		case err != nil || a.Trouble != "":
			c.mayRecover(&tries, a)
			continue
		case a.RefusedBy != "":
			c.t.Fatalf("no challenge: %s", a.RefusedBy)
		}
		proof, hash, err := c.s.Prove(core, a.Challenge, time.Now())
		if err != nil {
			c.t.Fatal(err)
		}
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], c.rng.Uint64())
		return stage.Request(core, id, proof, 3), hash
	}
}

func (c *crash) entropy() (e [32]byte) {
	binary.BigEndian.PutUint64(e[:], c.rng.Uint64())
	return e
}

// ask sends a request until it is answered; false when it has to ask anew.
func (c *crash) ask(r grant.Request) (lease []byte, ok bool) {
	for try := 0; ; try++ {
		g := c.any()
		over := func() {}
		if try < 3 { // then it is left in peace: every campaign ends
			over = c.hurt(g)
		}
		a, err := g.do(order{Do: "grant", Request: r})
		over()
		switch {
		case err != nil:
			c.lost++
		case a.Trouble != "":
			c.faulty++
			c.mayRecover(&try, a)
		case a.Granted:
			return a.Lease, true
		case a.RefusedBy == grant.RefusedUnknown:
			return nil, false
		default:
			c.t.Fatalf("refused by %s", a.RefusedBy)
		}
	}
}

// harm lets something happen to a gate, or nothing.
func (c *crash) harm(g *gateProc) (over func()) {
	order1 := func(o order) { _, _ = g.do(o) }
	switch n := c.rng.IntN(10); {
	case n < 5:
		order1(order{Do: "arm", N: 1 + c.rng.Uint64N(24)})
	case n < 6:
		return g.killSoon(time.Duration(c.rng.IntN(30_000)) * time.Microsecond)
	case n < 8:
		c.full++
		order1(order{Do: "limit", N: 1 + c.rng.Uint64N(300_000)})
		return func() { order1(order{Do: "limit"}) }
	}
	return func() {}
}

// mayRecover ends a campaign when a gate has halted, or is in trouble again and
// again though nothing happens to it any more: whatever broke is whole by then,
// and nobody should have to come.
func (c *crash) mayRecover(tries *int, a answer) {
	if *tries++; a.Halted || *tries > 120 {
		c.t.Fatalf("try %d, and the gate does not recover: %s", *tries, a.Trouble)
	}
	time.Sleep(time.Duration(min(*tries, 50)) * 20 * time.Millisecond)
}

// take checks the answer and feeds the core's lock, which accepts it once.
func (c *crash) take(core *stage.Core, r grant.Request, hash [32]byte, lease []byte) {
	for tries := 0; ; {
		a, err := c.any().do(order{Do: "grant", Request: r})
		if err != nil || a.Trouble != "" {
			c.mayRecover(&tries, a)
			continue // a fuse that still burns
		}
		if !a.Granted || !bytes.Equal(a.Lease, lease) {
			c.t.Fatalf("a retry gives other bytes: granted %v, refused by %q", a.Granted, a.RefusedBy)
		}
		break
	}
	l, feed, err := keys.Open(lease, c.s.GateKey.Public(), core.Key.ID(), core.Timed)
	if err != nil {
		c.t.Fatal(err)
	}
	if core.Lock, _, err = core.Lock.Step(feed); err != nil {
		c.t.Fatal(err)
	}
	core.Chain = hash
	core.Lock, _, _ = core.Lock.Step(lock.Work{Units: core.Lock.Allowance()})
	object, err := l.Hash()
	if err != nil || c.leases[object] {
		c.t.Fatalf("a lease was released twice (%v)", err)
	}
	c.leases[object] = true
	c.granted[core.Key.ID()] += lock.Units(l.Terms.Units)
}

// settle compares what was released with accounts, ledger and published log.
func (c *crash) settle(st *store.SQL) {
	ctx := c.t.Context()
	if err := st.Check(ctx); err != nil {
		c.t.Fatal(err)
	}
	spent, all := map[[32]byte]lock.Units{}, lock.Units(0)
	for a, err := range st.Accounts(ctx) {
		if err != nil || a.Granted != c.granted[a.Core] {
			c.t.Fatalf("core %x was granted %d, its account says %d (%v)", a.Core[:4], c.granted[a.Core], a.Granted, err)
		}
		spent[a.Chip] += a.Granted
		all += a.Granted
		if a.Spent < spent[a.Chip] {
			c.t.Fatalf("chip %x: %d spent, %d granted", a.Chip[:1], a.Spent, spent[a.Chip])
		}
	}
	allDrew(c.t, st, time.Unix(0, c.bill.AtUnixNS), c.s.Policy.Name, all)
	head, err := st.Head(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	leaves, err := st.Leaves(ctx, 0, head.Size)
	if err != nil {
		c.t.Fatal(err)
	}
	seen := map[[32]byte]bool{}
	for _, e := range leaves {
		l, err := ledger.Decode(e.Data)
		if err != nil {
			c.t.Fatal(err)
		}
		if l.Kind != ledger.KindGrant {
			continue
		}
		if seen[l.Object] || !c.leases[l.Object] {
			c.t.Fatalf("leaf %d stands for a lease twice, or for one that nobody was given", e.Index)
		}
		seen[l.Object] = true
	}
	if len(seen) != len(c.leases) {
		c.t.Fatalf("%d leases were released, the ledger has %d", len(c.leases), len(seen))
	}
	c.published(st, leaves)
}

// published opens the log that the gates left and finds every leaf in it.
func (c *crash) published(st *store.SQL, leaves []store.Leaf) {
	key, err := ledger.ParseKey(c.bill.LogKey)
	if err != nil {
		c.t.Fatal(err)
	}
	log, err := ledger.OpenLog(c.t.Context(), ledger.LogConfig{Dir: c.bill.Log, Key: key, Source: ledger.FromStore(st)})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if err := log.Await(c.t.Context(), uint64(len(leaves)-1)); err != nil {
		c.t.Fatal(err)
	}
	for _, l := range leaves {
		inc, err := log.Inclusion(c.t.Context(), l.Index)
		if err == nil {
			_, err = inc.Verify(l.Data, key.Verifier())
		}
		if err != nil {
			c.t.Fatalf("leaf %d: %v", l.Index, err)
		}
	}
}
