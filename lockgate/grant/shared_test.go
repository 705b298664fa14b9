package grant_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// twins are two gates on one store, with clocks that can be set apart.
func twins(t *testing.T, change func(*grant.Config)) (s *granttest.Scene, gates [2]*grant.Gate, ahead *[2]time.Duration) {
	t.Helper()
	s, ahead = granttest.New(t), new([2]time.Duration)
	for i := range gates {
		cfg := grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy, Shared: true, TTL: time.Minute,
			Now: func() time.Time { return time.Now().Add(ahead[i]) }}
		if change != nil {
			change(&cfg)
		}
		var err error
		if gates[i], err = grant.New(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	return s, gates, ahead
}

// TestGatesAnswerForOneAnother: what one gate asked, the other one grants on,
// once.
func TestGatesAnswerForOneAnother(t *testing.T) {
	s, gates, _ := twins(t, nil)
	for round := range 4 {
		s.Gate = gates[round%2]
		proof, hash := s.Prove(s.Core, s.Ask(s.Core))
		r := s.Request(s.Core, proof, 10)
		s.Gate = gates[1-round%2]
		d := try(t, s, r)
		if !d.Granted || d.Repeated {
			t.Fatalf("round %d: the other gate refuses by %s: %s", round, d.RefusedBy, d.Reason)
		}
		for _, g := range gates {
			s.Gate = g
			if again := try(t, s, r); !again.Repeated || !bytes.Equal(again.Lease, d.Lease) {
				t.Fatalf("a retry is answered otherwise: %q %s", again.RefusedBy, again.Reason)
			}
			x := r
			x.RequestID[0] ^= 1
			if no := try(t, s, x); no.RefusedBy != grant.RefusedConsumed {
				t.Fatalf("a second grant on one challenge: %v, %q", no.Granted, no.RefusedBy)
			}
		}
		s.Core.Chain = hash
		feed(t, s, s.Core, d.Lease)
		work(s.Core)
	}
}

// TestOneAttemptAtAllGates: a refusal at one gate uses the challenge up at all,
// and a newer challenge of any gate voids the one before.
func TestOneAttemptAtAllGates(t *testing.T) {
	s, gates, _ := twins(t, nil)
	c := s.Core
	s.Gate = gates[0]
	challenge := s.Ask(c)
	c.At = earth.LatLon{Lat: 42.3, Lon: -71.0}
	bad, _ := s.Prove(c, challenge)
	c.At = granttest.Middle
	good, _ := s.Prove(c, challenge)
	s.Gate = gates[1]
	r := s.Request(c, bad, 10)
	if d := try(t, s, r); d.RefusedBy != grant.RefusedVerdict {
		t.Fatal(d.RefusedBy)
	}
	if d := try(t, s, r); d.RefusedBy != grant.RefusedVerdict {
		t.Errorf("the same request again: %q", d.RefusedBy)
	}
	for i := range gates {
		s.Gate = gates[1-i]
		if d := try(t, s, s.Request(c, good, 10)); d.RefusedBy != grant.RefusedConsumed {
			t.Errorf("a second attempt at gate %d: %q", 1-i, d.RefusedBy)
		}
	}
	s.Gate = gates[0]
	old := s.Ask(c)
	stale, _ := s.Prove(c, old)
	r = s.Request(c, stale, 10)
	s.Gate = gates[1]
	s.Ask(c)
	if d := try(t, s, r); d.Granted {
		t.Error("granted on a challenge that another gate has replaced")
	}
	s.Gate = gates[0]
	if d := try(t, s, r); d.RefusedBy != grant.RefusedConsumed {
		t.Errorf("the gate that asked it, after another has asked anew: %q", d.RefusedBy)
	}
}

// TestClocksOfTwoGates: a clock that runs behind makes no proof younger, and
// clocks too far apart grant nothing.
func TestClocksOfTwoGates(t *testing.T) {
	s, gates, ahead := twins(t, nil) // max_age_ms 30,000, two seconds of skew
	for _, tt := range []struct {
		name  string
		ahead time.Duration
		want  string
	}{
		{"a little behind", -1500 * time.Millisecond, ""},
		{"far behind", -time.Minute, grant.RefusedExpired},
		{"far ahead", 59 * time.Second, grant.RefusedExpired},
		{"ahead by what the policy allows, less the skew", 28500 * time.Millisecond, grant.RefusedAge},
	} {
		ahead[1] = 0
		s.Gate = gates[0]
		proof, hash := s.Prove(s.Core, s.Ask(s.Core))
		ahead[1] = tt.ahead
		s.Gate = gates[1]
		d := try(t, s, s.Request(s.Core, proof, 10))
		if d.RefusedBy != tt.want {
			t.Errorf("%s: %q (%s), want %q", tt.name, d.RefusedBy, d.Reason, tt.want)
		}
		if !d.Granted {
			continue
		}
		if d.Record.Age < 2*time.Second || d.Record.DecidedUnixNS < d.Record.IssuedUnixNS {
			t.Errorf("%s: age %v, decided %v after the question", tt.name, d.Record.Age, d.Record.DecidedUnixNS-d.Record.IssuedUnixNS)
		}
		s.Core.Chain = hash
		feed(t, s, s.Core, d.Lease)
	}
}

// TestPruningPermitsNoSecondGrant: after everything prunable is gone, whatever
// was sent once is sent again, under its own name and under others, at a gate
// that remembers and at one that has just started, also with the clock set back.
func TestPruningPermitsNoSecondGrant(t *testing.T) {
	s, gates, ahead := twins(t, nil)
	var sent []grant.Request
	var leases [][]byte
	for i := range 6 {
		s.Gate = gates[i%2]
		proof, hash := s.Prove(s.Core, s.Ask(s.Core))
		r := s.Request(s.Core, proof, 10)
		s.Gate = gates[(i/2)%2]
		d := try(t, s, r)
		if !d.Granted {
			t.Fatal(d.RefusedBy, d.Reason)
		}
		sent, leases = append(sent, r), append(leases, d.Lease)
		s.Core.Chain = hash
		feed(t, s, s.Core, d.Lease)
		work(s.Core)
	}
	if n, err := gates[0].Prune(t.Context()); n != 0 || err != nil {
		t.Fatalf("%d answers went while they could be asked for, %v", n, err)
	}
	ahead[0] = 25 * time.Hour
	if n, err := gates[0].Prune(t.Context()); n != 5 || err != nil {
		t.Fatalf("%d answers went, %v", n, err)
	}
	ahead[0] = 0
	fresh, err := grant.New(t.Context(), grant.Config{Key: s.GateKey, Store: s.Store, Directory: s.Directory, Policy: s.Policy})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*grant.Gate{gates[0], gates[1], fresh} {
		s.Gate = g
		for i, r := range sent {
			d := try(t, s, r)
			if last := i == len(sent)-1; d.Granted != last || last && !bytes.Equal(d.Lease, leases[i]) {
				t.Fatalf("request %d again: granted %v, refused by %q", i, d.Granted, d.RefusedBy)
			}
			r.RequestID[0] ^= 1
			if d := try(t, s, r); d.Granted {
				t.Fatalf("request %d under another name was granted again", i)
			}
		}
	}
	if a, err := s.Store.Account(t.Context(), s.Core.Key.ID()); err != nil || a.Spent != 60 {
		t.Fatalf("%d spent, %v", a.Spent, err)
	}
	if err := s.Store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	}
}

// TestUnsharedChallengeStaysAlone: gates that do not share know nothing of one
// another's challenges.
func TestUnsharedChallengeStaysAlone(t *testing.T) {
	s, gates, _ := twins(t, func(c *grant.Config) { c.Shared = false })
	s.Gate = gates[0]
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	s.Gate = gates[1]
	if d := try(t, s, s.Request(s.Core, proof, lock.Units(1))); d.RefusedBy != grant.RefusedUnknown {
		t.Fatal(d.RefusedBy)
	}
	var no *grant.Denial
	if _, err := s.TryAsk(s.NewCore(granttest.Middle, [32]byte{1})); !errors.As(err, &no) {
		t.Fatal(err)
	}
}
