package identity_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/topology/identity"
	"pgregory.net/rapid"
)

// seeded returns a fixed identity of the role.
func seeded(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	beaconOnce = sync.OnceValue(func() *identity.Private {
		k, _ := identity.FromSeed(identity.RoleBeacon, [32]byte{1})
		return k
	})
	coreOnce = sync.OnceValue(func() *identity.Private {
		k, _ := identity.FromSeed(identity.RoleCore, [32]byte{2})
		return k
	})
)

func TestGenerateAndFromSeed(t *testing.T) {
	for _, role := range []identity.Role{identity.RoleBeacon, identity.RoleCore, identity.RoleGate, identity.RoleDirectory,
		identity.RolePolicy, identity.RoleSimRoot, identity.RoleLock, identity.RoleAuditor, identity.RoleLedger,
		identity.RoleManifest, identity.RoleAppraiser} {
		a, err := identity.Generate(role, bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := identity.FromSeed(role, [32]byte(bytes.Repeat([]byte{7}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		if a.ID() != b.ID() || a.Public().Role() != role {
			t.Fatalf("%s: %s and %s", role, a, b)
		}
	}
	if seeded(t, identity.RoleBeacon, 1).ID() == seeded(t, identity.RoleCore, 1).ID() {
		t.Fatal("one seed gave two roles one id")
	}
	if _, err := identity.Generate("emperor", nil); !errors.Is(err, identity.ErrRole) {
		t.Fatal(err)
	}
	if _, err := identity.Generate(identity.RoleCore, bytes.NewReader(nil)); err == nil {
		t.Fatal("no randomness, yet a key")
	}
	a, _ := identity.Generate(identity.RoleCore, nil)
	b, _ := identity.Generate(identity.RoleCore, nil)
	if a.ID() == b.ID() {
		t.Fatal("two fresh keys are one")
	}
}

func TestSignatureHalves(t *testing.T) {
	k, msg := coreOnce(), []byte("here")
	sig, err := k.Sign(identity.TypeProof, msg)
	if err != nil {
		t.Fatal(err)
	}
	pub := k.Public()
	if err := pub.Verify(identity.TypeProof, msg, sig); err != nil {
		t.Fatal(err)
	}
	other, err := seeded(t, identity.RoleCore, 9).Sign(identity.TypeProof, msg)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(i int) []byte { s := bytes.Clone(sig); s[i] ^= 1; return s }
	again, _ := k.Sign(identity.TypeProof, []byte("there"))
	cases := []struct {
		name string
		typ  identity.ObjectType
		msg  []byte
		sig  []byte
		want error
	}{
		{"first byte", identity.TypeProof, msg, flip(0), identity.ErrEd25519},
		{"last byte of the first half", identity.TypeProof, msg, flip(63), identity.ErrEd25519},
		{"first byte of the second half", identity.TypeProof, msg, flip(64), identity.ErrMLDSA65},
		{"last byte", identity.TypeProof, msg, flip(len(sig) - 1), identity.ErrMLDSA65},
		{"second half of another identity", identity.TypeProof, msg, append(bytes.Clone(sig[:64]), other[64:]...), identity.ErrMLDSA65},
		{"first half of another identity", identity.TypeProof, msg, append(bytes.Clone(other[:64]), sig[64:]...), identity.ErrEd25519},
		{"second half of another message", identity.TypeProof, msg, append(bytes.Clone(sig[:64]), again[64:]...), identity.ErrMLDSA65},
		{"first half only", identity.TypeProof, msg, sig[:64], identity.ErrSignatureSize},
		{"one byte more", identity.TypeProof, msg, append(bytes.Clone(sig), 0), identity.ErrSignatureSize},
		{"empty", identity.TypeProof, msg, nil, identity.ErrSignatureSize},
		{"another type", identity.TypeLease, msg, sig, identity.ErrEd25519},
		{"another message", identity.TypeProof, []byte("there"), sig, identity.ErrEd25519},
		{"no type", "", msg, sig, identity.ErrObjectType},
		{"batch context", "proof/batch", msg, sig, identity.ErrObjectType},
		{"type with zero byte", "proof\x00", msg, sig, identity.ErrObjectType},
	}
	for _, c := range cases {
		if err := pub.Verify(c.typ, c.msg, c.sig); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := k.Sign("proof/batch", msg); !errors.Is(err, identity.ErrObjectType) {
		t.Error("signed in a reserved context:", err)
	}
	if err := beaconOnce().Public().Verify(identity.TypeProof, msg, sig); !errors.Is(err, identity.ErrEd25519) {
		t.Error("another identity verifies:", err)
	}
}

// The ML-DSA half is hedged: the same message is never signed with the same bytes, and both signatures verify.
func TestSignaturesAreHedged(t *testing.T) {
	a, _ := coreOnce().Sign(identity.TypeProof, nil)
	b, _ := coreOnce().Sign(identity.TypeProof, nil)
	if bytes.Equal(a[64:], b[64:]) {
		t.Fatal("two equal ML-DSA signatures")
	}
}

func TestNobody(t *testing.T) {
	var pub identity.Public
	var priv *identity.Private
	if err := pub.Verify(identity.TypeProof, nil, make([]byte, identity.SignatureSize)); !errors.Is(err, identity.ErrNoKey) {
		t.Error(err)
	}
	if _, err := priv.Sign(identity.TypeProof, nil); !errors.Is(err, identity.ErrNoKey) {
		t.Error(err)
	}
	if _, err := new(identity.Private).Sign(identity.TypeProof, nil); !errors.Is(err, identity.ErrNoKey) {
		t.Error(err)
	}
	if _, err := pub.MarshalBinary(); !errors.Is(err, identity.ErrNoKey) {
		t.Error(err)
	}
	if _, err := priv.Unwrap(nil, make([]byte, 2000)); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
	if _, err := (identity.Envelope{Type: identity.TypeProof}).Open(pub, identity.TypeProof); !errors.Is(err, identity.ErrNoKey) {
		t.Error("nobody signed for nobody:", err)
	}
	if !pub.IsZero() || !pub.ID().IsZero() || pub.Role() != "" || priv.Public() != pub {
		t.Error("nobody is somebody")
	}
}

func TestIDText(t *testing.T) {
	id := coreOnce().ID()
	back, err := identity.ParseID(id.String())
	if err != nil || back != id || !strings.HasPrefix(id.String(), id.Short()) {
		t.Fatal(back, err)
	}
	for _, s := range []string{"", "00", strings.ToUpper(id.String()), id.String() + "00", " " + id.String()[1:], strings.Repeat("g", 64)} {
		if _, err := identity.ParseID(s); !errors.Is(err, identity.ErrID) {
			t.Errorf("%q: %v", s, err)
		}
	}
	b, err := json.Marshal(map[string]identity.ID{"id": id})
	if err != nil || string(b) != `{"id":"`+id.String()+`"}` {
		t.Fatal(string(b), err)
	}
}

func TestPublicRoundTrip(t *testing.T) {
	for _, k := range []*identity.Private{coreOnce(), seeded(t, identity.RoleDirectory, 3)} {
		pub := k.Public()
		b, err := pub.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		back, err := identity.ParsePublic(b)
		if err != nil || !back.Equal(pub) || back.ID() != pub.ID() {
			t.Fatal(back, err)
		}
		text, err := pub.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var viaText identity.Public
		if err := viaText.UnmarshalText(text); err != nil || !viaText.Equal(pub) {
			t.Fatal(err)
		}
		if err := viaText.UnmarshalText(append(text, '=')); !errors.Is(err, identity.ErrKeyText) {
			t.Fatal(err)
		}
		sig, _ := k.Sign(identity.TypeReport, b)
		if err := back.Verify(identity.TypeReport, b, sig); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKEM(t *testing.T) {
	k := timedKey(t, 1)
	ct, secret, err := k.Public().Encapsulate(nil)
	if err != nil || len(ct) != identity.KEMCiphertextSize || len(secret) != identity.KEMSecretSize {
		t.Fatal(len(ct), len(secret), err)
	}
	got, err := k.Decapsulate(ct)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%x, want %x, %v", got, secret, err)
	}
	if got, err := timedKey(t, 2).Decapsulate(ct); err != nil || bytes.Equal(got, secret) {
		t.Fatal("another key recovers the secret", err)
	}
	for _, i := range []int{0, len(ct) - 1} { // the ML-KEM half and the X25519 half
		bad := bytes.Clone(ct)
		bad[i] ^= 1
		if got, err := k.Decapsulate(bad); err != nil || bytes.Equal(got, secret) {
			t.Fatalf("byte %d of the ciphertext does not matter: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, len(ct) - 1, len(ct) + 1} {
		if _, err := k.Decapsulate(make([]byte, n)); !errors.Is(err, identity.ErrCiphertextSize) {
			t.Fatal(n, err)
		}
	}
	same := func() []byte {
		ct, _, err := k.Public().Encapsulate(bytes.NewReader(make([]byte, 64)))
		if err != nil {
			t.Fatal(err)
		}
		return ct
	}
	if !bytes.Equal(same(), same()) {
		t.Fatal("the handed-in randomness does not decide")
	}
	if _, _, err := k.Public().Encapsulate(bytes.NewReader(nil)); err == nil {
		t.Fatal("no randomness, yet a secret")
	}
}

// timedKey returns the timed key of a seed.
func timedKey(t *testing.T, seed byte) *identity.TimedKey {
	t.Helper()
	k, err := identity.NewTimedKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTimedKey: its name follows the public key, a bad public key is refused, no key does nothing, and nothing prints the secret.
func TestTimedKey(t *testing.T) {
	k := timedKey(t, 7)
	public := k.Public().Bytes()
	again, err := identity.ParseTimedPublic(public)
	if err != nil || again.ID() != k.ID() || k.ID().IsZero() || k.ID() == timedKey(t, 8).ID() {
		t.Fatal(again.ID(), k.ID(), err)
	}
	if name, err := identity.ParseTimedKeyID(k.ID().String()); err != nil || name != k.ID() {
		t.Fatal(name, err)
	}
	for _, s := range []string{"", "0", strings.Repeat("0", 64), strings.Repeat("A", 64), k.ID().String() + "0"} {
		if _, err := identity.ParseTimedKeyID(s); !errors.Is(err, identity.ErrTimedKeyID) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for i, want := range map[int]error{0: identity.ErrKEMKey, 1184: identity.ErrKEMKey} { // unreduced coefficients; the point of order one
		bad := bytes.Clone(public)
		for j := range 32 {
			bad[i+j] = map[int]byte{0: 0xff, 1184: 0}[i]
		}
		if _, err := identity.ParseTimedPublic(bad); !errors.Is(err, want) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if _, err := identity.ParseTimedPublic(public[1:]); !errors.Is(err, identity.ErrKeySize) {
		t.Error(err)
	}
	if _, err := identity.NewTimedKey(strings.NewReader("too short")); err == nil {
		t.Error("a key from nine bytes")
	}
	wrapped, err := k.Public().Wrap([]byte("lease 1"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap([]byte("lease 1"), wrapped); err != nil || string(got) != "key" {
		t.Errorf("%q, %v", got, err)
	}
	for name, c := range map[string]struct {
		key  *identity.TimedKey
		info string
		data []byte
	}{"another start": {timedKey(t, 8), "lease 1", wrapped}, "another purpose": {k, "lease 2", wrapped}, "cut": {k, "lease 1", wrapped[1:]},
		"empty": {k, "lease 1", nil}} {
		if _, err := c.key.Unwrap([]byte(c.info), c.data); !errors.Is(err, identity.ErrUnwrap) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *identity.TimedKey
	if _, err := none.Unwrap(nil, wrapped); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
	if _, err := none.Public().Wrap(nil, nil); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
	if _, err := none.Public().MarshalBinary(); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
	if _, err := none.Decapsulate(make([]byte, identity.KEMCiphertextSize)); !errors.Is(err, identity.ErrNoKEM) || !none.ID().IsZero() {
		t.Error(err)
	}
	if _, _, err := none.Public().Encapsulate(nil); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
	asJSON, err := json.Marshal(map[string]any{"key": k})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %d %x %q", k, k, *k, k, k, *k, k) + string(asJSON)
	if secret := fmt.Sprintf("%x", bytes.Repeat([]byte{7}, 32)); strings.Contains(text, secret) || strings.Contains(text, "7 7 7") {
		t.Error("it prints its seed")
	}
	if !strings.Contains(text, "redacted") || !strings.Contains(text, k.ID().String()[:8]) {
		t.Error("neither redacted nor named")
	}
}

func TestWrap(t *testing.T) {
	k, plain := seeded(t, identity.RoleGate, 1), []byte("sixteen byte key")
	w, err := identity.Wrap(k.Public(), []byte("lease 1"), plain)
	if err != nil || len(w) != len(plain)+identity.WrapOverhead {
		t.Fatal(len(w), err)
	}
	if got, err := k.Unwrap([]byte("lease 1"), w); err != nil || !bytes.Equal(got, plain) {
		t.Fatal(got, err)
	}
	bad := func(i int) []byte { b := bytes.Clone(w); b[i] ^= 1; return b }
	cases := []struct {
		name string
		key  *identity.Private
		info string
		data []byte
	}{
		{"another purpose", k, "lease 2", w}, {"another key", beaconOnce(), "lease 1", w}, {"first byte", k, "lease 1", bad(0)},
		{"last byte", k, "lease 1", bad(len(w) - 1)}, {"cut", k, "lease 1", w[:len(w)-1]}, {"empty", k, "lease 1", nil},
	}
	for _, c := range cases {
		if _, err := c.key.Unwrap([]byte(c.info), c.data); !errors.Is(err, identity.ErrUnwrap) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := identity.Wrap(coreOnce().Public(), nil, plain); !errors.Is(err, identity.ErrNoKEM) {
		t.Error(err)
	}
}

// No way of printing a private key shows a byte of its seed.
func TestSecretsAreNotPrintable(t *testing.T) {
	seed := [32]byte(bytes.Repeat([]byte{0xa7}, 32))
	k, err := identity.FromSeed(identity.RoleCore, seed)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Key    *identity.Private
		Value  identity.Private
		hidden identity.Private
		deep   *identity.Private
	}
	h := holder{k, *k, *k, k}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		for _, v := range []any{k, *k, h, &h, []any{k, *k}, map[string]any{"k": *k}, h.hidden, h.deep} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("key", "k", k, "v", *k, "h", h, "hp", &h, "any", []any{k})
	}
	for _, v := range []any{k, *k, h, map[string]any{"k": k}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	text := strings.ToLower(out.String())
	for _, leak := range []string{"a7a7", "167 167", "167, 167", "0xa7, 0xa7", string(bytes.Repeat([]byte{0xa7}, 4))} {
		if strings.Contains(text, leak) {
			t.Errorf("%q appears in the output", leak)
		}
	}
	if !strings.Contains(text, "redacted") || !strings.Contains(text, k.ID().Short()) {
		t.Error("neither redacted nor named")
	}
}

// Cutting the same bytes into parts differently, or another domain, is another hash.
func TestHashIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes")
		i, j := rapid.IntRange(0, len(b)).Draw(t, "i"), rapid.IntRange(0, len(b)).Draw(t, "j")
		one, two := identity.Hash("d", b[:i], b[i:]), identity.Hash("d", b[:j], b[j:])
		if (one == two) != (i == j) || identity.Hash("d", b) == one || identity.Hash("e", b[:i], b[i:]) == one {
			t.Fatal(hex.EncodeToString(b), i, j)
		}
	})
}
