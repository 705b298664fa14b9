package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// decided goes the road once and seals what came of it.
func decided(t testing.TB, s *granttest.Scene, want lock.Units, changes ...granttest.Change) ([]byte, grant.Decision) {
	t.Helper()
	proof, hash := s.Prove(s.Core, s.Ask(s.Core), changes...)
	r := s.Request(s.Core, proof, want)
	d, err := s.Gate.Grant(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if d.Granted {
		s.Core.Chain = hash
	}
	file, err := evidence.Seal(s.GateKey, s.Published, trust(s), r, d)
	if err != nil {
		t.Fatal(err)
	}
	return file, d
}

func trust(s *granttest.Scene) evidence.Trust {
	return evidence.Trust{Roots: []identity.Public{s.Roots[0].Public()}, Threshold: 1}
}

func TestGrantedAndRefusedAreMadeAgain(t *testing.T) {
	s := granttest.New(t)
	o := evidence.Options{Trust: trust(s).Fingerprint(), Now: time.Now()}
	for i := range 2 {
		file, d := decided(t, s, 100)
		r, err := evidence.Verify(file, o)
		if err != nil {
			t.Fatalf("grant %d: %v", i, err)
		}
		if !d.Granted || r.Finding.Verdict.Kind() != verdict.Inside || r.Lease == nil || r.Lease.Terms.Units != 100 || !r.Trusted {
			t.Fatalf("%+v", r.Steps)
		}
		if text := r.Text(); !strings.Contains(text, "Kassel, DE") || !strings.Contains(text, "released 100 units") {
			t.Error(text)
		}
	}
	s.Core.At = earth.LatLon{Lat: 42.3, Lon: -71.0}
	file, _ := decided(t, s, 100)
	r, err := evidence.Verify(file, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Finding.Verdict.Kind() != verdict.Outside || r.Lease != nil || r.Bundle.Decision.RefusedBy != grant.RefusedVerdict {
		t.Errorf("%+v", r.Bundle.Decision)
	}
	if text := r.Text(); !strings.Contains(text, "refused core") {
		t.Error(text)
	}
	// A proof that does not verify is refused again, too.
	s.Core.At = granttest.Middle
	file, d := decided(t, s, 100, func(_ string, st *statement.Statement) { st.PosUncMM++ })
	if d.RefusedBy != grant.RefusedPosition {
		t.Fatal(d.RefusedBy)
	}
	if r, err = evidence.Verify(file, o); err != nil || r.Finding.Verified != nil {
		t.Fatal(err)
	}
}

// TestOneFlippedBit flips a bit in every sixty-first byte (61 is prime: over the
// repeated structures all fields are met), and every bit of the first and last
// forty bytes; each file must be refused, naming a check.
func TestOneFlippedBit(t *testing.T) {
	s := granttest.New(t)
	file, _ := decided(t, s, 100)
	flips, named := 0, map[string]int{}
	flip := func(at, bit int) {
		bad := bytes.Clone(file)
		bad[at] ^= 1 << bit
		_, err := evidence.Verify(bad, evidence.Options{})
		if err == nil {
			t.Fatalf("byte %d of %d, bit %d: accepted", at, len(file), bit)
		}
		check, _, ok := strings.Cut(err.Error(), ":")
		if !ok {
			t.Fatalf("byte %d: the check is not named: %v", at, err)
		}
		flips++
		named[check]++
	}
	stride := 61
	if testing.Short() {
		stride = 1009
	}
	for at := 0; at < len(file); at += stride {
		flip(at, at%8)
	}
	for _, start := range []int{0, len(file) - 40} {
		for at := start; at < start+40; at++ {
			for bit := range 8 {
				flip(at, bit)
			}
		}
	}
	for _, n := range []int{0, 1, len(file) / 2, len(file) - 1} {
		if _, err := evidence.Verify(file[:n], evidence.Options{}); !errors.Is(err, evidence.ErrFormat) {
			t.Errorf("cut off at %d: %v", n, err)
		}
	}
	if _, err := evidence.Verify(append(bytes.Clone(file), 0), evidence.Options{}); !errors.Is(err, evidence.ErrFormat) {
		t.Error(err)
	}
	t.Logf("%d flips of %d bytes: %v", flips, len(file), named)
}

// reseal changes the content of a file as a dishonest gate could, and seals it
// with the gate's own key.
func reseal(t testing.TB, key *identity.Private, file []byte, change func(*evidence.Bundle)) []byte {
	t.Helper()
	env, err := identity.DecodeEnvelope(file, evidence.MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	var b evidence.Bundle
	if err := canon.Unmarshal(env.Payload, &b, evidence.MaxSize); err != nil {
		t.Fatal(err)
	}
	change(&b)
	payload, err := canon.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if env, err = identity.Seal(key, evidence.TypeEvidence, payload); err != nil {
		t.Fatal(err)
	}
	out, err := env.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDishonestGate: whatever a gate seals, it cannot record a decision that its
// evidence does not bear out.
func TestDishonestGate(t *testing.T) {
	s := granttest.New(t)
	granted, _ := decided(t, s, 100)
	s.Core.At = earth.LatLon{Lat: 42.3, Lon: -71.0}
	refused, _ := decided(t, s, 100)
	stranger, err := identity.FromSeed(identity.RoleGate, [identity.SeedSize]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	otherRoot, err := identity.FromSeed(identity.RoleDirectory, [identity.SeedSize]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(*evidence.Bundle)) func([]byte) []byte {
		return func(file []byte) []byte { return reseal(t, s.GateKey, file, f) }
	}
	rewrite := func(f func(*policyEdit)) func(*evidence.Bundle) {
		return func(b *evidence.Bundle) { editPolicy(t, b, f) }
	}
	for _, tt := range []struct {
		name string
		file []byte
		do   func([]byte) []byte
		want error
	}{
		{"untouched", granted, edit(func(*evidence.Bundle) {}), nil},
		{"the refused one granted", refused, edit(func(b *evidence.Bundle) { b.Decision.Granted, b.Decision.RefusedBy = true, "" }), evidence.ErrDecision},
		{"the verdict turned", refused, edit(func(b *evidence.Bundle) { b.Decision.Verdict = "Inside" }), evidence.ErrVerdict},
		{"refused by something else", refused, edit(func(b *evidence.Bundle) { b.Decision.RefusedBy = grant.RefusedBudget }), evidence.ErrDecision},
		{"more units", granted, edit(func(b *evidence.Bundle) { b.Decision.Units++ }), evidence.ErrDecision},
		{"more units everywhere but in the lease", granted, edit(func(b *evidence.Bundle) { b.Decision.Units++; b.Request.Want++ }), evidence.ErrLease},
		{"without its lease", granted, edit(func(b *evidence.Bundle) { b.Decision.Lease = nil }), evidence.ErrLease},
		{"for another request", granted, edit(func(b *evidence.Bundle) { b.Request.RequestID[0] ^= 1 }), evidence.ErrLease},
		{"younger than it was", granted, edit(func(b *evidence.Bundle) { b.Decision.DecidedUnixNS += int64(10 * time.Second) }), evidence.ErrTimes},
		{"asked at another time", granted, edit(func(b *evidence.Bundle) { b.Decision.IssuedUnixNS -= 1000; b.Decision.AgeNS += 1000 }), evidence.ErrTimes},
		{"another region", granted, edit(rewrite(func(p *policyEdit) { p.Permit = "FR" })), evidence.ErrPermit},
		{"another rule", granted, edit(rewrite(func(p *policyEdit) { p.Version++ })), evidence.ErrProof},
		{"no policy", granted, edit(func(b *evidence.Bundle) { b.Policy = []byte{0xa0} }), evidence.ErrPolicy},
		{"a forged directory", granted, edit(func(b *evidence.Bundle) { b.Directory[len(b.Directory)/2] ^= 1 }), evidence.ErrDirectory},
		{"other roots", granted, edit(func(b *evidence.Bundle) { b.Roots = []identity.Public{otherRoot.Public()} }), evidence.ErrDirectory},
		{"another version", granted, edit(func(b *evidence.Bundle) { b.Version = 2 }), evidence.ErrVersion},
		{"a gate that is not listed", granted, func(f []byte) []byte {
			return reseal(t, stranger, f, func(b *evidence.Bundle) { b.Gate = stranger.Public() })
		}, evidence.ErrGate},
		{"sealed by somebody else", granted, func(f []byte) []byte { return reseal(t, stranger, f, func(*evidence.Bundle) {}) }, evidence.ErrSeal},
		{"a forged proof", granted, edit(func(b *evidence.Bundle) { b.Request.Proof[len(b.Request.Proof)-1] ^= 1 }), evidence.ErrProof},
	} {
		if _, err := evidence.Verify(tt.do(tt.file), evidence.Options{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := evidence.Verify(granted, evidence.Options{Trust: [32]byte{1}}); !errors.Is(err, evidence.ErrTrust) {
		t.Error(err)
	}
	if _, err := evidence.Verify(granted, evidence.Options{Now: time.Now().Add(-time.Hour)}); !errors.Is(err, evidence.ErrTimes) {
		t.Error(err)
	}
}

func TestNothingToSeal(t *testing.T) {
	s := granttest.New(t)
	if _, err := evidence.Seal(s.GateKey, s.Published, trust(s), grant.Request{}, grant.Decision{RefusedBy: "x"}); !errors.Is(err, evidence.ErrNothing) {
		t.Fatal(err)
	}
}

func TestFingerprint(t *testing.T) {
	var pubs []identity.Public
	for i := range byte(3) {
		k, err := identity.FromSeed(identity.RoleDirectory, [identity.SeedSize]byte{i + 1})
		if err != nil {
			t.Fatal(err)
		}
		pubs = append(pubs, k.Public())
	}
	a := evidence.Trust{Roots: pubs, Threshold: 2}.Fingerprint()
	if b := (evidence.Trust{Roots: []identity.Public{pubs[2], pubs[0], pubs[1]}, Threshold: 2}).Fingerprint(); a != b {
		t.Error("the order of roots matters")
	}
	for _, other := range []evidence.Trust{{Roots: pubs, Threshold: 1}, {Roots: pubs[:2], Threshold: 2}} {
		if other.Fingerprint() == a {
			t.Error("another trust, the same fingerprint")
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := granttest.New(f)
	file, _ := decided(f, s, 10)
	f.Add(file)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := evidence.Verify(b, evidence.Options{}); err == nil && !bytes.Equal(b, file) {
			t.Fatal("a file that nobody sealed")
		} else if err != nil && fmt.Sprint(err) == "" {
			t.Fatal("an empty error")
		}
	})
}
