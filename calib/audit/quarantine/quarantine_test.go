package quarantine_test

import (
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/audit/quarantine"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const (
	now int64 = 1_800_000_000_000_000_000
	day int64 = 86_400_000_000_000
)

func key(t *testing.T, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, d *directory.Directory) *directory.Directory {
	t.Helper()
	root := key(t, identity.RoleDirectory, 9)
	data, err := directory.Sign(d, root)
	if err != nil {
		t.Fatal(err)
	}
	back, err := directory.Verify(data, []identity.Public{root.Public()}, 1, d.IssuedUnixNS)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func constellation(t *testing.T) *directory.Directory {
	d := &directory.Directory{Epoch: 3, IssuedUnixNS: now, ExpiresUnixNS: now + day,
		Gates:       []identity.Public{key(t, identity.RoleGate, 1).Public()},
		Appraisers:  []identity.Public{key(t, identity.RoleAppraiser, 1).Public()},
		AttestRoots: []directory.AttestRoot{{Platform: "sim", Key: []byte("root")}}}
	for n := range byte(3) {
		d.Beacons = append(d.Beacons, directory.Beacon{
			Key: key(t, identity.RoleBeacon, n).Public(), Place: "Somewhere", Position: earth.LatLon{Lat: 50, Lon: float64(n)}.ECEF(100).Millimetres(),
			PosUncMM: 2000, Domains: []string{"operator:" + string(rune('a'+n))}, Address: "beacon" + string(rune('a'+n)) + ".example:4433",
			Attest:          []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
			NotBeforeUnixNS: now - day, ExpiresUnixNS: now + 30*day})
	}
	d.Sort()
	return signed(t, d)
}

// The whole life of a quarantine: convicted, out of service under signature, still out after an audit that found nothing, lifted by a
// person.
func TestConvictedToLifted(t *testing.T) {
	first := constellation(t)
	liar, suspect := first.Beacons[0].ID(), first.Beacons[1].ID()
	r := audit.Report{Speed: "fibre",
		Convicted: []audit.Accused{{ID: liar.String(), Contradictions: 12}, {ID: "wp220"}},
		Suspected: []audit.Accused{{ID: suspect.String(), PosUncKM: 25}}}

	draft, unknown, err := quarantine.Next(first, r, now+day/2)
	if err != nil || len(unknown) != 1 || unknown[0] != "wp220" {
		t.Fatalf("unknown %v, error %v; want wp220 unknown", unknown, err)
	}
	if raised := quarantine.Widen(draft, r); raised != 1 {
		t.Errorf("%d uncertainties raised, want 1", raised)
	}
	second := signed(t, draft)
	if q, out := second.Quarantined(liar); !out || second.Epoch != 4 || q.SinceUnixNS != now+day/2 {
		t.Errorf("epoch %d: the convicted is out %v since %d", second.Epoch, out, q.SinceUnixNS)
	}
	if b, _ := second.Lookup(suspect); b.PosUncMM != 25_000_000 {
		t.Errorf("the suspected has an uncertainty of %d mm, want 25 km", b.PosUncMM)
	}
	if quarantine.Widen(draft, audit.Report{Suspected: []audit.Accused{{ID: suspect.String(), PosUncKM: 1}}}) != 0 {
		t.Error("an uncertainty was lowered")
	}

	draft, _, err = quarantine.Next(second, audit.Report{}, now+day)
	if err != nil {
		t.Fatal(err)
	}
	third := signed(t, draft)
	if q, out := third.Quarantined(liar); !out || q.SinceUnixNS != now+day/2 {
		t.Errorf("after an audit that found nothing the convicted is out %v since %d", out, q.SinceUnixNS)
	}

	draft, err = quarantine.Lift(third, liar, now+day)
	if err != nil {
		t.Fatal(err)
	}
	if _, out := signed(t, draft).Quarantined(liar); out {
		t.Error("the quarantine was lifted, but the beacon is still out")
	}
	if _, err := quarantine.Lift(third, suspect, now); !errors.Is(err, quarantine.ErrNotIn) {
		t.Errorf("lifting what is not there: %v", err)
	}
}

func TestOnlyFromAVerifiedDirectory(t *testing.T) {
	for name, d := range map[string]*directory.Directory{"none": nil, "a draft": {}} {
		if _, _, err := quarantine.Next(d, audit.Report{}, now); !errors.Is(err, quarantine.ErrNotVerified) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := quarantine.Lift(d, identity.ID{}, now); !errors.Is(err, quarantine.ErrNotVerified) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
