package ledger_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func grant() ledger.Leaf {
	return ledger.Leaf{Version: ledger.Version, Kind: ledger.KindGrant, AtUnixMS: 1, Units: 5, PolicyHash: [32]byte{1}, Epoch: 2,
		Object: [32]byte{3}, Commitment: [32]byte{4}, NotAfterMS: 9}
}

func TestLeaves(t *testing.T) {
	change := func(f func(*ledger.Leaf)) ledger.Leaf { l := grant(); f(&l); return l }
	for _, tt := range []struct {
		name string
		l    ledger.Leaf
		want error
	}{
		{"grant", grant(), nil},
		{"policy", ledger.Leaf{Version: 1, Kind: ledger.KindPolicy, AtUnixMS: 1, PolicyHash: [32]byte{1}, Object: [32]byte{1}}, nil},
		{"directory", ledger.Leaf{Version: 1, Kind: ledger.KindDirectory, AtUnixMS: 1, Epoch: 4, Object: [32]byte{1}}, nil},
		{"revocation", ledger.Leaf{Version: 1, Kind: ledger.KindRevocation, AtUnixMS: 1, Object: [32]byte{1}}, nil},
		{"deposit", ledger.Leaf{Version: 1, Kind: ledger.KindDeposit, AtUnixMS: 1, Units: 5, Object: [32]byte{1}, NotBeforeMS: 9}, nil},
		{"burn", ledger.Leaf{Version: 1, Kind: ledger.KindBurn, AtUnixMS: 1, Units: 5, Object: [32]byte{1}}, nil},
		{"burn of nothing", ledger.Leaf{Version: 1, Kind: ledger.KindBurn, AtUnixMS: 1, Object: [32]byte{1}}, ledger.ErrField},
		{"burn that waits", ledger.Leaf{Version: 1, Kind: ledger.KindBurn, AtUnixMS: 1, Units: 5, Object: [32]byte{1}, NotBeforeMS: 9}, ledger.ErrField},
		{"grant on a burn", change(func(l *ledger.Leaf) { l.Burn = new(uint64(3)) }), nil},
		{"unknown kind", change(func(l *ledger.Leaf) { l.Kind = "gift" }), ledger.ErrKind},
		{"unknown version", change(func(l *ledger.Leaf) { l.Version = 2 }), ledger.ErrKind},
		{"grant of nothing", change(func(l *ledger.Leaf) { l.Units = 0 }), ledger.ErrField},
		{"grant without end", change(func(l *ledger.Leaf) { l.NotAfterMS = 1 }), ledger.ErrField},
		{"grant without commitment", change(func(l *ledger.Leaf) { l.Commitment = [32]byte{} }), ledger.ErrField},
		{"revocation with units", change(func(l *ledger.Leaf) { l.Kind = ledger.KindRevocation }), ledger.ErrField},
	} {
		b, err := tt.l.Encode()
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		if back, err := ledger.Decode(b); err != nil || !reflect.DeepEqual(back, tt.l) {
			t.Errorf("%s: %+v %v", tt.name, back, err)
		}
	}
}

func TestCommitmentHides(t *testing.T) {
	a := ledger.Commit([32]byte{1}, identity.ID{1}, [32]byte{1})
	for _, b := range [][32]byte{ledger.Commit([32]byte{2}, identity.ID{1}, [32]byte{1}),
		ledger.Commit([32]byte{1}, identity.ID{2}, [32]byte{1}), ledger.Commit([32]byte{1}, identity.ID{1}, [32]byte{2})} {
		if a == b {
			t.Fatal("two openings of one commitment")
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := grant().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := ledger.Decode(b); err == nil {
			if again, err := l.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("two encodings: %v", err)
			}
		}
	})
}
