package quorum_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const kind = identity.TypePolicy

var payload = []byte("what they sign")

func TestAuthors(t *testing.T) {
	var keys []*identity.Private
	var pubs []identity.Public
	for i := range byte(4) {
		k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{i + 1})
		if err != nil {
			t.Fatal(err)
		}
		keys, pubs = append(keys, k), append(pubs, k.Public())
	}
	pubs = pubs[:3] // the fourth is a stranger
	sign := func(k ...*identity.Private) []byte {
		b, err := quorum.Sign(kind, payload, k...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	flipped := sign(keys[0], keys[1])
	flipped[len(flipped)-1] ^= 1
	for _, tt := range []struct {
		name  string
		claim []byte
		j     int
		want  error
	}{
		{"two of three", sign(keys[0], keys[2]), 2, nil},
		{"one of three", sign(keys[0]), 2, quorum.ErrThreshold},
		{"none", sign(), 1, quorum.ErrAuthors},
		{"one who signs twice", sign(keys[0], keys[0]), 2, quorum.ErrTwice},
		{"a stranger", sign(keys[0], keys[3]), 2, quorum.ErrAuthor},
		{"a bad signature", flipped, 1, quorum.ErrSignature},
		{"no threshold", sign(keys[0]), 0, quorum.ErrThreshold},
		{"rubbish", []byte("rubbish"), 1, quorum.ErrEncoding},
	} {
		got, err := quorum.Open(kind, tt.claim, quorum.Authors{Keys: pubs, Threshold: tt.j}, 1000)
		if !errors.Is(err, tt.want) || err == nil && !bytes.Equal(got, payload) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	added, err := quorum.Add(kind, sign(keys[0]), 1000, keys[2])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := quorum.Open(kind, added, quorum.Authors{Keys: pubs, Threshold: 2}, 1000); err != nil || !bytes.Equal(got, payload) {
		t.Errorf("one after the other: %v", err)
	}
	if _, err := quorum.Add(kind, added, 1000, keys[2]); !errors.Is(err, quorum.ErrTwice) {
		t.Errorf("the same author again: %v", err)
	}
	if _, err := quorum.Add(kind, []byte("rubbish"), 1000, keys[2]); !errors.Is(err, quorum.ErrEncoding) {
		t.Errorf("rubbish: %v", err)
	}
	if _, err := quorum.Open("revocation", sign(keys[0]), quorum.Authors{Keys: pubs, Threshold: 1}, 1000); !errors.Is(err, quorum.ErrSignature) {
		t.Errorf("signed in another context: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	b, err := quorum.Sign(kind, payload, k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := quorum.Open(kind, b, quorum.Authors{Keys: []identity.Public{k.Public()}, Threshold: 1}, 1000)
		if err == nil && !bytes.Equal(got, payload) {
			t.Fatal("bytes that nobody signed")
		}
	})
}
