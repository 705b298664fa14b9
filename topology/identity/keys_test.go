package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// edPoint is an affine point of the curve; addition by the formula of RFC 8032 §5.1.4's source, with two inversions.
type edPoint struct{ x, y *big.Int }

func edAdd(a, b edPoint) edPoint {
	mod := func(n *big.Int) *big.Int { return n.Mod(n, edP) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	k := mul(edD, mul(mul(a.x, b.x), mul(a.y, b.y)))
	one := big.NewInt(1)
	x := mod(new(big.Int).Add(mul(a.x, b.y), mul(b.x, a.y)))
	y := mod(new(big.Int).Add(mul(a.y, b.y), mul(a.x, b.x)))
	x = mul(x, new(big.Int).ModInverse(mod(new(big.Int).Add(one, k)), edP))
	y = mul(y, new(big.Int).ModInverse(mod(new(big.Int).Sub(one, k)), edP))
	return edPoint{x, y}
}

// lift finds a point with this y, if there is one.
func lift(y *big.Int) (edPoint, bool) {
	y2 := new(big.Int).Mul(y, y)
	num := new(big.Int).Sub(y2, big.NewInt(1))
	den := new(big.Int).Mul(edD, y2)
	den.Add(den, big.NewInt(1)).Mod(den, edP)
	num.Mul(num, den.ModInverse(den, edP)).Mod(num, edP)
	x := new(big.Int).ModSqrt(num, edP)
	return edPoint{x, y}, x != nil
}

// The table of small-order points is exactly the set of y whose points times eight are the identity: each of the table's are, and
// there are eight such points in all (the curve's cofactor), 1 + 1 + 2 + 2 + 2.
func TestSmallOrderTable(t *testing.T) {
	count := 0
	for _, y := range smallOrderY {
		p, ok := lift(y)
		if !ok {
			t.Fatalf("y = %x is off the curve", y)
		}
		count++
		if p.x.Sign() != 0 {
			count++
		}
		for range 3 {
			p = edAdd(p, p)
		}
		if p.x.Sign() != 0 || p.y.Cmp(big.NewInt(1)) != 0 {
			t.Errorf("y = %x times 8 is not the identity", y)
		}
	}
	if count != 8 {
		t.Fatalf("%d points, want 8", count)
	}
}

func encodeY(y *big.Int, sign byte) []byte {
	b := y.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	b[31] |= sign << 7
	return b
}

// wire returns the parts of a good identity for one test to spoil.
func wire(t testing.TB, role Role) publicWire {
	k, err := FromSeed(role, [32]byte{4})
	if err != nil {
		t.Fatal(err)
	}
	p := k.s().public.p
	return publicWire{Suite, role, bytes.Clone(p.ed25519), bytes.Clone(p.mldsa), bytes.Clone(p.kem)}
}

func TestParsePublicRefuses(t *testing.T) {
	type refused struct {
		name  string
		want  error
		spoil func(*publicWire)
	}
	cases := []refused{
		{"another suite", ErrSuite, func(w *publicWire) { w.Suite = 2 }},
		{"no suite", ErrSuite, func(w *publicWire) { w.Suite = 0 }},
		{"unknown role", ErrRole, func(w *publicWire) { w.Role = "emperor" }},
		{"role without KEM, with a KEM key", ErrKeySize, func(w *publicWire) { w.Role = RolePolicy }},
		{"KEM key missing", ErrKeySize, func(w *publicWire) { w.KEM = nil }},
		{"KEM key short", ErrKeySize, func(w *publicWire) { w.KEM = w.KEM[1:] }},
		{"ed25519 key long", ErrKeySize, func(w *publicWire) { w.Ed25519 = append(w.Ed25519, 0) }},
		{"ml-dsa key short", ErrKeySize, func(w *publicWire) { w.MLDSA65 = w.MLDSA65[1:] }},
		{"ml-dsa key missing", ErrKeySize, func(w *publicWire) { w.MLDSA65 = nil }},
		{"KEM key unreduced", ErrKEMKey, func(w *publicWire) { w.KEM[0], w.KEM[1] = 0xff, 0xff }},
		{"KEM's X25519 of small order", ErrKEMKey, func(w *publicWire) { clear(w.KEM[1184:]) }},
		{"ed25519 y = p", ErrNonCanonical, func(w *publicWire) { w.Ed25519 = encodeY(edP, 0) }},
		{"ed25519 y = p + 1", ErrNonCanonical, func(w *publicWire) {
			w.Ed25519 = encodeY(new(big.Int).Add(edP, big.NewInt(1)), 1)
		}},
		{"ed25519 all ones", ErrNonCanonical, func(w *publicWire) { w.Ed25519 = bytes.Repeat([]byte{0xff}, 32) }},
		{"ed25519 y = 2", ErrOffCurve, func(w *publicWire) { w.Ed25519 = encodeY(big.NewInt(2), 0) }},
	}
	for _, y := range smallOrderY {
		for _, sign := range []byte{0, 1} {
			cases = append(cases, refused{"small order " + y.Text(16), ErrSmallOrder, func(w *publicWire) {
				w.Ed25519 = encodeY(y, sign)
			}})
		}
	}
	for _, c := range cases {
		w := wire(t, RoleGate)
		c.spoil(&w)
		data, err := canon.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePublic(data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := ParsePublic(make([]byte, MaxPublicSize+1)); !errors.Is(err, canon.ErrTooLarge) {
		t.Error(err)
	}
}

// The check on Ed25519 keys refuses no honest key.
func TestHonestEd25519Keys(t *testing.T) {
	for i := range 200 {
		pk := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, 32))[32:]
		if err := checkEd25519(pk); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
	}
}

// Why small-order keys must be refused: with the identity as public key, one signature fits every message.
func TestSmallOrderKeyWouldVerifyAnything(t *testing.T) {
	pk := encodeY(big.NewInt(1), 0)
	sig := append(encodeY(big.NewInt(1), 0), make([]byte, 32)...) // R = identity, S = 0
	for _, m := range []string{"one", "another"} {
		if !ed25519.Verify(pk, []byte(m), sig) {
			t.Fatal("the standard library has begun to refuse small-order keys; the check may be dropped")
		}
	}
}

// Halves of two identities make a third, whose id is neither's.
func TestMixedHalves(t *testing.T) {
	a, b := wire(t, RoleGate), wire(t, RoleGate)
	other, err := FromSeed(RoleGate, [32]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	b.MLDSA65 = other.s().public.p.mldsa
	mixed, err := newPublic(b.Role, b.Ed25519, b.MLDSA65, b.KEM)
	if err != nil {
		t.Fatal(err)
	}
	if mixed.ID() == idOf(a.Role, a.Ed25519, a.MLDSA65, a.KEM) || mixed.ID() == other.ID() {
		t.Fatal("a mixed identity has an honest id")
	}
	e, err := Seal(other, TypeProof, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(mixed, TypeProof); !errors.Is(err, ErrSigner) {
		t.Fatal(err)
	}
	e.Signer = mixed.ID()
	if _, err := e.Open(mixed, TypeProof); !errors.Is(err, ErrEd25519) {
		t.Fatal(err)
	}
}

// The id's framing: each part counts.
func TestIDCoversEveryPart(t *testing.T) {
	w := wire(t, RoleGate)
	ids := map[ID]string{idOf(w.Role, w.Ed25519, w.MLDSA65, w.KEM): "honest"}
	flip := func(b []byte) []byte { c := bytes.Clone(b); c[len(c)-1] ^= 1; return c }
	for name, id := range map[string]ID{
		"role":    idOf(RoleLock, w.Ed25519, w.MLDSA65, w.KEM),
		"ed25519": idOf(w.Role, flip(w.Ed25519), w.MLDSA65, w.KEM),
		"ml-dsa":  idOf(w.Role, w.Ed25519, flip(w.MLDSA65), w.KEM),
		"x-wing":  idOf(w.Role, w.Ed25519, w.MLDSA65, flip(w.KEM)),
		"no kem":  idOf(w.Role, w.Ed25519, w.MLDSA65, nil),
	} {
		if was, ok := ids[id]; ok {
			t.Errorf("%s has the id of %s", name, was)
		}
		ids[id] = name
	}
}

// A bad key inside another object is refused with the same error as alone.
func TestKeyInsideObject(t *testing.T) {
	type holder struct {
		Key Public `cbor:"1,keyasint"`
	}
	w := wire(t, RoleGate)
	w.Ed25519 = encodeY(big.NewInt(1), 0)
	key, err := canon.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	data, err := canon.Marshal(map[int][]byte{1: key})
	if err != nil {
		t.Fatal(err)
	}
	var h holder
	if err := canon.Unmarshal(data, &h, MaxPublicSize); !errors.Is(err, ErrSmallOrder) {
		t.Fatal(err)
	}
	if _, err := canon.Marshal(holder{}); !errors.Is(err, ErrNoKey) {
		t.Fatal(err)
	}
}

// Keys, signatures and the root cache may be used from many goroutines.
func TestConcurrentUse(t *testing.T) {
	k, err := FromSeed(RoleGate, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := SealBatch(k, TypeReport, [][]byte{{1}, {2}, {3}, {4}})
	if err != nil {
		t.Fatal(err)
	}
	timed, err := NewTimedKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cache := NewRootCache(1)
	done := make(chan error)
	for _, e := range batch {
		go func() {
			_, err := cache.Open(e, k.Public(), TypeReport)
			sig, err2 := k.Sign(TypeReport, e.Payload)
			ct, secret, err3 := timed.Public().Encapsulate(nil)
			got, err4 := timed.Decapsulate(ct)
			if !bytes.Equal(got, secret) {
				err = errors.New("secrets differ")
			}
			done <- errors.Join(err, err2, err3, err4, k.Public().Verify(TypeReport, e.Payload, sig))
		}()
	}
	for range batch {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
