package grant_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// feed gives a granted lease to the core's lock.
func feed(t *testing.T, s *granttest.Scene, c *granttest.Core, envelope []byte) keys.Lease {
	t.Helper()
	l, f, err := keys.Open(envelope, s.GateKey.Public(), c.Key.ID(), c.Timed)
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := c.Lock.Step(f)
	if err != nil {
		t.Fatal(err)
	}
	c.Lock = next
	return l
}

// firstKey is what a lease's wrapped key opens to.
func firstKey(t *testing.T, s *granttest.Scene, c *granttest.Core, envelope []byte) lock.Key {
	t.Helper()
	_, f, err := keys.Open(envelope, s.GateKey.Public(), c.Key.ID(), c.Timed)
	if err != nil {
		t.Fatal(err)
	}
	return f.Key
}

// work uses up what the lock holds.
func work(c *granttest.Core) {
	c.Lock, _, _ = c.Lock.Step(lock.Work{Units: c.Lock.Allowance()})
}

func TestInsideIsGranted(t *testing.T) {
	s := granttest.New(t)
	for i := range 3 {
		d := s.Grant(s.Core, 1000)
		if !d.Granted || d.RefusedBy != "" || d.Finding.Verdict.Kind() != verdict.Inside {
			t.Fatalf("grant %d: refused by %q: %s", i, d.RefusedBy, d.Reason)
		}
		l := feed(t, s, s.Core, d.Lease)
		if l.Terms.Units != 1000 || l.Terms.Core != s.Core.Key.ID() || l.Terms.NotAfterUnixNS <= l.Terms.IssuedUnixNS {
			t.Fatalf("%+v", l.Terms)
		}
		work(s.Core)
	}
	if u := s.Core.Lock.Usage(); u.Used != 3000 {
		t.Fatalf("used %d", u.Used)
	}
	h, err := s.Store.Head(t.Context())
	if err != nil || h.Size != 5 { // directory, policy, three grants
		t.Fatalf("%d leaves, %v", h.Size, err)
	}
	leaves, err := s.Store.Leaves(t.Context(), 0, h.Size)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []ledger.Kind{ledger.KindDirectory, ledger.KindPolicy, ledger.KindGrant} {
		if l, err := ledger.Decode(leaves[i].Data); err != nil || l.Kind != want {
			t.Errorf("leaf %d is %q, %v", i, l.Kind, err)
		}
	}
	id := s.Core.Key.ID()
	for _, l := range leaves {
		if bytes.Contains(l.Data, id[:]) {
			t.Error("the ledger names the core")
		}
	}
}

