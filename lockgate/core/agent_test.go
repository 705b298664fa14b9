package core_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload/workloadtest"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// gate is a gate that signs real leases and can be told to misbehave. It also
// is the prover: what it takes is time.
type gate struct {
	key   *identity.Private
	core  *identity.Private
	timed *identity.TimedKey

	mu       sync.Mutex
	down     bool         // answers nothing
	deny     *core.Denied // answers no
	loseNext int          // does the grant, loses the answer, so often
	takes    time.Duration
	tOff     time.Duration
	perMille uint16
	answers  map[[16]byte][]byte
	granted  lock.Units
	previous [][32]byte
	replay   []byte // answers with this lease instead
	steps    uint32 // in which leases are opened
	opened   int    // steps after the first that were asked for
	noSteps  bool   // refuses every later step
}

func seedOf(id [16]byte) lock.Key { return lock.Key(append(make([]byte, 16), id[:]...)) }

func (g *gate) StepKey(_ context.Context, q core.StepQuestion) (lock.Key, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.down:
		return lock.Key{}, errDown
	case g.noSteps:
		return lock.Key{}, &core.Denied{RefusedBy: "revoked"}
	}
	g.opened++
	return keys.StepKey(seedOf(q.RequestID), q.Step, g.steps), nil
}

var errDown = errors.New("connection refused")

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{answers: map[[16]byte][]byte{}, takes: 100 * time.Millisecond, tOff: time.Minute, perMille: 1000}
	var err error
	if g.timed, err = identity.NewTimedKey(nil); err != nil {
		t.Fatal(err)
	}
	if g.key, err = identity.FromSeed(identity.RoleGate, [identity.SeedSize]byte{1}); err != nil {
		t.Fatal(err)
	}
	if g.core, err = identity.FromSeed(identity.RoleCore, [identity.SeedSize]byte{2}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *gate) Challenge(context.Context, core.Question) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, errDown
	}
	return []byte("challenge"), nil
}

func (g *gate) Prove(_ context.Context, _ []byte, previous [32]byte) ([]byte, [32]byte, error) {
	g.mu.Lock()
	takes, n := g.takes, len(g.previous)
	g.previous = append(g.previous, previous)
	g.mu.Unlock()
	time.Sleep(takes)
	return []byte("proof"), [32]byte{0xee, byte(n)}, nil
}

func (g *gate) Lease(_ context.Context, r core.Request) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.down:
		return nil, errDown
	case g.deny != nil:
		return nil, g.deny
	case g.replay != nil:
		return g.replay, nil
	}
	env, ok := g.answers[r.RequestID]
	if !ok {
		class := lock.Full
		if g.perMille < 1000 {
			class = lock.Degraded
		}
		now := time.Now()
		var err error
		env, _, err = keys.Issue(g.key, g.timed.Public(), keys.Terms{Serial: r.RequestID, RequestID: r.RequestID, Core: g.core.ID(),
			LockNonce: r.LockNonce, LockSeq: r.LockSeq, Units: uint64(r.Want), Class: uint8(class), PerMille: g.perMille,
			PolicyHash: [32]byte{1}, ChallengeHash: [32]byte{1}, ProofHash: [32]byte{1}, IssuedUnixNS: now.UnixNano(),
			NotAfterUnixNS: now.Add(time.Hour).UnixNano(), TOffMS: uint64(g.tOff.Milliseconds()),
			Steps: max(g.steps, 1)}, seedOf(r.RequestID))
		if err != nil {
			return nil, err
		}
		g.answers[r.RequestID] = env
		g.granted += r.Want
	}
	if g.loseNext > 0 {
		g.loseNext--
		return nil, errDown
	}
	return env, nil
}

func config(g *gate, events func(core.Event)) core.Config {
	return core.Config{Key: g.core, TimedKey: g.timed, GateKey: g.key.Public(), Gate: g, Prover: g, Memory: &core.Forgetful{}, Want: 1000, Events: events}
}

// scene runs an agent over a fake workload in virtual time.
func scene(t *testing.T, change func(*core.Config), play func(t *testing.T, g *gate, w *workloadtest.Fake, story *story)) {
	synctest.Test(t, func(t *testing.T) {
		g, w, st := newGate(t), workloadtest.NewFake(1), &story{}
		c := config(g, st.add)
		if change != nil {
			change(&c)
		}
		a, err := core.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, w) }()
		play(t, g, w, st)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, core.ErrExited) {
			t.Error(err)
		}
		if running, _ := w.Running(); running {
			t.Error("the workload runs on after the agent")
		}
		used, _ := w.Used()
		g.mu.Lock()
		defer g.mu.Unlock()
		if units := lock.Units(used / core.Unit); units > g.granted+20 {
			t.Errorf("worked %d of %d granted", units, g.granted)
		}
	})
}

