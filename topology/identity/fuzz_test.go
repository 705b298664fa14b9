package identity

import (
	"bytes"
	"testing"
)

func FuzzParsePublic(f *testing.F) {
	for _, role := range []Role{RoleGate, RoleCore, RoleDirectory} {
		k, err := FromSeed(role, [32]byte{1})
		if err != nil {
			f.Fatal(err)
		}
		b, err := k.Public().MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePublic(data)
		if err != nil {
			return
		}
		if again, err := p.MarshalBinary(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("two encodings of one key")
		}
		if p.Verify(TypeProof, data, make([]byte, SignatureSize)) == nil {
			t.Fatal("a zero signature verifies")
		}
		if _, err := Wrap(p, nil, data); (err == nil) != p.Role().HasKEM() {
			t.Fatal(err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	k, err := FromSeed(RoleCore, [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	signed := map[string]bool{"one": true, "two": true, "three": true}
	batch, err := SealBatch(k, TypeReport, [][]byte{[]byte("one"), []byte("two"), []byte("three")})
	if err != nil {
		f.Fatal(err)
	}
	single, err := Seal(k, TypeReport, []byte("one"))
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range append(batch, single) {
		b, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	cache := NewRootCache(4)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEnvelope(data, 1<<16)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("two encodings of one envelope")
		}
		if payload, err := cache.Open(e, k.Public(), TypeReport); err == nil && !signed[string(payload)] {
			t.Fatalf("forged: %q", payload)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	k, err := FromSeed(RoleGate, [32]byte{6})
	if err != nil {
		f.Fatal(err)
	}
	b, err := sealKey(k, WithPassphrase([]byte("x")), bytes.NewReader(make([]byte, 56)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := decodeKeyFile(data); err == nil && (h.LogN > scryptMaxLogN || h.Version != keyVersion) {
			t.Fatal("a costly or unknown file passes")
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	k, err := FromSeed(RoleGate, [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	timed, err := NewTimedKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	w, err := Wrap(k.Public(), nil, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(w)
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := k.Unwrap(nil, data); err == nil && string(got) != "secret" {
			t.Fatalf("forged: %q", got)
		}
		if _, err := timed.Decapsulate(data); (err == nil) != (len(data) == KEMCiphertextSize) {
			t.Fatal(err)
		}
	})
}

func FuzzTimedPublic(f *testing.F) {
	k, err := NewTimedKey(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Public().Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseTimedPublic(data)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Bytes(), data) || p.ID().IsZero() {
			t.Fatal("another key than was read")
		}
		if _, _, err := p.Encapsulate(nil); err != nil {
			t.Fatal(err)
		}
	})
}