// TestRefusals: everything that a core or somebody with its key may try, and
// the check that refuses it.
func TestRefusals(t *testing.T) {
	boston := earth.LatLon{Lat: 42.3, Lon: -71.0}
	delay := func(ns int64) granttest.Change {
		return func(_ string, st *statement.Statement) {
			st.RTTBeaconMinNS += ns
			st.RTTCoreMinNS += ns
			st.RTTBeaconP10NS += ns
			st.RTTBeaconP50NS += ns
			st.RTTBeaconP90NS += ns
		}
	}
	tests := []struct {
		name  string
		scene []granttest.Option
		run   func(*granttest.Scene) grant.Decision
		want  string
		kind  verdict.Kind
	}{
		{"outside", nil, func(s *granttest.Scene) grant.Decision {
			s.Core.At = boston
			return s.Grant(s.Core, 10)
		}, grant.RefusedVerdict, verdict.Outside},
		{"added delay", nil, func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 10, delay(20_000_000)) },
			grant.RefusedVerdict, verdict.Undetermined},
		{"a beacon that lies short", nil, func(s *granttest.Scene) grant.Decision {
			return s.Grant(s.Core, 10, func(place string, st *statement.Statement) {
				if place == "Munich, DE" {
					st.RTTBeaconMinNS, st.RTTCoreMinNS = 1000, 1000
				}
			})
		}, grant.RefusedVerdict, verdict.Inconsistent},
		{"another permit", []granttest.Option{granttest.WithPolicy(func(p *policy.Policy) { p.Permit = "JP" })},
			func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 10) }, grant.RefusedVerdict, verdict.Outside},
		{"no units", nil, func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 0) }, grant.RefusedUnits, verdict.Inside},
		{"policy that is over", []granttest.Option{granttest.WithPolicy(func(p *policy.Policy) { *p.NotAfterUnixNS = *p.NotBeforeUnixNS + 1 })},
			func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 10) }, grant.RefusedWindow, verdict.Inside},
		{"f above what answers", []granttest.Option{granttest.WithPolicy(func(p *policy.Policy) {
			*p.F, *p.MinDomains = 3, 9
		}), granttest.WithGate(func(c *grant.Config) { c.Metro, c.Random = 8, 0 })},
			func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 10) }, grant.RefusedDomains, verdict.Undetermined},
		{"another chip", nil, func(s *granttest.Scene) grant.Decision {
			s.Core.Chip = [32]byte{0xbb}
			return s.Grant(s.Core, 10)
		}, grant.RefusedAttestation, verdict.Undetermined},
		{"measurement that is not accepted", []granttest.Option{granttest.WithPolicy(func(p *policy.Policy) {
			p.Attest[0].Measurements = [][]byte{{2}}
		})}, func(s *granttest.Scene) grant.Decision { return s.Grant(s.Core, 10) }, grant.RefusedAttestation, verdict.Undetermined},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := granttest.New(t, tt.scene...)
			d := tt.run(s)
			if d.Granted || d.RefusedBy != tt.want || d.Finding.Verdict.Kind() != tt.kind || d.Reason == "" || d.Lease != nil {
				t.Errorf("granted %v, refused by %q (%s), verdict %v; want %q, %v", d.Granted, d.RefusedBy, d.Reason,
					d.Finding.Verdict.Kind(), tt.want, tt.kind)
			}
			a, err := s.Store.Account(t.Context(), s.Core.Key.ID())
			if err != nil || a.Spent != 0 {
				t.Errorf("a refusal debited %d, %v", a.Spent, err)
			}
			if n, err := s.Store.Denials(t.Context()); err != nil || n[tt.want] != 1 {
				t.Errorf("denials %v, %v", n, err)
			}
		})
	}
}

