package grant_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
)

// TestUsageReports: no sound report of the last lease, no next one.
func TestUsageReports(t *testing.T) {
	fresh := func(t *testing.T) *granttest.Scene {
		s := granttest.New(t)
		d := s.Grant(s.Core, 1000)
		if !d.Granted {
			t.Fatal(d.RefusedBy, d.Reason)
		}
		feed(t, s, s.Core, d.Lease)
		s.Core.Lock, _, _ = s.Core.Lock.Step(lock.Work{Units: 400})
		return s
	}
	for _, tt := range []struct {
		name   string
		forge  func(*lock.Usage)
		want   string
		accept bool
	}{
		{"honest", func(*lock.Usage) {}, "", true},
		{"none", func(u *lock.Usage) { *u = lock.Usage{} }, grant.RefusedReport, false},
		{"of another nonce", func(u *lock.Usage) { u.Seq-- }, grant.RefusedReport, false},
		{"hides the lease", func(u *lock.Usage) { u.Accepted = 0; u.Used = 0; u.Allowance = 0 }, grant.RefusedReport, false},
		{"accepted more than granted", func(u *lock.Usage) { u.Accepted++ }, grant.RefusedReport, false},
		{"left more than there is", func(u *lock.Usage) { u.Allowance = 601 }, grant.RefusedReport, false},
		{"redeemed what was not granted", func(u *lock.Usage) { u.Redeemed++ }, grant.RefusedReport, false},
		{"never redeemed, so spent", func(u *lock.Usage) { u.Redeemed = 0; u.Accepted = 0; u.Used = 0; u.Allowance = 0 }, "", true},
		{"all at once", func(u *lock.Usage) { u.Accepted = math.MaxUint64; u.Used = math.MaxUint64 }, grant.RefusedReport, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t)
			proof, _ := s.Prove(s.Core, s.Ask(s.Core))
			r := s.Request(s.Core, proof, 10)
			tt.forge(&r.Usage)
			if d := try(t, s, r); d.Granted != tt.accept || d.RefusedBy != tt.want {
				t.Errorf("granted %v, refused by %q (%s)", d.Granted, d.RefusedBy, d.Reason)
			}
		})
	}
}

// TestNoHoarding: a core that asks and does not use gets no more; one that uses
// gets what it uses in T_off.
func TestNoHoarding(t *testing.T) {
	var ahead time.Duration
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.Now = func() time.Time { return time.Now().Add(ahead) } }))
	ask := func() (units uint64) {
		d := s.Grant(s.Core, 5000)
		if !d.Granted {
			t.Fatal(d.RefusedBy, d.Reason)
		}
		return feed(t, s, s.Core, d.Lease).Terms.Units
	}
	if n := ask(); n != 5000 {
		t.Fatalf("the first lease is of %d", n)
	}
	for range 5 {
		if n := ask(); n != 1 {
			t.Fatalf("a core that holds %d unused got %d more", s.Core.Lock.Allowance(), n)
		}
	}
	work(s.Core)
	if n := ask(); n != 5000 { // it has used all that in a moment
		t.Fatalf("a hungry core got %d", n)
	}
	// Now it uses 4500 units in 50 s: over the 20 s of T_off that is 1800, twice
	// over 3600, of which it holds 500 already.
	s.Core.Lock, _, _ = s.Core.Lock.Step(lock.Work{Units: 4500})
	ahead += 50 * time.Second
	if n := ask(); n < 2900 || n > 3100 {
		t.Errorf("it uses 90 a second, holds 500, and got %d", n)
	}
}