type story struct {
	mu     sync.Mutex
	events []core.Event
}

func (s *story) add(e core.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *story) count(k core.Kind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func running(w *workloadtest.Fake) bool { r, _ := w.Running(); return r }

func TestRunsOnWithoutAGap(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		time.Sleep(60 * time.Second)
		used, _ := w.Used()
		if used < 59*time.Second || s.count(core.Frozen) != 0 {
			t.Errorf("used %v of a minute, frozen %d times: renewal is not ahead of time", used, s.count(core.Frozen))
		}
		if n := s.count(core.Granted); n < 55 || n > 130 {
			t.Errorf("%d leases of 1000 ms in a minute", n)
		}
	})
}

func TestFrozenWhileTheGateIsGone(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		time.Sleep(5 * time.Second)
		g.set(func() { g.down = true })
		time.Sleep(3 * time.Second) // what the cap holds is gone by then
		if running(w) {
			t.Fatal("runs without a gate")
		}
		before, _ := w.Used()
		time.Sleep(time.Minute)
		if after, _ := w.Used(); after != before {
			t.Fatalf("used %v while frozen", after-before)
		}
		g.set(func() { g.down = false })
		time.Sleep(30 * time.Second)
		if !running(w) {
			t.Fatal("not thawed when the gate came back")
		}
		if s.count(core.Failed) == 0 || s.count(core.Frozen) == 0 {
			t.Error("the story does not tell it")
		}
	})
}

func TestDeniedIsTold(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		g.set(func() { g.deny = &core.Denied{RefusedBy: "verdict", Reason: "outside", Verdict: "Outside"} })
		time.Sleep(10 * time.Second)
		if used, _ := w.Used(); used != 0 || running(w) {
			t.Error("ran without a lease")
		}
		if s.count(core.DeniedKind) < 2 {
			t.Error("asked once and gave up")
		}
	})
}

// TestLostReplyIsAskedForAgain: the gate did the grant, the answer was lost; the
// retry is the same request, so the debit stays one.
func TestLostReplyIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.loseNext = 2
		a, err := core.New(config(g, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Obtain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g.granted != 1000 || len(g.answers) != 1 || a.Allowance() != 1000 {
			t.Errorf("granted %d in %d leases, allowance %d", g.granted, len(g.answers), a.Allowance())
		}
		g.loseNext = 4 // as often as it is sent: given up, the units are spent, the lock stays shut
		if err := a.Obtain(t.Context()); !errors.Is(err, errDown) || a.Allowance() != 1000 {
			t.Errorf("%v, allowance %d", err, a.Allowance())
		}
	})
}

func TestStopsWithinTOff(t *testing.T) {
	scene(t, func(c *core.Config) { c.Want = 1_000_000 }, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		g.set(func() { g.tOff = 3 * time.Second })
		time.Sleep(time.Second)
		if !running(w) {
			t.Fatal("does not run")
		}
		g.set(func() { g.down = true }) // a thousand seconds of allowance are left
		time.Sleep(3100 * time.Millisecond)
		if running(w) {
			t.Fatal("runs beyond T_off of its last lease")
		}
	})
}

func TestAnIdleWorkloadKeepsItsLease(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		g.set(func() { g.tOff = 5 * time.Second })
		w.SetCores(0) // it sleeps
		time.Sleep(time.Minute)
		if !running(w) || s.count(core.Frozen) != 0 {
			t.Errorf("an idle workload was frozen %d times", s.count(core.Frozen))
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.granted > 2100 {
			t.Errorf("an idle workload hoards: granted %d", g.granted)
		}
	})
}

func TestDegradedRunsAtItsFraction(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		g.set(func() { g.perMille = 250 })
		time.Sleep(20 * time.Second)
		if used, _ := w.Used(); used < 3*time.Second || used > 6*time.Second {
			t.Errorf("used %v of 20 s at a quarter of the speed", used)
		}
	})
}

