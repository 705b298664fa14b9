package keys_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func key(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [identity.SeedSize]byte{n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// timed is the timed key of a core.
func timed(core *identity.Private) *identity.TimedKey {
	id := core.ID()
	k, err := identity.NewTimedKey(bytes.NewReader(id[:]))
	if err != nil {
		panic(err)
	}
	return k
}

// seed of every lease here; a gate takes another for each.
var seed = lock.Key{8}

func terms(core *identity.Private, n lock.Nonce) keys.Terms {
	return keys.Terms{Serial: [16]byte{1}, RequestID: [16]byte{2}, Core: core.ID(), LockNonce: n, LockSeq: 1, Units: 50,
		Class: uint8(lock.Full), PerMille: 1000, PolicyHash: [32]byte{3}, ChallengeHash: [32]byte{4}, ProofHash: [32]byte{5},
		IssuedUnixNS: 1000, NotAfterUnixNS: 2000, TOffMS: 100, Steps: 1}
}

// TestStolenLeaseIsUseless: only the core that a lease is for gets from its
// bytes to something that a lock accepts, and only for the nonce it asked with.
func TestStolenLeaseIsUseless(t *testing.T) {
	gate, core, thief := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 2), key(t, identity.RoleCore, 3)
	s, err := lock.Boot(lock.Config{ID: core.ID(), Cap: 100})
	if err != nil {
		t.Fatal(err)
	}
	s, _, _ = s.Step(lock.Ask{Entropy: [32]byte{1}})
	n, _ := s.Outstanding()
	env, lease, err := keys.Issue(gate, timed(core).Public(), terms(core, n), seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Open(env, gate.Public(), thief.ID(), timed(core)); !errors.Is(err, keys.ErrCore) {
		t.Fatal(err)
	}
	if _, _, err := keys.Open(env, thief.Public(), core.ID(), timed(core)); err == nil {
		t.Fatal("any signer will do")
	}
	if _, _, err := keys.Open(env, gate.Public(), core.ID(), timed(thief)); !errors.Is(err, keys.ErrWrap) {
		t.Fatal("the core's key file opens it without the memory that was located:", err)
	}
	// Everything that is public of the lease, without the wrapped key's content.
	guess := lock.Feed{Grant: lock.Grant{Nonce: n, Units: 50, Class: lock.Full, PerMille: 1000, KeyHash: lease.KeyHash, Steps: 1}}
	if _, _, err := s.Step(guess); !errors.Is(err, lock.ErrKey) {
		t.Fatal(err)
	}
	_, feed, err := keys.Open(env, gate.Public(), core.ID(), timed(core))
	if err != nil {
		t.Fatal(err)
	}
	opened, _, err := s.Step(feed)
	if err != nil || opened.Allowance() != 50 {
		t.Fatalf("%v %d", err, opened.Allowance())
	}
}

func TestWrappedKeyBelongsToItsTerms(t *testing.T) {
	gate, core := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 2)
	_, a, err := keys.Issue(gate, timed(core).Public(), terms(core, lock.Nonce{1}), seed)
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := keys.Issue(gate, timed(core).Public(), terms(core, lock.Nonce{2}), seed)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Wrapped, b.Wrapped) || a.KeyHash == b.KeyHash {
		t.Fatal("two leases look alike")
	}
	ha, _ := a.Hash()
	hb, _ := b.Hash()
	if ha == hb {
		t.Fatal("two leases, one hash")
	}
}

func TestIssueRefusesIncompleteTerms(t *testing.T) {
	gate, core := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 2)
	for name, c := range map[string]struct {
		change func(*keys.Terms)
		want   error
	}{
		"no serial":     {func(t *keys.Terms) { t.Serial = [16]byte{} }, keys.ErrField},
		"no steps":      {func(t *keys.Terms) { t.Steps = 0 }, keys.ErrField},
		"no units":      {func(t *keys.Terms) { t.Units = 0 }, keys.ErrField},
		"no policy":     {func(t *keys.Terms) { t.PolicyHash = [32]byte{} }, keys.ErrField},
		"no lock nonce": {func(t *keys.Terms) { t.LockNonce = [32]byte{} }, keys.ErrField},
		"no end":        {func(t *keys.Terms) { t.NotAfterUnixNS = 0 }, keys.ErrPeriod},
		"ends at once":  {func(t *keys.Terms) { t.NotAfterUnixNS = t.IssuedUnixNS }, keys.ErrPeriod},
	} {
		tm := terms(core, lock.Nonce{1})
		c.change(&tm)
		if _, _, err := keys.Issue(gate, timed(core).Public(), tm, seed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStepKeysOpenALease: the keys of the later steps follow from the seed, and
// the lock takes them one by one.
func TestStepKeysOpenALease(t *testing.T) {
	gate, core := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 2)
	s, err := lock.Boot(lock.Config{ID: core.ID(), Cap: 100})
	if err != nil {
		t.Fatal(err)
	}
	s, _, _ = s.Step(lock.Ask{})
	n, _ := s.Outstanding()
	tm := terms(core, n)
	tm.Steps = 5
	env, _, err := keys.Issue(gate, timed(core).Public(), tm, seed)
	if err != nil {
		t.Fatal(err)
	}
	_, feed, err := keys.Open(env, gate.Public(), core.ID(), timed(core))
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err = s.Step(feed); err != nil || s.Allowance() != 10 {
		t.Fatal(s.Allowance(), err)
	}
	for step := uint32(2); step <= 5; step++ {
		if s, _, err = s.Step(lock.Open{Key: keys.StepKey(seed, step, 5)}); err != nil || s.Allowance() != lock.Units(10*step) {
			t.Fatal(step, s.Allowance(), err)
		}
	}
	if a, err := keys.RandomSeed(nil); err != nil || a == (lock.Key{}) {
		t.Fatal(a, err)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	gate, core := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 2)
	env, _, err := keys.Issue(gate, timed(core).Public(), terms(core, lock.Nonce{1}), seed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range env {
		bad := bytes.Clone(env)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := keys.Open(bad, gate.Public(), core.ID(), timed(core)); err == nil {
			t.Fatalf("byte %d of %d: opened", i, len(env))
		}
	}
}

func FuzzVerify(f *testing.F) {
	// A gate that only this process knows: what another one issued is a forgery.
	gate, err := identity.Generate(identity.RoleGate, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	core := key(f, identity.RoleCore, 2)
	env, _, err := keys.Issue(gate, timed(core).Public(), terms(core, lock.Nonce{1}), seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := keys.Verify(b, gate.Public()); err == nil && !bytes.Equal(b, env) {
			t.Fatal("a lease that nobody signed")
		}
	})
}

func BenchmarkIssue(b *testing.B) {
	gate, core := key(b, identity.RoleGate, 1), key(b, identity.RoleCore, 2)
	for b.Loop() {
		if _, _, err := keys.Issue(gate, timed(core).Public(), terms(core, lock.Nonce{1}), seed); err != nil {
			b.Fatal(err)
		}
	}
}
