// Package attesttest is the conformance test of attestation platforms. A platform that joins package attest brings a Fixture and
// passes Run; the rules of the design are then known to hold for it, each refusal for its own reason.
package attesttest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Variation describes a machine under test; the zero value is one that must be accepted.
type Variation struct {
	Debug            bool
	Migratable       bool
	OtherMeasurement bool  // runs code that the policy does not name
	LowTCB           bool  // security version below the minimum
	ForeignRoot      bool  // genuine in form, of another manufacturer
	ClockOffsetNS    int64 // of the machine's clock, for platforms that have one
}

// Fixture is a platform with machines of every variation.
type Fixture struct {
	Verifier  attest.Verifier
	Expect    directory.Expectation // what a good machine meets
	NowUnixNS int64                 // at which everything is verified
	// Attester returns a machine of the variation, or the reason why the platform cannot have one.
	Attester func(t *testing.T, v Variation) (a attest.Attester, skip string)
}

const audience = "conformance"

// timedKey is what all evidence of a run names beside its subject.
var timedKey = identity.TimedKeyID{5}

// Run tests the platform.
func Run(t *testing.T, f Fixture) {
	r := newRun(t, f)
	t.Run("accepts", r.accepts)
	t.Run("refuses machines", r.refusesMachines)
	t.Run("refuses evidence", r.refusesEvidence)
	t.Run("every bit of evidence counts", r.everyBitCounts)
	t.Run("policy must name the platform", r.policyMustName)
}

type run struct {
	Fixture
	subject, other identity.ID
	nonce          [32]byte
	key            *identity.Private
}

func newRun(t *testing.T, f Fixture) *run {
	t.Helper()
	key, err := identity.FromSeed(identity.RoleAppraiser, [32]byte{0xaa})
	if err != nil {
		t.Fatal(err)
	}
	return &run{Fixture: f, subject: identity.ID{1}, other: identity.ID{2}, nonce: [32]byte{3}, key: key}
}

