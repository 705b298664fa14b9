package grant_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
)

func list(epoch uint64, entries ...revoke.Entry) revoke.List {
	now := time.Now().UnixNano()
	l := revoke.List{Version: revoke.Version, Epoch: epoch, IssuedUnixNS: now - int64(time.Minute), ExpiresUnixNS: now + int64(time.Hour), Entries: entries}
	l.Sort()
	return l
}

// TestOffSwitches: each kind of revocation stops the next lease, and stops the
// steps of one that is out; taken back, the core goes on.
func TestOffSwitches(t *testing.T) {
	for _, tt := range []struct {
		name  string
		entry func(s *granttest.Scene) []revoke.Entry
		want  string
	}{
		{"core", func(s *granttest.Scene) []revoke.Entry {
			return []revoke.Entry{{Kind: revoke.Core, Name: s.Core.Key.ID().String()}}
		}, grant.RefusedRevoked},
		{"chip", func(s *granttest.Scene) []revoke.Entry {
			return []revoke.Entry{{Kind: revoke.Chip, Name: hex.EncodeToString(s.Core.Chip[:])}}
		}, grant.RefusedRevoked},
		{"tenant", func(s *granttest.Scene) []revoke.Entry { return []revoke.Entry{{Kind: revoke.Tenant, Name: "t"}} }, grant.RefusedRevoked},
		{"fleet", func(s *granttest.Scene) []revoke.Entry { return []revoke.Entry{{Kind: revoke.Fleet, Name: "all"}} }, grant.RefusedRevoked},
		{"measurement", func(s *granttest.Scene) []revoke.Entry {
			return []revoke.Entry{{Kind: revoke.Measurement, Name: "01"}}
		}, grant.RefusedRevoked},
		{"region", func(s *granttest.Scene) []revoke.Entry { return []revoke.Entry{{Kind: revoke.Region, Name: "DE"}} }, grant.RefusedVerdict},
		{"policy", func(s *granttest.Scene) []revoke.Entry {
			h, err := s.Policy.Hash()
			if err != nil {
				t.Fatal(err)
			}
			return []revoke.Entry{{Kind: revoke.Policy, Name: hex.EncodeToString(h[:])}}
		}, grant.RefusedRevoked},
		{"the beacons near it", func(s *granttest.Scene) []revoke.Entry {
			var out []revoke.Entry
			for _, b := range s.Directory.Beacons {
				if b.Place != "Tokyo, JP" && b.Place != "Boston, US" && b.Place != "Berlin, DE" {
					out = append(out, revoke.Entry{Kind: revoke.Beacon, Name: b.ID().String()})
				}
			}
			return out
		}, grant.RefusedVerdict},
		{"the domains near it", func(s *granttest.Scene) []revoke.Entry {
			return []revoke.Entry{{Kind: revoke.Domain, Name: "operator:1"}, {Kind: revoke.Domain, Name: "operator:2"},
				{Kind: revoke.Domain, Name: "operator:3"}, {Kind: revoke.Domain, Name: "operator:4"}, {Kind: revoke.Domain, Name: "operator:5"}}
		}, grant.RefusedVerdict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) { p.StepUnits = new(uint64(100)) }))
			c := s.Core
			proof, hash := s.Prove(c, s.Ask(c))
			r := s.Request(c, proof, 1000)
			d := try(t, s, r)
			feed(t, s, c, d.Lease)
			c.Chain = hash
			step := grant.StepQuestion{Core: c.Key.ID(), RequestID: r.RequestID, Step: 2, Previous: firstKey(t, s, c, d.Lease), Usage: c.Lock.Usage()}
			if _, err := s.Gate.StepKey(t.Context(), step); err != nil {
				t.Fatal(err)
			}
			fallen, err := s.Gate.SetRevocations(t.Context(), list(1, tt.entry(s)...))
			if err != nil || !slices.Contains(fallen, c.Key.ID()) {
				t.Fatalf("the lease that is out still stands: %v %v", fallen, err)
			}
			var no *grant.Denial
			if _, err := s.Gate.StepKey(t.Context(), step); !errors.As(err, &no) || no.RefusedBy != grant.RefusedRevoked {
				t.Errorf("a step of a lease that fell: %v", err)
			}
			c.Lock, _, _ = c.Lock.Step(lock.Work{Units: 100})
			if challenge, err := s.TryAsk(c); errors.As(err, &no) {
				if no.RefusedBy != tt.want {
					t.Errorf("refused by %q, want %q", no.RefusedBy, tt.want)
				}
			} else {
				proof, _ := s.Prove(c, challenge)
				if d := try(t, s, s.Request(c, proof, 10)); d.RefusedBy != tt.want {
					t.Errorf("refused by %q (%s), want %q", d.RefusedBy, d.Reason, tt.want)
				}
			}
			if _, err := s.Gate.SetRevocations(t.Context(), list(2)); err != nil {
				t.Fatal(err)
			}
			if d := s.Grant(c, 10); !d.Granted {
				t.Errorf("taken back, and still refused by %q (%s)", d.RefusedBy, d.Reason)
			}
		})
	}
}