func try(t *testing.T, s *granttest.Scene, r grant.Request) grant.Decision {
	t.Helper()
	d, err := s.Gate.Grant(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestReplays: what was answered once is not answered twice, under no name.
func TestReplays(t *testing.T) {
	s := granttest.New(t)
	proof, hash := s.Prove(s.Core, s.Ask(s.Core))
	r := s.Request(s.Core, proof, 1000)
	first := try(t, s, r)
	if !first.Granted {
		t.Fatal(first.RefusedBy, first.Reason)
	}
	if again := try(t, s, r); !again.Granted || !again.Repeated || !bytes.Equal(again.Lease, first.Lease) {
		t.Fatalf("a retry is answered otherwise: %+v", again)
	}
	change := func(f func(*grant.Request)) grant.Request { x := r; f(&x); return x }
	for _, tt := range []struct {
		name string
		r    grant.Request
		want string
	}{
		{"same id, more units", change(func(r *grant.Request) { r.Want = 2000 }), grant.RefusedReused},
		{"new id", change(func(r *grant.Request) { r.RequestID[0] ^= 1 }), grant.RefusedConsumed},
		{"new id and lock nonce", change(func(r *grant.Request) { r.RequestID[0] ^= 1; r.LockNonce[0] ^= 1; r.LockSeq++ }), grant.RefusedConsumed},
		{"no id", change(func(r *grant.Request) { r.RequestID = [16]byte{} }), grant.RefusedRequest},
		{"another core", change(func(r *grant.Request) { r.Core[0] ^= 1 }), grant.RefusedEnrolment},
		{"no proof", change(func(r *grant.Request) { r.RequestID[0] ^= 1; r.Proof = nil }), grant.RefusedProof},
	} {
		if d := try(t, s, tt.r); d.Granted || d.RefusedBy != tt.want {
			t.Errorf("%s: refused by %q (%s), want %q", tt.name, d.RefusedBy, d.Reason, tt.want)
		}
	}
	s.Core.Chain = hash
	feed(t, s, s.Core, first.Lease)

	// Another enrolled core shows the first one's proof as its own.
	other := s.NewCore(granttest.Middle, [32]byte{0xdd})
	s.Enrol(other, 100)
	s.Ask(other)
	if d := try(t, s, s.Request(other, proof, 10)); d.RefusedBy != grant.RefusedOtherCore {
		t.Errorf("another core's proof: %q", d.RefusedBy)
	}
	// After a restart the gate has forgotten what is open, but not what is used.
	again, err := grant.New(t.Context(), grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy})
	if err != nil {
		t.Fatal(err)
	}
	open := s.Ask(s.Core)
	s.Gate = again
	x := r
	x.RequestID[0] ^= 2
	if d := try(t, s, x); d.RefusedBy != grant.RefusedConsumed {
		t.Errorf("a replay after a restart: %q", d.RefusedBy)
	}
	if d := try(t, s, r); !d.Granted || !bytes.Equal(d.Lease, first.Lease) {
		t.Errorf("a retry after a restart: %+v", d)
	}
	p2, _ := s.Prove(s.Core, open)
	if d := try(t, s, s.Request(s.Core, p2, 10)); d.RefusedBy != grant.RefusedUnknown {
		t.Errorf("a challenge of before the restart: %q", d.RefusedBy)
	}
}

func TestOneAttemptForAChallenge(t *testing.T) {
	s := granttest.New(t)
	c := s.Core
	c.At = earth.LatLon{Lat: 42.3, Lon: -71.0}
	challenge := s.Ask(c)
	bad, _ := s.Prove(c, challenge)
	r := s.Request(c, bad, 10)
	if d := try(t, s, r); d.RefusedBy != grant.RefusedVerdict {
		t.Fatal(d.RefusedBy)
	}
	if d := try(t, s, r); d.RefusedBy != grant.RefusedVerdict {
		t.Errorf("the same request again: %q", d.RefusedBy)
	}
	c.At = granttest.Middle
	good, _ := s.Prove(c, challenge)
	if d := try(t, s, s.Request(c, good, 10)); d.RefusedBy != grant.RefusedConsumed {
		t.Errorf("a second attempt: %q", d.RefusedBy)
	}
}

func TestLockNonceAndSequence(t *testing.T) {
	s := granttest.New(t)
	c := s.Core
	proof, _ := s.Prove(c, s.Ask(c))
	r := s.Request(c, proof, 10)
	r.LockNonce[0] ^= 1
	if d := try(t, s, r); d.RefusedBy != grant.RefusedLockNonce {
		t.Errorf("%q", d.RefusedBy)
	}
	proof, hash := s.Prove(c, s.Ask(c))
	d := try(t, s, s.Request(c, proof, 10))
	c.Chain = hash
	feed(t, s, c, d.Lease)
	c.Lock, _ = lock.Boot(lock.Config{ID: c.Key.ID(), Cap: 100}) // the words were lost
	var no *grant.Denial
	if _, err := s.TryAsk(c); !errors.As(err, &no) || no.RefusedBy != grant.RefusedSequence {
		t.Errorf("a lock that began anew: %v", err)
	}
}

// TestManyAtOnceOneGrant: a thousand requests for one lock nonce, each of them
// sound, one grant.
func TestManyAtOnceOneGrant(t *testing.T) {
	s := granttest.New(t)
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	base := s.Request(s.Core, proof, 7)
	var mu sync.Mutex
	granted := 0
	var wg sync.WaitGroup
	n := 1000
	if testing.Short() {
		n = 100
	}
	for i := range n {
		wg.Go(func() {
			r := base
			r.RequestID = [16]byte{byte(i), byte(i >> 8), 1}
			d, err := s.Gate.Grant(context.Background(), r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case d.Granted:
				granted++
			}
		})
	}
	wg.Wait()
	a, err := s.Store.Account(t.Context(), s.Core.Key.ID())
	if err != nil || granted != 1 || a.Spent != 7 {
		t.Fatalf("%d grants, %d spent, %v", granted, a.Spent, err)
	}
}

func TestUnitsAreClipped(t *testing.T) {
	s := granttest.New(t)
	for _, want := range []lock.Units{5001, 1 << 62, 1 << 63, math.MaxUint64} {
		d := s.Grant(s.Core, want)
		if !d.Granted {
			t.Fatal(want, d.RefusedBy, d.Reason)
		}
		if l := feed(t, s, s.Core, d.Lease); l.Terms.Units != 5000 {
			t.Errorf("%d became %d", want, l.Terms.Units)
		}
		work(s.Core)
	}
	s.Enrol(s.Core, 20_003) // three units are left
	d := s.Grant(s.Core, 100)
	if !d.Granted {
		t.Fatal(d.RefusedBy)
	}
	if l := feed(t, s, s.Core, d.Lease); l.Terms.Units != 3 {
		t.Errorf("the budget's rest became %d", l.Terms.Units)
	}
	work(s.Core)
	if d := s.Grant(s.Core, 1); d.RefusedBy != grant.RefusedBudget {
		t.Errorf("beyond the budget: %q", d.RefusedBy)
	}
}

func TestRevokedAndUnknown(t *testing.T) {
	s := granttest.New(t)
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	if err := s.Store.Enable(t.Context(), s.Core.Key.ID(), false); err != nil {
		t.Fatal(err)
	}
	if d := try(t, s, s.Request(s.Core, proof, 1)); d.RefusedBy != grant.RefusedRevoked {
		t.Error(d.RefusedBy)
	}
	var no *grant.Denial
	if _, err := s.TryAsk(s.Core); !errors.As(err, &no) || no.RefusedBy != grant.RefusedRevoked {
		t.Error(err)
	}
	if _, err := s.TryAsk(s.NewCore(granttest.Middle, [32]byte{1})); !errors.As(err, &no) || no.RefusedBy != grant.RefusedEnrolment {
		t.Error(err)
	}
}

// TestAgeIsTheGates: a proof grows old on the gate's clock, whatever the times
// inside say.
func TestAgeIsTheGates(t *testing.T) {
	var mu sync.Mutex
	var ahead time.Duration
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.Now, c.TTL = now, time.Minute }))
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	mu.Lock()
	ahead = 31 * time.Second
	mu.Unlock()
	if d := try(t, s, s.Request(s.Core, proof, 1)); d.RefusedBy != grant.RefusedAge {
		t.Errorf("%q (%s)", d.RefusedBy, d.Reason)
	}
	proof, _ = s.Prove(s.Core, s.Ask(s.Core))
	mu.Lock()
	ahead += 61 * time.Second
	mu.Unlock()
	if d := try(t, s, s.Request(s.Core, proof, 1)); d.RefusedBy != grant.RefusedExpired {
		t.Errorf("%q (%s)", d.RefusedBy, d.Reason)
	}
}

