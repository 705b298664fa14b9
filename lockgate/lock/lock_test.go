package lock_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"pgregory.net/rapid"
)

var cfg = lock.Config{ID: [32]byte{1}, Cap: 3}

func boot(t testing.TB, slots ...[]byte) lock.State {
	t.Helper()
	s, err := lock.Boot(cfg, slots...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lease makes what a gate would make for a nonce.
func lease(n lock.Nonce, units lock.Units) lock.Feed {
	k := lock.Key{7}
	copy(k[1:], n[:])
	return lock.Feed{Grant: lock.Grant{Nonce: n, Units: units, Class: lock.Full, PerMille: 1000, KeyHash: lock.HashKey(n, k), Steps: 1}, Key: k}
}

func TestTable(t *testing.T) {
	idle := boot(t)
	asked, out, err := idle.Step(lock.Ask{Entropy: [32]byte{9}})
	if err != nil || len(out.Persist) != lock.WordsSize {
		t.Fatalf("ask: %v, %d bytes to persist", err, len(out.Persist))
	}
	n, _ := asked.Outstanding()
	good := lease(n, 2)
	active, out, err := asked.Step(good)
	if err != nil || len(out.Persist) == 0 || active.Allowance() != 2 || active.Phase() != lock.Active {
		t.Fatalf("feed: %v %v %d", err, active.Phase(), active.Allowance())
	}
	renew, _, _ := active.Step(lock.Ask{})
	n2, _ := renew.Outstanding()

	flip := func(f lock.Feed, change func(*lock.Feed)) lock.Feed { change(&f); return f }
	tests := []struct {
		name  string
		from  lock.State
		ev    lock.Event
		phase lock.Phase
		a     lock.Units
		err   error
	}{
		{"idle does no work", idle, lock.Work{Units: 1}, lock.Idle, 0, lock.ErrIdle},
		{"nothing asked", idle, good, lock.Idle, 0, lock.ErrNoNonce},
		{"replayed at once", active, good, lock.Idle, 0, lock.ErrNoNonce},
		{"replayed after the next ask", renew, good, lock.Idle, 0, lock.ErrNonce},
		{"renewal adds and saturates at the cap", renew, lease(n2, 9), lock.Active, 3, nil},
		{"other key", asked, flip(good, func(f *lock.Feed) { f.Key[3] ^= 1 }), lock.Idle, 0, lock.ErrKey},
		{"no units", asked, flip(good, func(f *lock.Feed) { f.Grant.Units = 0 }), lock.Idle, 0, lock.ErrUnits},
		{"no steps", asked, flip(good, func(f *lock.Feed) { f.Grant.Steps = 0 }), lock.Idle, 0, lock.ErrSteps},
		{"more steps than units", asked, flip(good, func(f *lock.Feed) { f.Grant.Steps = 3 }), lock.Idle, 0, lock.ErrSteps},
		{"too many steps", asked, flip(good, func(f *lock.Feed) { f.Grant.Steps = lock.MaxSteps + 1; f.Grant.Units = 1 << 40 }), lock.Idle, 0, lock.ErrSteps},
		{"a step of a lease of one step", active, lock.Open{Key: good.Key}, lock.Idle, 0, lock.ErrNoSteps},
		{"a step of no lease", idle, lock.Open{}, lock.Idle, 0, lock.ErrNoSteps},
		{"no class", asked, flip(good, func(f *lock.Feed) { f.Grant.Class = 0 }), lock.Idle, 0, lock.ErrClass},
		{"full at half speed", asked, flip(good, func(f *lock.Feed) { f.Grant.PerMille = 500 }), lock.Idle, 0, lock.ErrClass},
		{"degraded at full speed", asked, flip(good, func(f *lock.Feed) { f.Grant.Class = lock.Degraded }), lock.Idle, 0, lock.ErrClass},
		{"part of the allowance", active, lock.Work{Units: 1}, lock.Active, 1, nil},
		{"all of it", active, lock.Work{Units: 2}, lock.Idle, 0, nil},
		{"more than there is", active, lock.Work{Units: 1 << 63}, lock.Idle, 0, nil},
		{"no work is no step", active, lock.Work{}, lock.Active, 2, lock.ErrNoWork},
		{"halt", active, lock.Halt{}, lock.Idle, 0, nil},
		{"nil event", active, nil, lock.Idle, 0, lock.ErrEvent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _, err := tt.from.Step(tt.ev)
			if !errors.Is(err, tt.err) || s.Phase() != tt.phase || s.Allowance() != tt.a {
				t.Errorf("got %v %d %v, want %v %d %v", s.Phase(), s.Allowance(), err, tt.phase, tt.a, tt.err)
			}
			checkAccount(t, s)
		})
	}
}

// stepped makes a lease in steps and its keys in the order of their steps.
func stepped(n lock.Nonce, units lock.Units, steps int) (lock.Feed, []lock.Key) {
	keys := make([]lock.Key, steps)
	k := lock.Key{5}
	copy(k[1:], n[:])
	for i := steps - 1; i >= 0; i-- {
		keys[i] = k
		k = lock.PreviousKey(k)
	}
	return lock.Feed{Grant: lock.Grant{Nonce: n, Units: units, Class: lock.Full, PerMille: 1000, Steps: uint32(steps),
		KeyHash: lock.HashKey(n, keys[0])}, Key: keys[0]}, keys
}

// TestSteps: a lease of ten units in four steps (2, 3, 2, 3), under a cap that
// they do not reach.
func TestSteps(t *testing.T) {
	fed := func() (lock.State, []lock.Key) {
		s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: 100})
		if err != nil {
			t.Fatal(err)
		}
		s, _, _ = s.Step(lock.Ask{})
		n, _ := s.Outstanding()
		f, keys := stepped(n, 10, 4)
		if s, _, err = s.Step(f); err != nil || s.Allowance() != 2 {
			t.Fatal(s.Allowance(), err)
		}
		return s, keys
	}
	s, keys := fed()
	for i, want := range []lock.Units{5, 7, 10} {
		next, out, err := s.Step(lock.Open{Key: keys[i+1]})
		if err != nil || next.Allowance() != want || len(out.Persist) != 0 {
			t.Fatalf("step %d: %d, %v", i+2, next.Allowance(), err)
		}
		s = next
	}
	if s, _, err := s.Step(lock.Open{Key: keys[3]}); !errors.Is(err, lock.ErrNoSteps) || s.Phase() != lock.Idle {
		t.Fatalf("a fifth step: %v", err)
	}
	s, keys = fed()
	s, _, _ = s.Step(lock.Work{Units: 2})
	if s.Phase() != lock.Idle {
		t.Fatal("it is not dry")
	}
	if s, _, err := s.Step(lock.Open{Key: keys[2]}); err != nil || s.Allowance() != 5 || s.Phase() != lock.Active {
		t.Fatalf("a key was lost, and the next does not make it good: %d %v", s.Allowance(), err)
	}
	s, keys = fed()
	s, _, _ = s.Step(lock.Open{Key: keys[1]})
	for name, k := range map[string]lock.Key{"again": keys[1], "the one before": keys[0], "made up": {9}} {
		next, _, err := s.Step(lock.Open{Key: k})
		if !errors.Is(err, lock.ErrKey) || next.Phase() != lock.Idle || next.Usage().Used != 10 {
			t.Errorf("%s: %v, %+v", name, err, next.Usage())
		}
		if _, _, err := next.Step(lock.Open{Key: keys[2]}); !errors.Is(err, lock.ErrNoSteps) {
			t.Errorf("%s: the chain outlives the refusal: %v", name, err)
		}
	}
}

func TestStepsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := lock.Units(rapid.Uint64Range(1, 1<<62).Draw(t, "units"))
		steps := rapid.IntRange(1, int(min(units, 300))).Draw(t, "steps")
		s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: ^lock.Units(0)})
		if err != nil {
			t.Fatal(err)
		}
		s, _, _ = s.Step(lock.Ask{})
		n, _ := s.Outstanding()
		f, keys := stepped(n, units, steps)
		if s, _, err = s.Step(f); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < steps; {
			i = min(i+rapid.IntRange(1, 64).Draw(t, "skip"), steps)
			if s, _, err = s.Step(lock.Open{Key: keys[i-1]}); err != nil && i > 1 {
				t.Fatal(err)
			}
		}
		if steps > 1 && s.Allowance() != units {
			t.Fatalf("%d of %d units in %d steps", s.Allowance(), units, steps)
		}
	})
}

// checkAccount holds for every reachable state.
func checkAccount(t interface {
	Helper()
	Fatalf(string, ...any)
}, s lock.State) {
	t.Helper()
	u := s.Usage()
	pending, _ := s.Pending()
	if u.Accepted != u.Used+u.Allowance+pending || u.Allowance > cfg.Cap {
		t.Fatalf("account does not add up: %+v", u)
	}
	if (s.Phase() == lock.Idle) != (s.Allowance() == 0) {
		t.Fatalf("%v with allowance %d", s.Phase(), s.Allowance())
	}
}

