package attest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// constellation publishes a directory with two beacons, one appraiser and the simulated root.
func constellation(t testing.TB) *directory.Directory {
	t.Helper()
	rootKey, err := key(t, identity.RoleSimRoot, 1).Public().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	signer := key(t, identity.RoleDirectory, 1)
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: now - second, ExpiresUnixNS: now + 86400*second,
		Appraisers:  []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
		Gates:       []identity.Public{key(t, identity.RoleGate, 1).Public()},
		AttestRoots: []directory.AttestRoot{{Platform: "sim", Key: rootKey}},
	}
	for i := range byte(2) {
		d.Beacons = append(d.Beacons, directory.Beacon{Key: key(t, identity.RoleBeacon, i+1).Public(), Place: "Frankfurt", PosUncMM: 1000,
			Position: earth.LatLon{Lat: 50.1, Lon: 8.7}.ECEF(100).Millimetres(), Domains: []string{"a"}, Address: "127.0.0.1:443" + string('1'+rune(i)),
			Attest: []directory.Expectation{expectation}, NotBeforeUnixNS: now - second, ExpiresUnixNS: now + 86400*second})
	}
	d.Sort()
	data, err := directory.Sign(d, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := directory.Verify(data, []identity.Public{signer.Public()}, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var nonce = [32]byte{0x4e}

// affirm lets the directory's appraiser appraise a good simulated machine.
func affirm(t testing.TB, d *directory.Directory, subject identity.ID, m attest.SimMachine) []byte {
	t.Helper()
	return affirmStart(t, d, attest.Binding{Subject: subject, TimedKey: timed.ID(), Nonce: nonce}, m)
}

// timed is what the core's process holds, unless a test says otherwise.
var timed = func() *identity.TimedKey {
	k, err := identity.NewTimedKey(nil)
	if err != nil {
		panic(err)
	}
	return k
}()

// affirmStart is affirm for one start of a process.
func affirmStart(t testing.TB, d *directory.Directory, b attest.Binding, m attest.SimMachine) []byte {
	t.Helper()
	v, err := attest.SimVerifierOf(d)
	if err != nil {
		t.Fatal(err)
	}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key(t, identity.RoleAppraiser, 1), Audience: "test",
		Policy: attest.Policy{Accept: []directory.Expectation{expectation}}, TTL: 10 * time.Minute, Verifiers: []attest.Verifier{v}})
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := attest.Collect(context.Background(), m, b)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := a.Appraise(evidence, attest.Want{Subject: b.Subject, Nonce: b.Nonce, NowUnixNS: now})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestResultRoad(t *testing.T) {
	d := constellation(t)
	subject := d.Beacons[0].ID()
	encoded := affirm(t, d, subject, machine(t, attesttest.Variation{}))
	relying := attest.Relying{Directory: d, Policy: attest.PolicyOf(d.Beacons[0]), Subject: subject, Audience: "test", Nonce: &nonce,
		NowUnixNS: now + second}
	a, err := attest.VerifyResult(encoded, relying)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Valid() || !a.Simulated() || a.Appraiser() != key(t, identity.RoleAppraiser, 1).ID() || a.Result().Subject != subject {
		t.Fatalf("%+v", a)
	}
	relying.Nonce = nil
	if _, err := attest.VerifyResult(encoded, relying); err != nil {
		t.Fatal("as a passport:", err)
	}
	for i := range encoded {
		if i%13 != 0 {
			continue
		}
		bad := bytes.Clone(encoded)
		bad[i] ^= 1 << (i % 8)
		if _, err := attest.VerifyResult(bad, relying); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(encoded))
		}
	}
}

