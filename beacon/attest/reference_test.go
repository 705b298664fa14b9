package attest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const day = 86400 * second

func keepers(t testing.TB) attest.Keepers {
	k := attest.Keepers{Threshold: 2}
	for n := range byte(3) {
		k.Keys = append(k.Keys, key(t, identity.RoleManifest, n+1).Public())
	}
	return k
}

func manifest() attest.Manifest {
	return attest.Manifest{Version: 1, Build: "ursa 1", Number: 7, Program: [32]byte{1}, IssuedUnixNS: now, ExpiresUnixNS: now + 90*day,
		Accept: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{0xb1}, {0xb2}}, MinTCB: 3}, {Platform: "tpm", Measurements: [][]byte{{1}}}}}
}

func TestManifest(t *testing.T) {
	k := func(n byte) *identity.Private { return key(t, identity.RoleManifest, n) }
	sign := func(change func(*attest.Manifest), keys ...*identity.Private) []byte {
		m := manifest()
		if change != nil {
			change(&m)
		}
		b, err := attest.SignManifest(m, keys...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := sign(nil, k(1))
	two, err := attest.CosignManifest(one, k(3))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(two)
	flipped[20] ^= 1
	revocations, err := attest.SignRevocations(attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now, ExpiresUnixNS: now + day}, k(1), k(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		want    error
		data    []byte
		keepers func(*attest.Keepers)
		minimum uint64
		at      int64
	}{
		{"two of three", nil, two, nil, 7, now},
		{"signed twice by one", attest.ErrTooFewSigned, sign(nil, k(1), k(1)), nil, 0, now},
		{"one of three", attest.ErrTooFewSigned, one, nil, 0, now},
		{"nobody", attest.ErrTooFewSigned, sign(nil), nil, 0, now},
		{"a stranger among them", attest.ErrKeeper, sign(nil, k(1), k(2), k(9)), nil, 0, now},
		{"flipped", attest.ErrKeeperSig, flipped, nil, 0, now},
		{"another type", attest.ErrKeeperSig, revocations, nil, 0, now},
		{"nonsense", attest.ErrSignedForm, []byte("x"), nil, 0, now},
		{"a tail", attest.ErrSignedForm, append(bytes.Clone(two), 0), nil, 0, now},
		{"below the minimum", attest.ErrManifestOld, two, nil, 8, now},
		{"expired", attest.ErrManifestExpired, two, nil, 0, now + 90*day},
		{"of the future", attest.ErrManifestFuture, two, nil, 0, now - day},
		{"no threshold", attest.ErrKeepers, two, func(k *attest.Keepers) { k.Threshold = 0 }, 0, now},
		{"threshold of four", attest.ErrKeepers, two, func(k *attest.Keepers) { k.Threshold = 4 }, 0, now},
		{"one keeper twice", attest.ErrKeepers, two, func(k *attest.Keepers) { k.Keys[1] = k.Keys[0] }, 0, now},
		{"a gate as keeper", attest.ErrKeepers, two, func(k *attest.Keepers) { k.Keys[1] = key(t, identity.RoleGate, 1).Public() }, 0, now},
	} {
		ks := keepers(t)
		if c.keepers != nil {
			c.keepers(&ks)
		}
		if _, err := attest.VerifyManifest(c.data, ks, c.minimum, c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := attest.SignManifest(manifest(), key(t, identity.RoleAppraiser, 1)); !errors.Is(err, attest.ErrKeepers) {
		t.Error("an appraiser signs:", err)
	}
	for name, change := range map[string]func(*attest.Manifest){
		"no build": func(m *attest.Manifest) { m.Build = "" }, "no number": func(m *attest.Manifest) { m.Number = 0 },
		"two years": func(m *attest.Manifest) { m.ExpiresUnixNS = now + 730*day }, "no platform": func(m *attest.Manifest) { m.Accept = nil },
		"disorder": func(m *attest.Manifest) { slices.Reverse(m.Accept) }, "no measurement": func(m *attest.Manifest) { m.Accept[0].Measurements = nil },
		"measurements in disorder": func(m *attest.Manifest) { slices.Reverse(m.Accept[0].Measurements) }, "version": func(m *attest.Manifest) { m.Version = 2 },
	} {
		m := manifest()
		change(&m)
		if _, err := attest.SignManifest(m, k(1)); err == nil {
			t.Errorf("%s is signed", name)
		}
	}
}

// The policy of manifests accepts every build and never less than any of them demands.
func TestPolicyOfManifests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		platform := rapid.SampledFrom([]string{"tpm", "sev-snp"}).Draw(t, "platform")
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		m1, m2 := manifest(), manifest()
		m1.Accept = []directory.Expectation{{Platform: platform, Measurements: [][]byte{{1}}, MinTCB: a}}
		m2.Accept = []directory.Expectation{{Platform: platform, Measurements: [][]byte{{1}, {2}}, MinTCB: b}}
		configuration := [32]byte{rapid.Byte().Draw(t, "configuration")}
		p := attest.PolicyOfManifests(configuration, m1, m2)
		if len(p.Accept) != 1 || len(p.Accept[0].Measurements) != 2 {
			t.Fatalf("%+v", p)
		}
		got := p.Accept[0].MinTCB
		if !attest.TCBAtLeast(attest.Platform(platform), got, a) || !attest.TCBAtLeast(attest.Platform(platform), got, b) {
			t.Fatalf("%x does not reach %x and %x", got, a, b)
		}
		for _, m := range []byte{1, 2} {
			want := attest.Configured([]byte{m}, configuration)
			if !slices.ContainsFunc(p.Accept[0].Measurements, func(x []byte) bool { return bytes.Equal(x, want) }) {
				t.Fatalf("measurement %d is not accepted", m)
			}
		}
	})
}

func TestRevocations(t *testing.T) {
	k := func(n byte) *identity.Private { return key(t, identity.RoleManifest, n) }
	list := func(change func(*attest.Revocations)) *attest.Revocations {
		r := attest.Revocations{Version: 1, Sequence: 5, IssuedUnixNS: now, ExpiresUnixNS: now + day}
		if change != nil {
			change(&r)
		}
		data, err := attest.SignRevocations(r, k(1), k(2))
		if err != nil {
			t.Fatal(err)
		}
		out, err := attest.VerifyRevocations(data, keepers(t), now)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	evidence, err := attest.Collect(context.Background(), machine(t, attesttest.Variation{}), attest.Binding{Subject: identity.ID{1}, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	v, err := attest.NewSimVerifier(key(t, identity.RoleSimRoot, 1).Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want error
		list *attest.Revocations
	}{
		{"none", attest.ErrRevocationsMissing, nil},
		{"empty", nil, list(nil)},
		{"others", nil, list(func(r *attest.Revocations) { r.Machines, r.Measurements = [][32]byte{{9}, {8}}, [][]byte{{3}} })},
		{"this machine", attest.ErrMachineRevoked, list(func(r *attest.Revocations) { r.Machines = [][32]byte{{9}, {7}, {1}} })},
		{"this code", attest.ErrCodeRevoked, list(func(r *attest.Revocations) { r.Measurements = [][]byte{{0xb2}} })},
		{"stale", attest.ErrRevocationsStale, list(func(r *attest.Revocations) { r.IssuedUnixNS, r.ExpiresUnixNS = now-day, now+1 })},
	} {
		a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key(t, identity.RoleAppraiser, 1), Audience: "test", NeedRevocations: true,
			Policy: attest.Policy{Accept: []directory.Expectation{expectation}}, Verifiers: []attest.Verifier{v}})
		if err != nil {
			t.Fatal(err)
		}
		if c.list != nil {
			if err := a.SetRevocations(c.list); err != nil {
				t.Fatal(err)
			}
			if err := a.SetRevocations(&attest.Revocations{Sequence: 4}); !errors.Is(err, attest.ErrRevocationsBack) {
				t.Error("an older list:", err)
			}
		}
		if _, err := a.Appraise(evidence, attest.Want{Subject: identity.ID{1}, Nonce: nonce, NowUnixNS: now + 1}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	configured := attest.Configured([]byte{0xb2}, [32]byte{5})
	policy := attest.Policy{Accept: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{configured}}}}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key(t, identity.RoleAppraiser, 1), Audience: "test", Policy: policy,
		Verifiers: []attest.Verifier{measuresConfiguration{v}}})
	if err != nil {
		t.Fatal(err)
	}
	want := attest.Want{Subject: identity.ID{1}, Nonce: nonce, NowUnixNS: now}
	if _, err := a.Appraise(evidence, want); err != nil {
		t.Fatal(err)
	}
	if err := a.SetRevocations(list(func(r *attest.Revocations) { r.Measurements = [][]byte{configured} })); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Appraise(evidence, want); !errors.Is(err, attest.ErrCodeRevoked) {
		t.Error("revoked with its configuration:", err)
	}
	signed := func(r attest.Revocations) []byte {
		data, err := attest.SignRevocations(r, k(1), k(2))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	day1 := signed(attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now, ExpiresUnixNS: now + day})
	if _, err := attest.VerifyRevocations(day1, keepers(t), now+day); !errors.Is(err, attest.ErrRevocationsStale) {
		t.Error(err)
	}
	if _, err := attest.VerifyRevocations(day1, keepers(t), now-day); !errors.Is(err, attest.ErrRevocationsFuture) {
		t.Error(err)
	}
	if _, err := attest.SignRevocations(attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now, ExpiresUnixNS: now + 8*day}, k(1)); !errors.Is(err, attest.ErrRevocationsTimes) {
		t.Error(err)
	}
	if _, err := attest.SignRevocations(attest.Revocations{Version: 1, IssuedUnixNS: now, ExpiresUnixNS: now + day}, k(1)); !errors.Is(err, attest.ErrRevocations) {
		t.Error(err)
	}
	if _, err := attest.SignRevocations(attest.Revocations{Version: 1, Sequence: 1, Machines: [][32]byte{{1}, {1}}, IssuedUnixNS: now, ExpiresUnixNS: now + day}, k(1)); !errors.Is(err, attest.ErrRevocations) {
		t.Error(err)
	}
}

// measuresConfiguration is a platform that measures a configuration beside the code.
type measuresConfiguration struct{ attest.Verifier }

func (m measuresConfiguration) Verify(body []byte, now int64) (attest.Claims, error) {
	c, err := m.Verifier.Verify(body, now)
	c.Configuration = [32]byte{5}
	return c, err
}