func TestRunningDryKeepsTheRenewal(t *testing.T) {
	s := boot(t)
	s, _, _ = s.Step(lock.Ask{})
	n, _ := s.Outstanding()
	s, _, _ = s.Step(lease(n, 2))
	s, _, _ = s.Step(lock.Ask{})
	n, _ = s.Outstanding()
	s, _, _ = s.Step(lock.Work{Units: 2})
	s, _, err := s.Step(lease(n, 1))
	if err != nil || s.Phase() != lock.Active {
		t.Fatalf("the renewal was lost by running dry: %v %v", s.Phase(), err)
	}
}

// TestStuckEntropy: with a broken generator the sequence alone keeps nonces
// apart, as long as no write was lost.
func TestStuckEntropy(t *testing.T) {
	s := boot(t)
	seen := map[lock.Nonce]bool{}
	for range 5 {
		next, out, err := s.Step(lock.Ask{})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := next.Outstanding()
		if seen[n] {
			t.Fatal("nonce repeated")
		}
		seen[n] = true
		s = boot(t, out.Persist)
	}
}

func TestSpoiltWordsNeverAsk(t *testing.T) {
	w := lock.Words{Seq: 4, Redeemed: 3, Accepted: 9, Used: 8}.Encode()
	for i := range w {
		bad := append([]byte(nil), w...)
		bad[i] ^= 0x10
		s, err := lock.Boot(cfg, bad, nil)
		if !errors.Is(err, lock.ErrSpoilt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, _, err := s.Step(lock.Ask{}); !errors.Is(err, lock.ErrSpoilt) {
			t.Fatalf("byte %d: asks: %v", i, err)
		}
		// The other slot is whole: the lock goes on from there.
		s, err = lock.Boot(cfg, bad, w)
		if err != nil || s.Usage().Seq != 4 || s.Usage().Used != 9 {
			t.Fatalf("byte %d: %v %+v", i, err, s.Usage())
		}
	}
	if _, err := lock.Boot(lock.Config{}); !errors.Is(err, lock.ErrNoConfig) {
		t.Fatal(err)
	}
}

func TestSequenceEndsBeforeItWraps(t *testing.T) {
	s := boot(t, lock.Words{Seq: ^uint64(0), Redeemed: 1, Accepted: 1, Used: 1}.Encode())
	if _, _, err := s.Step(lock.Ask{}); !errors.Is(err, lock.ErrExhaust) {
		t.Fatal(err)
	}
}

func TestAccountNeverWraps(t *testing.T) {
	s := boot(t, lock.Words{Seq: 1, Redeemed: 1, Accepted: ^lock.Units(0) - 1, Used: 0}.Encode())
	s, _, _ = s.Step(lock.Ask{})
	n, _ := s.Outstanding()
	s, _, err := s.Step(lease(n, 2))
	if !errors.Is(err, lock.ErrUnits) || s.Usage().Accepted != ^lock.Units(0)-1 || s.Allowance() != 0 {
		t.Fatalf("%v %+v", err, s.Usage())
	}
	s, _, _ = s.Step(lock.Ask{})
	n, _ = s.Outstanding()
	if s, _, err = s.Step(lease(n, 1)); err != nil || s.Usage().Accepted != ^lock.Units(0) {
		t.Fatalf("the last unit that can be counted: %v %+v", err, s.Usage())
	}
}

func TestRandomWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := lock.Boot(cfg)
		if err != nil {
			t.Fatal(err)
		}
		used := map[lock.Nonce]bool{}
		var nonces []lock.Nonce
		var keys []lock.Key
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			checkAccount(t, s)
			switch rapid.IntRange(0, 6).Draw(t, "event") {
			case 5:
				if n, ok := s.Outstanding(); ok {
					var f lock.Feed
					f, keys = stepped(n, 7, rapid.IntRange(1, 7).Draw(t, "of"))
					used[n] = true
					s, _, _ = s.Step(f)
				}
			case 6:
				if len(keys) > 0 {
					s, _, _ = s.Step(lock.Open{Key: keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")]})
				}
			case 0:
				var e [32]byte
				copy(e[:], fmt.Sprint(len(nonces)))
				s, _, _ = s.Step(lock.Ask{Entropy: e})
				n, _ := s.Outstanding()
				nonces = append(nonces, n)
			case 1, 2:
				if len(nonces) == 0 {
					continue
				}
				n := nonces[rapid.IntRange(0, len(nonces)-1).Draw(t, "nonce")]
				var err error
				s, _, err = s.Step(lease(n, lock.Units(rapid.Uint64().Draw(t, "units"))))
				if err == nil && used[n] {
					t.Fatal("accepted twice")
				}
				used[n] = used[n] || err == nil
			case 3:
				s, _, _ = s.Step(lock.Work{Units: lock.Units(rapid.Uint64Range(0, 4).Draw(t, "work"))})
			case 4:
				s, _ = lock.Boot(cfg, s.Words().Encode())
			}
		}
	})
}