// TestSteps: a lease in steps opens one by one, as long as the gate agrees.
func TestSteps(t *testing.T) {
	s := granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) { p.StepUnits = new(uint64(100)) }))
	c := s.Core
	proof, hash := s.Prove(c, s.Ask(c))
	r := s.Request(c, proof, 1000)
	d := try(t, s, r)
	l := feed(t, s, c, d.Lease)
	c.Chain = hash
	if l.Terms.Steps != 10 || c.Lock.Allowance() != 100 {
		t.Fatalf("%d steps, %d open", l.Terms.Steps, c.Lock.Allowance())
	}
	first := firstKey(t, s, c, d.Lease)
	opened := first
	ask := func(change func(*grant.StepQuestion)) (lock.Key, string) {
		_, left := c.Lock.Pending()
		q := grant.StepQuestion{Core: c.Key.ID(), RequestID: r.RequestID, Step: l.Terms.Steps - left + 1, Previous: opened, Usage: c.Lock.Usage()}
		if change != nil {
			change(&q)
		}
		k, err := s.Gate.StepKey(t.Context(), q)
		var no *grant.Denial
		if errors.As(err, &no) {
			return k, no.RefusedBy
		} else if err != nil {
			t.Fatal(err)
		}
		return k, ""
	}
	for range 9 {
		k, by := ask(nil)
		next, _, err := c.Lock.Step(lock.Open{Key: k})
		if by != "" || err != nil {
			t.Fatal(by, err)
		}
		c.Lock, _, _ = next.Step(lock.Work{Units: 100})
		opened = k
	}
	// Whoever has the core's key file and not its memory did not open the lease, and knows no key of it.
	for name, previous := range map[string]lock.Key{"none": {}, "a guess": {1}, "of the step itself": opened, "of the first step": first} {
		if _, by := ask(func(q *grant.StepQuestion) { q.Step, q.Previous = 10, previous }); by != grant.RefusedStepKey {
			t.Errorf("%s: refused by %q", name, by)
		}
	}
	if u := c.Lock.Usage(); u.Used != 900 || u.Allowance != 100 {
		t.Fatalf("%+v", u)
	}
	for want, change := range map[string]func(*grant.StepQuestion){
		grant.RefusedStep:      func(q *grant.StepQuestion) { q.Step = 11 },
		grant.RefusedEnrolment: func(q *grant.StepQuestion) { q.Core[0] ^= 1 },
		grant.RefusedReport:    func(q *grant.StepQuestion) { q.Step = 2; q.Usage.Redeemed = 0 },
		grant.RefusedHoarding:  func(q *grant.StepQuestion) { q.Step = 2; q.Usage.Allowance = 300 },
	} {
		if _, by := ask(change); by != want {
			t.Errorf("refused by %q, want %q", by, want)
		}
	}
	if _, by := ask(func(q *grant.StepQuestion) { q.RequestID[0] ^= 1 }); by != grant.RefusedStep {
		t.Errorf("another request: %q", by)
	}
	two := func(q *grant.StepQuestion) { q.Step = 2 }
	if err := s.Store.Enable(t.Context(), c.Key.ID(), false); err != nil {
		t.Fatal(err)
	}
	if _, by := ask(two); by != grant.RefusedRevoked {
		t.Errorf("switched off: %q", by)
	}
	if err := s.Store.Enable(t.Context(), c.Key.ID(), true); err != nil {
		t.Fatal(err)
	}
	if d := s.Grant(c, 100); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	}
	if _, by := ask(two); by != grant.RefusedSequence {
		t.Errorf("a lease that was replaced: %q", by)
	}
}

// TestClones: two copies of a core fork the chain of proofs, and the fork is seen.
func TestClones(t *testing.T) {
	s := granttest.New(t)
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	} else {
		feed(t, s, s.Core, d.Lease)
	}
	clone := *s.Core
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	} else {
		feed(t, s, s.Core, d.Lease)
	}
	for range 3 { // the clone's lock catches up with the sequence
		clone.Lock, _, _ = clone.Lock.Step(lock.Ask{})
	}
	// The clone may pass for the core whose last answer was lost, once.
	if d := s.Grant(&clone, 10); !d.Granted {
		t.Logf("the clone is refused by %q", d.RefusedBy)
	}
	for range 5 {
		s.Core.Lock, _, _ = s.Core.Lock.Step(lock.Ask{})
	}
	if d := s.Grant(s.Core, 10); d.Granted || d.RefusedBy != grant.RefusedFork {
		t.Fatalf("two copies of a core were served: %q", d.RefusedBy)
	}
	for range 9 {
		clone.Lock, _, _ = clone.Lock.Step(lock.Ask{})
	}
	var no *grant.Denial
	if _, err := s.TryAsk(&clone); !errors.As(err, &no) || no.RefusedBy != grant.RefusedRevoked {
		t.Fatalf("the clone is still served after the fork was seen: %v", err)
	}
}

func TestLostAnswerDoesNotBreakTheChain(t *testing.T) {
	s := granttest.New(t)
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	} else {
		feed(t, s, s.Core, d.Lease)
	}
	chain := s.Core.Chain
	if d := s.Grant(s.Core, 10); !d.Granted { // the answer never reaches the core
		t.Fatal(d.RefusedBy, d.Reason)
	}
	s.Core.Chain = chain
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatalf("a core whose answer was lost is shut out by %q (%s)", d.RefusedBy, d.Reason)
	}
}