func (r *run) appraiser(t *testing.T, accept ...directory.Expectation) *attest.Appraiser {
	t.Helper()
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: r.key, Policy: attest.Policy{Accept: accept}, Audience: audience,
		Verifiers: []attest.Verifier{r.Verifier}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (r *run) want() attest.Want {
	return attest.Want{Subject: r.subject, Nonce: r.nonce, NowUnixNS: r.NowUnixNS}
}

// collect makes evidence on a machine of the variation, or skips.
func (r *run) collect(t *testing.T, v Variation, subject identity.ID, nonce [32]byte) []byte {
	t.Helper()
	a, skip := r.Attester(t, v)
	if skip != "" {
		t.Skip(skip)
	}
	b, err := attest.Collect(context.Background(), a, attest.Binding{Subject: subject, TimedKey: timedKey, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *run) accepts(t *testing.T) {
	encoded, err := r.appraiser(t, r.Expect).Appraise(r.collect(t, Variation{}, r.subject, r.nonce), r.want())
	if err != nil {
		t.Fatal(err)
	}
	result, signer, err := attest.DecodeResult(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if signer != r.key.ID() || result.Status != attest.StatusAffirming || result.Subject != r.subject || result.Nonce != r.nonce ||
		result.Platform != r.Verifier.Platform() || result.Audience != audience || result.Machine == [32]byte{} || result.TimedKey != timedKey {
		t.Fatalf("%+v", result)
	}
}

func (r *run) refusesMachines(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Variation
		want error
	}{
		{"debug on", Variation{Debug: true}, attest.ErrDebug},
		{"migratable", Variation{Migratable: true}, attest.ErrMigratable},
		{"unknown measurement", Variation{OtherMeasurement: true}, attest.ErrMeasurement},
		{"old security version", Variation{LowTCB: true}, attest.ErrTCB},
		{"another root", Variation{ForeignRoot: true}, attest.ErrWrongRoot},
		{"clock ahead", Variation{ClockOffsetNS: int64(attest.MaxClockSkew) + 1}, attest.ErrEvidenceFuture},
		{"clock behind", Variation{ClockOffsetNS: -int64(attest.MaxEvidenceAge) - 1}, attest.ErrEvidenceOld},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.appraiser(t, r.Expect).Appraise(r.collect(t, c.v, r.subject, r.nonce), r.want())
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func (r *run) refusesEvidence(t *testing.T) {
	good := r.collect(t, Variation{}, r.subject, r.nonce)
	relabel := func(data []byte, change func(*attest.Evidence)) []byte {
		e, err := attest.DecodeEvidence(data)
		if err != nil {
			t.Fatal(err)
		}
		change(&e)
		b, err := canon.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	othersKey := r.collect(t, Variation{}, r.other, r.nonce)
	oldNonce := r.collect(t, Variation{}, r.subject, [32]byte{9})
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"another key's", othersKey, attest.ErrSubject},
		{"another key's, relabelled", relabel(othersKey, func(e *attest.Evidence) { e.Subject = r.subject }), attest.ErrReportData},
		{"old nonce", oldNonce, attest.ErrNonce},
		{"old nonce, relabelled", relabel(oldNonce, func(e *attest.Evidence) { e.Nonce = r.nonce }), attest.ErrReportData},
		{"another timed key, relabelled", relabel(good, func(e *attest.Evidence) { e.TimedKey[0] ^= 1 }), attest.ErrReportData},
		{"no timed key, relabelled", relabel(good, func(e *attest.Evidence) { e.TimedKey = identity.TimedKeyID{} }), attest.ErrReportData},
		{"another platform's name", relabel(good, func(e *attest.Evidence) { e.Platform = "abacus" }), attest.ErrPlatform},
		{"version", relabel(good, func(e *attest.Evidence) { e.Version = 2 }), attest.ErrVersion},
		{"empty", nil, attest.ErrEvidence},
		{"cut", good[:len(good)-1], attest.ErrEvidence},
		{"one byte more", append(bytes.Clone(good), 0), attest.ErrEvidence},
		{"too large", make([]byte, attest.MaxEvidenceSize+1), attest.ErrEvidence},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := r.appraiser(t, r.Expect).Appraise(c.data, r.want()); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	for name, w := range map[string]attest.Want{"no subject": {Nonce: r.nonce, NowUnixNS: 1}, "no nonce": {Subject: r.subject, NowUnixNS: 1},
		"no time": {Subject: r.subject, Nonce: r.nonce}} {
		if _, err := r.appraiser(t, r.Expect).Appraise(good, w); !errors.Is(err, attest.ErrWant) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (r *run) everyBitCounts(t *testing.T) {
	good, a := r.collect(t, Variation{}, r.subject, r.nonce), r.appraiser(t, r.Expect)
	for i := 0; i < len(good); i += 1 + len(good)/400 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := a.Appraise(bad, r.want()); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(good))
		}
	}
}

// policyMustName: no platform is accepted by default, and sim's refusal has its own name.
func (r *run) policyMustName(t *testing.T) {
	want := attest.ErrPlatform
	if r.Verifier.Platform() == attest.Sim {
		want = attest.ErrSim
	}
	good := r.collect(t, Variation{}, r.subject, r.nonce)
	other := r.Expect
	other.Platform = "abacus"
	for _, accept := range [][]directory.Expectation{nil, {other}} {
		if _, err := r.appraiser(t, accept...).Appraise(good, r.want()); !errors.Is(err, want) {
			t.Errorf("policy %v: got %v, want %v", accept, err, want)
		}
	}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: r.key, Policy: attest.Policy{Accept: []directory.Expectation{r.Expect}}, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Appraise(good, r.want()); !errors.Is(err, attest.ErrNoVerifier) {
		t.Errorf("without verifier: %v", err)
	}
}

// Benchmark appraises one piece of evidence again and again: signatures and chains, the rules, and the signed result. It happens at
// enrolment and at most every half hour for each machine, never inside a timed round.
func Benchmark(b *testing.B, v attest.Verifier, a attest.Attester, expect directory.Expectation, nowUnixNS int64) {
	b.Helper()
	key, err := identity.FromSeed(identity.RoleAppraiser, [32]byte{0xaa})
	if err != nil {
		b.Fatal(err)
	}
	x, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key, Policy: attest.Policy{Accept: []directory.Expectation{expect}}, Audience: audience,
		Verifiers: []attest.Verifier{v}})
	if err != nil {
		b.Fatal(err)
	}
	w := attest.Want{Subject: identity.ID{1}, Nonce: [32]byte{3}, NowUnixNS: nowUnixNS}
	evidence, err := attest.Collect(context.Background(), a, attest.Binding{Subject: w.Subject, Nonce: w.Nonce})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Appraise(evidence, w); err != nil {
			b.Fatal(err)
		}
	}
}
