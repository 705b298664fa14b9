package revoke_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func good() revoke.List {
	l := revoke.List{Version: revoke.Version, Epoch: 3, IssuedUnixNS: 100, ExpiresUnixNS: 200, Entries: []revoke.Entry{
		{Kind: revoke.Tenant, Name: "acme", Reason: "did not pay"}, {Kind: revoke.Region, Name: "FR", Reason: "talks"},
		{Kind: revoke.Core, Name: strings.Repeat("0a", 32), Reason: "stolen"}, {Kind: revoke.Region, Name: "CH", Reason: "talks"}}}
	l.Sort()
	return l
}

func TestSignedListComesBack(t *testing.T) {
	k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	authors := quorum.Authors{Keys: []identity.Public{k.Public()}, Threshold: 1}
	b, err := revoke.Sign(good(), k)
	if err != nil {
		t.Fatal(err)
	}
	l, err := revoke.Open(b, authors, 150)
	if err != nil || !reflect.DeepEqual(l, good()) {
		t.Fatalf("%+v %v", l, err)
	}
	for _, now := range []int64{99, 200} {
		if _, err := revoke.Open(b, authors, now); !errors.Is(err, revoke.ErrPeriod) {
			t.Errorf("at %d: %v", now, err)
		}
	}
	if e, ok := l.NamesBytes(revoke.Core, bytes.Repeat([]byte{10}, 32)); !ok || e.Reason != "stolen" {
		t.Error(e, ok)
	}
	if _, ok := l.Names(revoke.Tenant, "acm"); ok {
		t.Error("found what is not there")
	}
	if _, ok := (revoke.List{}).Names(revoke.Fleet, "all"); ok {
		t.Error("the zero list names something")
	}
	if got := l.Permit("EU27+CH"); got != "(EU27+CH) - (CH) - (FR)" {
		t.Error(got)
	} else if _, err := atlas.Parse(got, atlas.Options{}); err != nil {
		t.Error(err)
	}
}

func TestListRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*revoke.List)
		want error
	}{
		"no epoch":          {func(l *revoke.List) { l.Epoch = 0 }, revoke.ErrEpoch},
		"another version":   {func(l *revoke.List) { l.Version = 2 }, revoke.ErrVersion},
		"ends at once":      {func(l *revoke.List) { l.ExpiresUnixNS = 100 }, revoke.ErrPeriod},
		"order":             {func(l *revoke.List) { l.Entries[0], l.Entries[1] = l.Entries[1], l.Entries[0] }, revoke.ErrOrder},
		"twice":             {func(l *revoke.List) { l.Entries[1] = l.Entries[0] }, revoke.ErrOrder},
		"unknown kind":      {func(l *revoke.List) { l.Entries = []revoke.Entry{{Kind: "moon", Name: "x"}} }, revoke.ErrEntry},
		"a core by name":    {func(l *revoke.List) { l.Entries = []revoke.Entry{{Kind: revoke.Core, Name: "x"}} }, revoke.ErrEntry},
		"capital digits":    {func(l *revoke.List) { l.Entries = []revoke.Entry{{Kind: revoke.Core, Name: strings.Repeat("0A", 32)}} }, revoke.ErrEntry},
		"half of the fleet": {func(l *revoke.List) { l.Entries = []revoke.Entry{{Kind: revoke.Fleet, Name: "half"}} }, revoke.ErrEntry},
		"nobody's tenant":   {func(l *revoke.List) { l.Entries = []revoke.Entry{{Kind: revoke.Tenant}} }, revoke.ErrEntry},
		"too many":          {func(l *revoke.List) { l.Entries = make([]revoke.Entry, revoke.MaxEntries+1) }, revoke.ErrTooMany},
	} {
		l := good()
		tt.do(&l)
		if _, err := l.Encode(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := good().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := revoke.Decode(b); err == nil {
			if again, err := l.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("two encodings: %v", err)
			}
		}
	})
}
