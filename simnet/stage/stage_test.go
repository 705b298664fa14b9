package stage_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rules(attested []directory.Expectation) policy.Policy {
	now, n := time.Now(), func(v uint64) *uint64 { return &v }
	return policy.Policy{Name: "test", Version: 1, Permit: "FR", Speed: "vacuum", F: n(0), MinDomains: n(1), MinStatements: n(1), MaxAgeMS: n(60_000),
		VMaxMMPS: n(350_000), Timing: policy.TimingBoth, Attest: attested, Audience: stage.Audience, MaxUnits: n(1000), TOffMS: n(15_000),
		LeaseTTLMS: n(30_000), NotBeforeUnixNS: new(now.Add(-time.Minute).UnixNano()), NotAfterUnixNS: new(now.Add(time.Hour).UnixNano())}
}

func config(t *testing.T) stage.Config {
	t.Helper()
	w, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) world.Place {
		p, err := w.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	paris, york := find("Paris"), find("New York")
	return stage.Config{World: w, Dir: t.TempDir(), Gate: w.Host(paris, "gate"), Policy: rules, Near: 4, Drawn: 2, Budget: 1 << 20, Want: 1000,
		Beacons: []stage.BeaconSpec{{Name: "b1", At: w.Host(paris, "b1"), Domain: "operator:1"}, {Name: "b2", At: w.Host(york, "b2"), Domain: "operator:2"}},
		Cores: []stage.CoreSpec{{Name: "alice", Claim: w.Host(paris, "alice"), Stands: w.Host(paris, "alice")},
			{Name: "bob", Claim: w.Host(york, "bob"), Stands: w.Host(york, "bob")},
			{Name: "eve", Claim: w.Host(paris, "eve"), Stands: w.Host(paris, "eve"), CloneOf: "alice"}}}
}

// TestCoresAtOnce lets two cores prove at the same time: each gets its own decision, measures its own path to the nanosecond and no
// less, and a clone has the key of the other.
func TestCoresAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		s, err := stage.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		alice, bob := s.Core("alice"), s.Core("bob")
		done := make(chan error)
		var theirs stage.Decided
		go func() {
			var err error
			theirs, err = bob.Prove(t.Context())
			done <- err
		}()
		ours, err := alice.Prove(t.Context())
		if err := errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		if !ours.Decision.Granted || ours.Request.Core != alice.Key.ID() {
			t.Errorf("alice in Paris: %s", ours.Decision.Reason)
		}
		if theirs.Decision.Granted || theirs.Request.Core != bob.Key.ID() {
			t.Errorf("bob in New York was granted %v", theirs.Request.Core)
		}
		for _, a := range alice.Honest.Last().Answers {
			least, ok := cfg.World.MinRTT(s.Beacon(a.Beacon.Place).At, alice.Stands)
			if got := a.Statement.RTTBeaconMinNS; !ok || got < int64(least) || got > int64(least)+5e6 {
				t.Errorf("%s: %d ns, the path has %d", a.Beacon.Place, got, least)
			}
		}
		if s.Core("eve").Key.ID() != alice.Key.ID() || s.Core("nobody") != nil || s.Beacon("nobody") != nil {
			t.Error("who is who")
		}
	})
}

// TestStartCleansUp leaves nothing running after a start that fails.
func TestStartCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		cfg.Policy = func(a []directory.Expectation) policy.Policy {
			p := rules(a)
			p.Permit = "NOWHERE"
			return p
		}
		if _, err := stage.Start(t.Context(), cfg); err == nil {
			t.Error("a policy that cannot be read was accepted")
		}
		cfg = config(t)
		cfg.Beacons[0].Domain = ""
		if _, err := stage.Start(t.Context(), cfg); err == nil {
			t.Error("a beacon without a domain was accepted")
		}
	})
	if _, err := stage.Resolve(t.Context(), "example.org:1"); !errors.Is(err, stage.ErrAddress) {
		t.Errorf("a name was resolved: %v", err)
	}
}