func TestPolicyChangeVoidsOpenChallenges(t *testing.T) {
	s := granttest.New(t)
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	p := s.Policy
	if err := s.Gate.SetPolicy(t.Context(), p); !errors.Is(err, policy.ErrVersion) {
		t.Fatal(err)
	}
	p.Version = 2
	if err := s.Gate.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if d := try(t, s, s.Request(s.Core, proof, 1)); d.RefusedBy != grant.RefusedPolicyHash {
		t.Errorf("%q (%s)", d.RefusedBy, d.Reason)
	}
	if d := s.Grant(s.Core, 1); !d.Granted {
		t.Errorf("%q (%s)", d.RefusedBy, d.Reason)
	}
}

// TestStoreTroubleIsNoAnswer: when the commit fails nothing is known, and the
// same request finds out.
func TestStoreTroubleIsNoAnswer(t *testing.T) {
	for _, step := range []store.Step{store.StepBegin, store.StepRequest, store.StepCommit, store.StepCommitted} {
		armed := false
		boom := errors.New("injected")
		s := granttest.New(t, granttest.WithStore(filepath.Join(t.TempDir(), "gate.db"), store.Options{Fault: func(at store.Step) error {
			if armed && at == step {
				armed = false
				return boom
			}
			return nil
		}}))
		proof, _ := s.Prove(s.Core, s.Ask(s.Core))
		r := s.Request(s.Core, proof, 5)
		armed = true
		if d, err := s.Gate.Grant(t.Context(), r); !errors.Is(err, boom) {
			t.Fatalf("%s: %+v %v", step, d, err)
		}
		d := try(t, s, r)
		if !d.Granted || d.Repeated != (step == store.StepCommitted) {
			t.Errorf("%s: granted %v, repeated %v, refused by %q (%s)", step, d.Granted, d.Repeated, d.RefusedBy, d.Reason)
		}
		if a, err := s.Store.Account(t.Context(), s.Core.Key.ID()); err != nil || a.Spent != 5 {
			t.Errorf("%s: spent %d, %v", step, a.Spent, err)
		}
	}
}