func FuzzDecodeWords(f *testing.F) {
	f.Add(lock.Words{Seq: 2, Redeemed: 1, Accepted: 5, Used: 5}.Encode())
	f.Add([]byte("ursalck1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := lock.DecodeWords(b); err == nil && string(w.Encode()) != string(b) {
			t.Fatalf("two encodings of %+v", w)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	s, _, _ = s.Step(lock.Ask{})
	n, _ := s.Outstanding()
	f, keys := stepped(n, 1000, 2)
	if s, _, err = s.Step(f); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := s.Step(lock.Open{Key: keys[1]}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	s, _, _ = s.Step(lock.Ask{})
	n, _ := s.Outstanding()
	feed := lease(n, 5)
	for b.Loop() {
		if next, _, err := s.Step(feed); err != nil || next.Allowance() != 5 {
			b.Fatal(err)
		}
	}
}

// FuzzBoot: whatever lies in the slots, a lock that starts is idle, and either
// spoilt or ready to ask.
func FuzzBoot(f *testing.F) {
	w := lock.Words{Seq: 2, Redeemed: 1, Accepted: 5, Used: 5}.Encode()
	f.Add(w, []byte(nil))
	f.Add(w[:20], w)
	f.Add([]byte("x"), []byte("y"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s, err := lock.Boot(cfg, a, b)
		if s.Phase() != lock.Idle || s.Allowance() != 0 {
			t.Fatal("power on is not idle")
		}
		if _, open := s.Outstanding(); open {
			t.Fatal("a nonce is outstanding at power on")
		}
		if _, _, asked := s.Step(lock.Ask{}); err != nil && asked == nil {
			t.Fatalf("asks in spite of %v", err)
		}
	})
}