// TestStepsAreFetchedAsTheyAreUsed: a lease in ten steps runs without a gap, and
// stops within a step when the gate refuses the next one.
func TestStepsAreFetchedAsTheyAreUsed(t *testing.T) {
	scene(t, func(c *core.Config) { c.Want = 10_000 }, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		g.set(func() { g.steps = 10 })
		time.Sleep(30 * time.Second)
		used, _ := w.Used()
		if used < 29*time.Second || s.count(core.Granted) > 5 || s.count(core.Opened) < 25 {
			t.Errorf("used %v, %d leases, %d steps", used, s.count(core.Granted), s.count(core.Opened))
		}
		g.set(func() { g.noSteps, g.deny = true, &core.Denied{RefusedBy: "revoked"} })
		time.Sleep(2500 * time.Millisecond)
		if running(w) {
			t.Error("runs on though no step was opened any more")
		}
	})
}

func TestReplayedLeaseOpensNothing(t *testing.T) {
	scene(t, nil, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
		time.Sleep(450 * time.Millisecond)
		g.mu.Lock()
		for _, old := range g.answers {
			g.replay = old
		}
		g.mu.Unlock()
		time.Sleep(20 * time.Second)
		if used, _ := w.Used(); used > 2*time.Second || running(w) {
			t.Errorf("a replayed lease gave %v", used)
		}
	})
}

// brokenMemory fails its saves from a certain one on.
type brokenMemory struct {
	core.Forgetful
	left int
}

func (m *brokenMemory) SaveWords(b []byte) error {
	if m.left--; m.left < 0 {
		return errors.New("disk full")
	}
	return m.Forgetful.SaveWords(b)
}

func TestAFullDiskStopsTheLock(t *testing.T) {
	for left := range 4 {
		scene(t, func(c *core.Config) { c.Memory = &brokenMemory{left: left} }, func(t *testing.T, g *gate, w *workloadtest.Fake, s *story) {
			time.Sleep(20 * time.Second)
			if running(w) {
				t.Errorf("runs although the words of save %d were never kept", left)
			}
			if used, _ := w.Used(); used > time.Duration(left/2)*1100*time.Millisecond {
				t.Errorf("%d saves worked, and it used %v", left, used)
			}
		})
	}
}

func TestChainNamesTheLastGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		m := &core.Forgetful{}
		c := config(g, nil)
		c.Memory = m
		a, err := core.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		g.deny = &core.Denied{RefusedBy: "verdict"}
		var no *core.Denied
		if err := a.Obtain(ctx); !errors.As(err, &no) {
			t.Fatal(err)
		}
		g.deny = nil
		for range 2 {
			if err := a.Obtain(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if g.previous[0] != g.previous[1] {
			t.Error("a denied proof became part of the chain")
		}
		if g.previous[2] != [32]byte{0xee, 1} {
			t.Errorf("third proof names %x", g.previous[2])
		}
		if hash, ok, _ := m.LoadChain(); !ok || hash != [32]byte{0xee, 2} {
			t.Errorf("kept %x %v", hash, ok)
		}
	})
}

func TestWorkloadThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newGate(t), workloadtest.NewFake(1)
		a, err := core.New(config(g, nil))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Second, func() { _ = w.Stop() })
		if err := a.Run(t.Context(), w); !errors.Is(err, core.ErrExited) {
			t.Fatal(err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := core.New(core.Config{}); !errors.Is(err, core.ErrConfig) {
		t.Fatal(err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	f := core.NewFolder(dir)
	if slots, err := f.LoadWords(); err != nil || len(slots[0])+len(slots[1]) != 0 {
		t.Fatal(slots, err)
	}
	if _, ok, err := f.LoadChain(); ok || err != nil {
		t.Fatal(ok, err)
	}
	for seq := uint64(1); seq <= 5; seq++ {
		if err := f.SaveWords(lock.Words{Seq: seq}.Encode()); err != nil {
			t.Fatal(err)
		}
		if err := f.SaveChain([32]byte{byte(seq)}); err != nil {
			t.Fatal(err)
		}
		f = core.NewFolder(dir) // as after a restart
		slots, err := f.LoadWords()
		if err != nil {
			t.Fatal(err)
		}
		s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: 1}, slots...)
		if err != nil || s.Usage().Seq != seq {
			t.Fatalf("booted at %d of %d: %v", s.Usage().Seq, seq, err)
		}
		if h, ok, err := f.LoadChain(); !ok || err != nil || h[0] != byte(seq) {
			t.Fatal(h, ok, err)
		}
	}
}