// TestSentOnlyWhenPublished: a lease leaves the gate when the transparency log
// shows its leaf, and not before.
func TestSentOnlyWhenPublished(t *testing.T) {
	key, err := ledger.NewKey("grant.test/log")
	if err != nil {
		t.Fatal(err)
	}
	s := granttest.New(t)
	log, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: t.TempDir(), Key: key, Source: ledger.FromStore(s.Store)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cfg := grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy, Ledger: log}
	if s.Gate, err = grant.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	d := s.Grant(s.Core, 10)
	if !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	}
	inc, err := log.Inclusion(t.Context(), d.Record.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := s.Store.Leaves(t.Context(), d.Record.Leaf, d.Record.Leaf+1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inc.Verify(leaves[0].Data, key.Verifier()); err != nil {
		t.Fatal(err)
	}
	feed(t, s, s.Core, d.Lease)
	// The log stands still: the grant is durable but not sent, and the retry
	// gets the same bytes when the log goes on.
	_ = log.Close()
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	r := s.Request(s.Core, proof, 10)
	if _, err := s.Gate.Grant(t.Context(), r); !errors.Is(err, ledger.ErrLogClosed) {
		t.Fatalf("sent without a published leaf: %v", err)
	}
	cfg.Ledger = nil
	if s.Gate, err = grant.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if d := try(t, s, r); !d.Granted || !d.Repeated {
		t.Fatalf("%q %s", d.RefusedBy, d.Reason)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := grant.New(t.Context(), grant.Config{}); !errors.Is(err, grant.ErrConfig) {
		t.Fatal(err)
	}
	if _, _, err := grant.Permit("EU72"); err == nil {
		t.Fatal("an unknown region was compiled")
	}
}

func BenchmarkGrant(b *testing.B) {
	s := granttest.New(b)
	b.StopTimer()
	for range b.N {
		proof, hash := s.Prove(s.Core, s.Ask(s.Core))
		r := s.Request(s.Core, proof, 1)
		b.StartTimer()
		d, err := s.Gate.Grant(b.Context(), r)
		b.StopTimer()
		if err != nil || !d.Granted {
			b.Fatal(err, d.RefusedBy, d.Reason)
		}
		_, f, err := keys.Open(d.Lease, s.GateKey.Public(), s.Core.Key.ID(), s.Core.Timed)
		if err != nil {
			b.Fatal(err)
		}
		s.Core.Chain = hash
		s.Core.Lock, _, _ = s.Core.Lock.Step(f)
	}
}
