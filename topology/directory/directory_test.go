package directory_test

import (
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const (
	now    int64 = 1_800_000_000_000_000_000
	second int64 = 1_000_000_000
	day          = 86_400 * second
)

func key(t testing.TB, role identity.Role, n int) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{byte(n), byte(n >> 8)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// entry returns a good beacon n at the place.
func entry(t testing.TB, n int, at earth.LatLon, domains ...string) directory.Beacon {
	t.Helper()
	return directory.Beacon{
		Key: key(t, identity.RoleBeacon, n).Public(), Place: "Somewhere", Position: at.ECEF(100).Millimetres(), PosUncMM: 2000,
		Domains: domains, Address: "beacon" + string(rune('a'+n%26)) + string(rune('a'+n/26)) + ".example:4433",
		Attest:          []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
		NotBeforeUnixNS: now - day, ExpiresUnixNS: now + 30*day,
	}
}

// draft returns a good directory with the given number of beacons.
func draft(t testing.TB, n int) *directory.Directory {
	d := &directory.Directory{
		Epoch: 7, IssuedUnixNS: now - second, ExpiresUnixNS: now + day,
		Gates:       []identity.Public{key(t, identity.RoleGate, 1).Public(), key(t, identity.RoleGate, 2).Public()},
		Appraisers:  []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
		AttestRoots: []directory.AttestRoot{{Platform: "sim", Key: []byte("root")}},
	}
	for i := range n {
		d.Beacons = append(d.Beacons, entry(t, i, earth.LatLon{Lat: 50, Lon: float64(i)}, "operator:"+string(rune('a'+i))))
	}
	d.Quarantine = []directory.Quarantine{{Beacon: d.Beacons[0].ID(), SinceUnixNS: now - second, Reason: "moved"}}
	d.Sort()
	return d
}

func roots(t testing.TB) ([]*identity.Private, []identity.Public) {
	var keys []*identity.Private
	var publics []identity.Public
	for i := range 3 {
		k := key(t, identity.RoleDirectory, i)
		keys, publics = append(keys, k), append(publics, k.Public())
	}
	return keys, publics
}

func TestSignAndVerify(t *testing.T) {
	keys, publics := roots(t)
	in := draft(t, 3)
	data, err := directory.Sign(in, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Verify(data, publics, 2, now); !errors.Is(err, directory.ErrTooFewSigners) {
		t.Fatal(err)
	}
	if data, err = directory.AddSignatures(data, keys[2]); err != nil {
		t.Fatal(err)
	}
	d, err := directory.Verify(data, publics, 2, now)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Verified() || d.Hash() == [32]byte{} || d.Epoch != 7 || in.Verified() || in.Hash() != [32]byte{} {
		t.Fatal(d, in)
	}
	for _, b := range in.Beacons {
		if got, ok := d.Lookup(b.ID()); !ok || got.Address != b.Address || !got.Key.Equal(b.Key) {
			t.Fatal(got, ok)
		}
		if _, ok := in.Lookup(b.ID()); ok {
			t.Fatal("a draft vouches for a beacon")
		}
	}
	if _, ok := d.Lookup(identity.ID{}); ok {
		t.Fatal("nobody is a beacon")
	}
	if _, ok := d.Gate(in.Gates[1].ID()); !ok {
		t.Fatal("gate not found")
	}
	if _, ok := d.Appraiser(in.Appraisers[0].ID()); !ok {
		t.Fatal("appraiser not found")
	}
	if q, out := d.Quarantined(in.Quarantine[0].Beacon); !out || q.Reason != "moved" {
		t.Fatal(q, out)
	}
	if _, out := in.Quarantined(in.Beacons[1].ID()); !out {
		t.Fatal("a draft vouches for a beacon")
	}
}