// What the relying side refuses, even when the appraiser signed it.
func TestResultRefused(t *testing.T) {
	d := constellation(t)
	subject := d.Beacons[0].ID()
	honest, _, err := attest.DecodeResult(affirm(t, d, subject, machine(t, attesttest.Variation{})))
	if err != nil {
		t.Fatal(err)
	}
	production := directory.Expectation{Platform: "tpm", Measurements: [][]byte{{0xb2}}, MinTCB: 1}
	type result = attest.Result
	type relying = attest.Relying
	cases := []struct {
		name   string
		want   error
		forge  func(*result)
		expect func(*relying)
	}{
		{"honest", nil, nil, nil},
		{"version", attest.ErrVersion, func(r *result) { r.Version = 2 }, nil},
		{"no status", attest.ErrStatus, func(r *result) { r.Status = attest.StatusNone }, nil},
		{"warning", attest.ErrStatus, func(r *result) { r.Status = attest.StatusWarning }, nil},
		{"contraindicated", attest.ErrStatus, func(r *result) { r.Status = attest.StatusContraindicated }, nil},
		{"another subject", attest.ErrSubject, func(r *result) { r.Subject[0] ^= 1 }, nil},
		{"nobody", attest.ErrSubject, func(r *result) { r.Subject = identity.ID{} }, func(r *relying) { r.Subject = identity.ID{} }},
		{"another audience", attest.ErrAudience, func(r *result) { r.Audience = "prod" }, nil},
		{"no audience", attest.ErrAudience, func(r *result) { r.Audience = "" }, func(r *relying) { r.Audience = "" }},
		{"another nonce", attest.ErrNonce, func(r *result) { r.Nonce[0] ^= 1 }, nil},
		{"sim in production", attest.ErrSim, nil, func(r *relying) { r.Policy.Accept = []directory.Expectation{production} }},
		{"no policy", attest.ErrSim, nil, func(r *relying) { r.Policy = attest.Policy{} }},
		{"another platform", attest.ErrPlatform, func(r *result) { r.Platform = "tpm" }, nil},
		{"another measurement", attest.ErrMeasurement, func(r *result) { r.Measurement = []byte{0xb9} }, nil},
		{"no measurement", attest.ErrMeasurement, func(r *result) { r.Measurement = nil }, nil},
		{"old security version", attest.ErrTCB, func(r *result) { r.TCB = 2 }, nil},
		{"never issued", attest.ErrResultTimes, func(r *result) { r.IssuedUnixNS = -1 << 63 }, nil},
		{"two hours", attest.ErrResultTimes, func(r *result) { r.ExpiresUnixNS = r.IssuedUnixNS + 7200*second }, nil},
		{"no lifetime", attest.ErrResultTimes, func(r *result) { r.ExpiresUnixNS = r.IssuedUnixNS }, nil},
		{"from the future", attest.ErrResultFuture, func(r *result) { r.IssuedUnixNS, r.ExpiresUnixNS = now+61*second, now+100*second }, nil},
		{"expired", attest.ErrResultExpired, nil, func(r *relying) { r.NowUnixNS = now + 600*second }},
		{"in its last nanosecond", nil, nil, func(r *relying) { r.NowUnixNS = now + 600*second - 1 }},
		{"no directory", attest.ErrDirectory, nil, func(r *relying) { r.Directory = nil }},
		{"directory expired", directory.ErrExpired, nil, func(r *relying) { r.NowUnixNS = now + 86401*second }},
	}
	for _, c := range cases {
		r := honest
		x := attest.Relying{Directory: d, Policy: attest.PolicyOf(d.Beacons[0]), Subject: subject, Audience: "test", Nonce: &nonce, NowUnixNS: now}
		if c.forge != nil {
			c.forge(&r)
		}
		if c.expect != nil {
			c.expect(&x)
		}
		a, err := attest.VerifyResult(sealResult(t, key(t, identity.RoleAppraiser, 1), identity.TypeResult, r), x)
		if !errors.Is(err, c.want) || a.Valid() != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	x := attest.Relying{Directory: d, Policy: attest.PolicyOf(d.Beacons[0]), Subject: subject, Audience: "test", NowUnixNS: now}
	if _, err := attest.VerifyResult(sealResult(t, key(t, identity.RoleAppraiser, 2), identity.TypeResult, honest), x); !errors.Is(err, attest.ErrUnknownAppraiser) {
		t.Error("another appraiser:", err)
	}
	if _, err := attest.VerifyResult(sealResult(t, key(t, identity.RoleAppraiser, 1), identity.TypeEvidence, honest), x); !errors.Is(err, attest.ErrResultSignature) {
		t.Error("another type:", err)
	}
	if _, err := attest.VerifyResult(nil, x); !errors.Is(err, attest.ErrResult) {
		t.Error("nothing:", err)
	}
}

func sealResult(t testing.TB, signer *identity.Private, typ identity.ObjectType, r attest.Result) []byte {
	t.Helper()
	payload, err := canon.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := identity.Seal(signer, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPolicyHash(t *testing.T) {
	a := attest.Policy{Accept: []directory.Expectation{expectation, {Platform: "tpm", Measurements: [][]byte{{1}}, MinTCB: 1}}}
	b := attest.Policy{Accept: []directory.Expectation{{Platform: "tpm", Measurements: [][]byte{{1}}, MinTCB: 1},
		{Platform: "sim", Measurements: [][]byte{{0xb2}, {0xb1}}, MinTCB: 3}}}
	ha, err := a.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if hb, err := b.Hash(); err != nil || hb != ha {
		t.Fatal("order matters", err)
	}
	b.Accept[0].MinTCB++
	if hb, _ := b.Hash(); hb == ha {
		t.Fatal("content does not matter")
	}
	b.Accept = append(b.Accept, b.Accept[0])
	if _, err := b.Hash(); !errors.Is(err, attest.ErrPolicy) {
		t.Fatal(err)
	}
}

func TestAppraiserConfig(t *testing.T) {
	good := attest.AppraiserConfig{Key: key(t, identity.RoleAppraiser, 1), Audience: "test"}
	v, _ := attest.NewSimVerifier()
	for name, change := range map[string]func(*attest.AppraiserConfig){
		"no key": func(c *attest.AppraiserConfig) { c.Key = nil }, "wrong role": func(c *attest.AppraiserConfig) { c.Key = key(t, identity.RoleGate, 1) },
		"no audience": func(c *attest.AppraiserConfig) { c.Audience = "" }, "a day": func(c *attest.AppraiserConfig) { c.TTL = 24 * time.Hour },
		"negative": func(c *attest.AppraiserConfig) { c.TTL = -1 }, "two verifiers": func(c *attest.AppraiserConfig) { c.Verifiers = []attest.Verifier{v, v} },
		"policy": func(c *attest.AppraiserConfig) { c.Policy.Accept = []directory.Expectation{expectation, expectation} },
	} {
		c := good
		change(&c)
		if _, err := attest.NewAppraiser(c); !errors.Is(err, attest.ErrAppraiser) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := attest.NewAppraiser(good); err != nil {
		t.Error(err)
	}
}

func FuzzDecoders(f *testing.F) {
	evidence, err := attest.Collect(context.Background(), machine(f, attesttest.Variation{}), attest.Binding{Subject: identity.ID{1}, Nonce: nonce})
	if err != nil {
		f.Fatal(err)
	}
	d := constellation(f)
	v, err := attest.SimVerifierOf(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(evidence)
	f.Add(affirm(f, d, identity.ID{1}, machine(f, attesttest.Variation{})))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := attest.DecodeEvidence(data); err == nil {
			if b, err := canon.Marshal(e); err != nil || !bytes.Equal(b, data) {
				t.Fatal("evidence has two encodings")
			}
			if c, err := v.Verify(e.Body, now); err == nil && c.Machine != [32]byte{7} {
				t.Fatal("forged")
			}
		}
		if r, signer, err := attest.DecodeResult(data); err == nil {
			_, err := attest.VerifyResult(data, attest.Relying{Directory: d, Policy: attest.PolicyOf(d.Beacons[0]), Subject: r.Subject,
				Audience: r.Audience, NowUnixNS: now})
			if err == nil && (signer != d.Appraisers[0].ID() || r.Subject != identity.ID{1}) {
				t.Fatal("forged")
			}
		}
	})
}
