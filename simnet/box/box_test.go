package box_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/geo/s2"
	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/box"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func region(t *testing.T, expression string) *atlas.Region {
	t.Helper()
	r, err := atlas.Parse(expression, atlas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func arrange(t *testing.T, at, permit string, beacons int, attack adversary.Attack) box.Scene {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	place, err := w.Find(at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := box.Arrange(w, box.Ask{Core: place, Beacons: beacons, Permit: region(t, permit), Attack: attack})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rules(permit string, f uint64) func([]directory.Expectation) policy.Policy {
	return func(attested []directory.Expectation) policy.Policy {
		now, n := time.Now(), func(v uint64) *uint64 { return &v }
		return policy.Policy{Name: "test", Version: 1, Permit: permit, Speed: "vacuum", F: &f, MinDomains: n(2*f + 1), MinStatements: n(2*f + 1),
			MaxAgeMS: n(60_000), VMaxMMPS: n(350_000), Timing: policy.TimingBoth, Attest: attested, Audience: box.Audience, MaxUnits: n(1000),
			TOffMS: n(15_000), LeaseTTLMS: n(30_000), NotBeforeUnixNS: new(now.Add(-time.Minute).UnixNano()), NotAfterUnixNS: new(now.Add(24 * time.Hour).UnixNano())}
	}
}

// decisions collects what a gate decided.
type decisions struct {
	mu   sync.Mutex
	made []grant.Decision
	last grant.Request
}

func (d *decisions) add(r grant.Request, made grant.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made, d.last = append(d.made, made), r
}

func start(t *testing.T, s box.Scene, permit string, f uint64) (*box.Box, *decisions) {
	t.Helper()
	var d decisions
	b, err := box.Start(t.Context(), box.Config{Scene: s, Policy: rules(permit, f), Seed: 1, Dir: t.TempDir(), Budget: 1 << 30, Want: 1000, Decided: d.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, &d
}

// virtual runs a test in a bubble of virtual time beside others: what it measures is what the world says, to the nanosecond, however
// busy the machine is.
func virtual(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, run)
}

// TestResultsAreRenewed: attestation results live an hour, a box longer.
func TestResultsAreRenewed(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b, d := start(t, arrange(t, "Frankfurt", "EU27", 9, adversary.None), "EU27", 0)
		for range 3 {
			err := b.Agent.Obtain(t.Context())
			if no := (*core.Denied)(nil); err != nil && !errors.As(err, &no) {
				err = b.Agent.Obtain(t.Context()) // the connection to the gate was idle for so long that it had to be found dead
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Minute)
		}
		if len(d.made) != 3 || !d.made[2].Granted {
			t.Fatalf("%d decisions", len(d.made))
		}
	})
}

// TestHonestCoreIsUnlocked is the road of the README over the real programs, and its evidence verified again by somebody else.
func TestHonestCoreIsUnlocked(t *testing.T) { virtual(t, honestCore) }

func honestCore(t *testing.T) {
	b, d := start(t, arrange(t, "Frankfurt", "EU27", 9, adversary.None), "EU27", 0)
	if err := b.Agent.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.made) != 1 || !d.made[0].Granted || d.made[0].Finding.Verdict.Kind() != verdict.Inside || b.Agent.Allowance() != 1000 {
		t.Fatalf("decisions %+v, allowance %d", d.made, b.Agent.Allowance())
	}
	file, err := b.Evidence(d.last, d.made[0])
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(file, evidence.Options{Trust: b.Fingerprint(), Now: time.Now()})
	if err != nil || !report.Trusted || report.Finding.RefusedBy != "" {
		t.Fatalf("evidence does not verify again: %v", err)
	}
	if err := b.SwitchOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	var no *core.Denied
	if err := b.Agent.Obtain(t.Context()); !errors.As(err, &no) || no.RefusedBy != grant.RefusedRevoked {
		t.Fatalf("a core that was switched off got %v", err)
	}
}

// TestAttacksAreRefused runs every attack, at f = 0 and f = 1, and wants it refused for its own reason: bounds that light sets,
// a contradiction that the liar cannot avoid, a nonce that was used.
func TestAttacksAreRefused(t *testing.T) {
	for _, c := range []struct {
		attack    adversary.Attack
		f         uint64
		refusedBy string
		kinds     []verdict.Kind
	}{
		{adversary.AddDelay, 0, grant.RefusedVerdict, []verdict.Kind{verdict.Undetermined, verdict.Outside}},
		{adversary.Relay, 0, grant.RefusedVerdict, []verdict.Kind{verdict.Undetermined, verdict.Outside}},
		{adversary.LyingBeacon, 0, grant.RefusedVerdict, []verdict.Kind{verdict.Inconsistent}},
		{adversary.LyingBeacon, 1, grant.RefusedVerdict, []verdict.Kind{verdict.Undetermined, verdict.Outside}},
		{adversary.Replay, 0, grant.RefusedConsumed, []verdict.Kind{verdict.Undetermined}},
	} {
		t.Run(string(c.attack)+map[uint64]string{0: "", 1: " f=1"}[c.f], func(t *testing.T) {
			virtual(t, func(t *testing.T) { attacked(t, c.attack, c.f, c.refusedBy, c.kinds) })
		})
	}
}

func attacked(t *testing.T, attack adversary.Attack, f uint64, refusedBy string, kinds []verdict.Kind) {
	s := arrange(t, "Frankfurt", "EU27", 12, attack)
	b, d := start(t, s, "EU27", f)
	if attack == adversary.Replay {
		if err := b.Agent.Obtain(t.Context()); err != nil {
			t.Fatalf("the honest first act: %v", err)
		}
		b.Move()
	}
	var no *core.Denied
	if err := b.Agent.Obtain(t.Context()); !errors.As(err, &no) {
		t.Fatalf("not denied but %v; the core stood in %s and claimed %s", err, s.Stands, s.Claim)
	}
	got := d.made[len(d.made)-1]
	if no.RefusedBy != refusedBy || got.Granted || !slices.Contains(kinds, got.Finding.Verdict.Kind()) {
		t.Fatalf("refused by %s, verdict %s: %s", no.RefusedBy, got.Finding.Verdict.Kind(), no.Reason)
	}
}

// TestBrokenAssumptionIsAFalseAccept shows that the attack's test can fail: two beacons of one lying operator are more than
// f = 0 allows, and with no honest neighbour of the core among those asked nothing contradicts them.
func TestBrokenAssumptionIsAFalseAccept(t *testing.T) { virtual(t, falseAccept) }

func falseAccept(t *testing.T) {
	s := arrange(t, "Frankfurt", "EU27", 12, adversary.LyingBeacon)
	s.Beacons = slices.DeleteFunc(s.Beacons, func(p world.Place) bool {
		rtt, ok := s.World.MinRTT(p, s.Stands)
		return ok && rtt < 25_000_000
	})
	b, d := start(t, s, "EU27", 0)
	if err := b.Agent.Obtain(t.Context()); err != nil || !d.made[0].Granted {
		t.Fatalf("f + 1 = 1 liar without an honest neighbour was refused (%v): then what do the other tests show?", err)
	}
}

// TestArrange holds scenes to their description, for every attack and cities all over the world.
func TestArrange(t *testing.T) {
	w, err := world.Builtin(world.Config{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	permit := region(t, "EU27+US+JP")
	for i, place := range w.Places() {
		if i%13 != 0 {
			continue
		}
		for _, attack := range adversary.Attacks {
			s, err := box.Arrange(w, box.Ask{Core: place, Beacons: 5 + i%9, Permit: permit, Attack: attack})
			if err != nil {
				t.Fatalf("%s, %s: %v", place, attack, err)
			}
			if len(s.Beacons) != 5+i%9 {
				t.Errorf("%s, %s: %d beacons", place, attack, len(s.Beacons))
			}
			apart := earth.Chord(s.Claim.ECEF(), s.Stands.ECEF())
			if attack == adversary.None != (apart == 0) {
				t.Errorf("%s, %s: claim and truth are %v apart", place, attack, apart)
			}
			if attack != adversary.None && permit.Class(s2.CellFromPoint(s.Stands.At.Point()).ID()) != atlas.Out {
				t.Errorf("%s, %s: the attacker stands in %s, which is permitted", place, attack, s.Stands)
			}
			seen := map[string]bool{}
			for _, b := range s.Beacons {
				if seen[b.Metro] {
					t.Errorf("%s, %s: two beacons in %s", place, attack, b)
				}
				seen[b.Metro] = true
			}
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	frankfurt, _ := w.Find("Frankfurt")
	if _, err := box.Arrange(w, box.Ask{Core: frankfurt, Beacons: 100_000, Attack: adversary.None}); !errors.Is(err, box.ErrBeacons) {
		t.Errorf("more beacons than places: %v", err)
	}
	if _, err := box.Arrange(w, box.Ask{Core: frankfurt, Beacons: 5}); !errors.Is(err, adversary.ErrUnknown) {
		t.Errorf("an attack that nobody chose: %v", err)
	}
	if _, err := box.Arrange(w, box.Ask{Core: frankfurt, Beacons: 5, Permit: region(t, "WORLD"), Attack: adversary.Relay}); !errors.Is(err, box.ErrStage) {
		t.Errorf("nowhere is outside: %v", err)
	}
}

func TestStartCleansUpAfterFailure(t *testing.T) {
	s := arrange(t, "Frankfurt", "EU27", 5, adversary.None)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := box.Start(ctx, box.Config{Scene: s, Policy: rules("NOWHERE", 0), Dir: t.TempDir(), Want: 1}); err == nil {
		t.Fatal("a policy that cannot be read was accepted")
	}
}