func TestRevocationEpochsOnlyGrow(t *testing.T) {
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.MustRevoke = true }))
	var no *grant.Denial
	if _, err := s.TryAsk(s.Core); !errors.As(err, &no) || no.RefusedBy != grant.RefusedNoList {
		t.Fatalf("granted without a list: %v", err)
	}
	over := list(1)
	over.ExpiresUnixNS = time.Now().UnixNano() - 1
	if _, err := s.Gate.SetRevocations(t.Context(), over); !errors.Is(err, revoke.ErrPeriod) {
		t.Error(err)
	}
	if _, err := s.Gate.SetRevocations(t.Context(), list(5)); err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []uint64{4, 5} {
		if _, err := s.Gate.SetRevocations(t.Context(), list(epoch)); !errors.Is(err, revoke.ErrEpoch) {
			t.Errorf("epoch %d after 5: %v", epoch, err)
		}
	}
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Error(d.RefusedBy, d.Reason)
	}
	bad := list(6, revoke.Entry{Kind: revoke.Region, Name: "EU72"})
	if _, err := s.Gate.SetRevocations(t.Context(), bad); err == nil {
		t.Error("a region that nobody knows was revoked")
	}
}

// TestTokens: an inside verdict is handed on while its lease is out, to those
// who are listed, and not after it fell.
func TestTokens(t *testing.T) {
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.Audiences = []string{"vault"} }))
	c := s.Core
	q := grant.TokenQuestion{Core: c.Key.ID(), Audience: "vault", Nonce: "0123456789"}
	refused := func(q grant.TokenQuestion) string {
		_, err := s.Gate.Token(t.Context(), q)
		var no *grant.Denial
		if !errors.As(err, &no) {
			t.Fatalf("not refused: %v", err)
		}
		return no.RefusedBy
	}
	if by := refused(q); by != grant.RefusedToken {
		t.Errorf("before any lease: %q", by)
	}
	proof, hash := s.Prove(c, s.Ask(c))
	r := s.Request(c, proof, 10)
	if d := try(t, s, r); !d.Granted {
		t.Fatal(d.RefusedBy)
	}
	c.Chain, q.RequestID = hash, r.RequestID
	claims, err := s.Gate.Token(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject != c.Key.ID().String() || claims.Permit != "DE" || !slices.Equal(claims.Jurisdictions, []string{"DE"}) ||
		claims.Platform != "sim" || claims.Speed != "vacuum" || !claims.Expires.After(claims.IssuedAt) || claims.PermitHash == "" {
		t.Errorf("%+v", claims)
	}
	other := q
	other.Audience = "somebody"
	if by := refused(other); by != grant.RefusedToken {
		t.Errorf("another audience: %q", by)
	}
	if _, err := s.Gate.SetRevocations(t.Context(), list(1, revoke.Entry{Kind: revoke.Region, Name: "DE", Reason: "talks"})); err != nil {
		t.Fatal(err)
	}
	if by := refused(q); by != grant.RefusedRevoked {
		t.Errorf("a verdict that fell: %q", by)
	}
}
