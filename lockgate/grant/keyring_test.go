package grant

import (
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// TestKeyring: the key is the account's, also when another account comes with the
// same id, and the ring does not grow without end.
func TestKeyring(t *testing.T) {
	var k keyring
	key := func(n byte) []byte {
		p, err := identity.FromSeed(identity.RoleCore, [identity.SeedSize]byte{n})
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Public().MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := key(1), key(2)
	for _, b := range [][]byte{one, one, two, one} {
		got, err := k.parse(store.Account{Core: [32]byte{1}, Public: b})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := got.MarshalBinary(); err != nil || string(back) != string(b) {
			t.Fatalf("another key: %v", err)
		}
	}
	if _, err := k.parse(store.Account{Core: [32]byte{1}, Public: []byte("no key")}); err == nil {
		t.Fatal("rubbish was parsed")
	}
	for i := range keyringSize + 10 {
		if _, err := k.parse(store.Account{Core: [32]byte{2, byte(i), byte(i >> 8)}, Public: one}); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.keys) > keyringSize {
		t.Fatalf("%d keys", len(k.keys))
	}
}
