package directory

import (
	"errors"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

const (
	testNow    int64 = 1_800_000_000_000_000_000
	testSecond int64 = 1_000_000_000
)

func testKey(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n, 0x44})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testDraft(t testing.TB) *Directory {
	t.Helper()
	d := &Directory{Epoch: 3, IssuedUnixNS: testNow, ExpiresUnixNS: testNow + 100*testSecond,
		Gates:       []identity.Public{testKey(t, identity.RoleGate, 1).Public(), testKey(t, identity.RoleGate, 2).Public()},
		Appraisers:  []identity.Public{testKey(t, identity.RoleAppraiser, 1).Public(), testKey(t, identity.RoleAppraiser, 2).Public()},
		AttestRoots: []AttestRoot{{"sim", []byte{1}}, {"sim", []byte{2}}, {"tpm", []byte{1}}}}
	for i := range byte(3) {
		d.Beacons = append(d.Beacons, Beacon{Key: testKey(t, identity.RoleBeacon, i).Public(), Place: "Zürich", PosUncMM: 1000,
			Position: earth.LatLon{Lat: 47, Lon: float64(i)}.ECEF(400).Millimetres(), Domains: []string{"op:a", "site:b"},
			Address: "192.0.2." + string('1'+rune(i)) + ":4433", NotBeforeUnixNS: testNow, ExpiresUnixNS: testNow + 50*testSecond,
			Attest: []Expectation{{Platform: "sim", Measurements: [][]byte{{1}, {2}}, MinTCB: 1}, {Platform: "tpm", Measurements: [][]byte{{1}}, Machines: [][32]byte{{7}, {8}}}}})
	}
	d.Sort()
	d.Quarantine = []Quarantine{{d.Beacons[0].ID(), testNow, "moved"}, {d.Beacons[1].ID(), testNow, "moved"}}
	return d
}

// signRaw signs a payload that Sign would refuse.
func signRaw(t testing.TB, data []byte, keys ...*identity.Private) []byte {
	t.Helper()
	s := signed{Payload: data}
	out, err := s.add(keys)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every rule of the content, broken alone by signers who sign it nevertheless; Sign refuses it as well.
func TestRulesRefuse(t *testing.T) {
	root := testKey(t, identity.RoleDirectory, 1)
	roots := []identity.Public{root.Public()}
	long := strings.Repeat("x", MaxName+1)
	cases := []struct {
		name  string
		want  error
		spoil func(*Directory)
	}{
		{"honest", nil, func(*Directory) {}},
		{"epoch 0", ErrEpoch, func(d *Directory) { d.Epoch = 0 }},
		{"expires at once", ErrLifetime, func(d *Directory) { d.ExpiresUnixNS = d.IssuedUnixNS }},
		{"issued before time", ErrLifetime, func(d *Directory) { d.IssuedUnixNS = -1 << 63 }},
		{"no beacon", ErrNoBeacons, func(d *Directory) { d.Beacons, d.Quarantine = nil, nil }},
		{"unsorted beacons", ErrOrder, func(d *Directory) { d.Beacons[0], d.Beacons[1] = d.Beacons[1], d.Beacons[0] }},
		{"beacon twice", ErrDuplicateBeacon, func(d *Directory) { d.Beacons[1] = d.Beacons[0] }},
		{"address twice", ErrDuplicateAddress, func(d *Directory) { d.Beacons[1].Address = d.Beacons[0].Address }},
		{"a core as beacon", ErrKeyRole, func(d *Directory) {
			d.Beacons = d.Beacons[:1]
			d.Beacons[0].Key = testKey(t, identity.RoleCore, 1).Public()
		}},
		{"no place", ErrName, func(d *Directory) { d.Beacons[0].Place = "" }},
		{"place of two lines", ErrName, func(d *Directory) { d.Beacons[0].Place = "a\nb" }},
		{"place too long", ErrName, func(d *Directory) { d.Beacons[0].Place = long }},
		{"below the Earth", ErrPosition, func(d *Directory) { d.Beacons[0].Position = [3]int64{6_000_000_000, 0, 0} }},
		{"no position", ErrPosition, func(d *Directory) { d.Beacons[0].Position = [3]int64{} }},
		{"position overflows", ErrPosition, func(d *Directory) { d.Beacons[0].Position[1] = -1 << 63 }},
		{"no uncertainty", ErrNoUncertainty, func(d *Directory) { d.Beacons[0].PosUncMM = 0 }},
		{"absurd uncertainty", ErrUncertainty, func(d *Directory) { d.Beacons[0].PosUncMM = 1 << 63 }},
		{"no domain", ErrNoDomain, func(d *Directory) { d.Beacons[0].Domains = nil }},
		{"domain twice", ErrDuplicateEntry, func(d *Directory) { d.Beacons[0].Domains = []string{"a", "a"} }},
		{"domains unsorted", ErrOrder, func(d *Directory) { d.Beacons[0].Domains = []string{"b", "a"} }},
		{"domain of two words", ErrName, func(d *Directory) { d.Beacons[0].Domains = []string{"a b"} }},
		{"too many domains", ErrTooMany, func(d *Directory) { d.Beacons[0].Domains = make([]string, MaxDomains+1) }},
		{"no port", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "host" }},
		{"port 0", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "host:0" }},
		{"port 65536", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "host:65536" }},
		{"port 04433", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "host:04433" }},
		{"IPv6 without brackets", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "2001:db8::1:4433" }},
		{"a word in brackets", ErrAddress, func(d *Directory) { d.Beacons[0].Address = "[a:b]:4433" }},
		{"no host", ErrAddress, func(d *Directory) { d.Beacons[0].Address = ":4433" }},
		{"host too long", ErrAddress, func(d *Directory) { d.Beacons[0].Address = long + ":1" }},
		{"beacon without lifetime", ErrBeaconLifetime, func(d *Directory) { d.Beacons[0].ExpiresUnixNS = d.Beacons[0].NotBeforeUnixNS }},
		{"beacon before time", ErrBeaconLifetime, func(d *Directory) { d.Beacons[0].NotBeforeUnixNS = 0 }},
		{"no expectation", ErrExpectation, func(d *Directory) { d.Beacons[0].Attest = nil }},
		{"no measurement", ErrExpectation, func(d *Directory) { d.Beacons[0].Attest = []Expectation{{Platform: "sim", MinTCB: 1}} }},
		{"empty measurement", ErrExpectation, func(d *Directory) { d.Beacons[0].Attest = []Expectation{{Platform: "sim", Measurements: [][]byte{{}}}} }},
		{"machine twice", ErrDuplicateEntry, func(d *Directory) { d.Beacons[0].Attest[1].Machines = [][32]byte{{7}, {7}} }},
		{"measurement twice", ErrDuplicateEntry, func(d *Directory) {
			d.Beacons[0].Attest = []Expectation{{Platform: "sim", Measurements: [][]byte{{1}, {1}}}}
		}},
		{"platform twice", ErrDuplicateEntry, func(d *Directory) { d.Beacons[0].Attest[1].Platform = "sim" }},
		{"no platform", ErrName, func(d *Directory) { d.Beacons[0].Attest[0].Platform = "" }},
		{"gate of another role", ErrKeyRole, func(d *Directory) { d.Gates[0] = testKey(t, identity.RoleCore, 1).Public() }},
		{"gate twice", ErrDuplicateEntry, func(d *Directory) { d.Gates[1] = d.Gates[0] }},
		{"gates unsorted", ErrOrder, func(d *Directory) { d.Gates[0], d.Gates[1] = d.Gates[1], d.Gates[0] }},
		{"appraiser of another role", ErrKeyRole, func(d *Directory) { d.Appraisers[0] = testKey(t, identity.RoleGate, 1).Public() }},
		{"appraisers unsorted", ErrOrder, func(d *Directory) { d.Appraisers[0], d.Appraisers[1] = d.Appraisers[1], d.Appraisers[0] }},
		{"quarantine of a stranger", ErrUnknownQuarantine, func(d *Directory) { d.Quarantine[0].Beacon = identity.ID{} }},
		{"quarantine without reason", ErrName, func(d *Directory) { d.Quarantine[0].Reason = "" }},
		{"quarantine twice", ErrDuplicateEntry, func(d *Directory) { d.Quarantine[1] = d.Quarantine[0] }},
		{"quarantine unsorted", ErrOrder, func(d *Directory) { d.Quarantine[0], d.Quarantine[1] = d.Quarantine[1], d.Quarantine[0] }},
		{"empty root", ErrAttestRoot, func(d *Directory) { d.AttestRoots[0].Key = nil }},
		{"huge root", ErrAttestRoot, func(d *Directory) { d.AttestRoots[0].Key = make([]byte, MaxBlob+1) }},
		{"root without platform", ErrName, func(d *Directory) { d.AttestRoots[0].Platform = "" }},
		{"roots unsorted", ErrOrder, func(d *Directory) { d.AttestRoots[0], d.AttestRoots[1] = d.AttestRoots[1], d.AttestRoots[0] }},
		{"root twice", ErrDuplicateEntry, func(d *Directory) { d.AttestRoots[1] = d.AttestRoots[0] }},
	}
	for _, c := range cases {
		d := testDraft(t)
		c.spoil(d)
		if _, err := Sign(d, root); !errors.Is(err, c.want) {
			t.Errorf("%s: Sign: got %v, want %v", c.name, err, c.want)
		}
		data, err := d.encode()
		if err != nil {
			t.Fatal(c.name, err)
		}
		out := signRaw(t, data, root)
		if _, err := Verify(out, roots, 1, testNow); !errors.Is(err, c.want) {
			t.Errorf("%s: Verify: got %v, want %v", c.name, err, c.want)
		}
		if _, _, err := Decode(out); !errors.Is(err, c.want) {
			t.Errorf("%s: Decode: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	a, b, c, stranger := testKey(t, identity.RoleDirectory, 1), testKey(t, identity.RoleDirectory, 2), testKey(t, identity.RoleDirectory, 3), testKey(t, identity.RoleDirectory, 4)
	roots := []identity.Public{a.Public(), b.Public(), c.Public()}
	good, err := Sign(testDraft(t), a, b)
	if err != nil {
		t.Fatal(err)
	}
	alter := func(change func(*signed)) []byte {
		var s signed
		if err := canon.Unmarshal(good, &s, MaxSize); err != nil {
			t.Fatal(err)
		}
		change(&s)
		out, err := canon.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	recode := func(change func(*payload)) []byte {
		var s signed
		var p payload
		if canon.Unmarshal(good, &s, MaxSize) != nil || canon.Unmarshal(s.Payload, &p, MaxSize) != nil {
			t.Fatal("undecodable")
		}
		change(&p)
		data, err := canon.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return signRaw(t, data, a, b)
	}
	strange, err := AddSignatures(good, stranger)
	if err != nil {
		t.Fatal(err)
	}
	one, err := Sign(testDraft(t), a)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name      string
		data      []byte
		roots     []identity.Public
		threshold int
		now       int64
		want      []error
	}{
		{"honest", good, roots, 2, testNow, []error{nil}},
		{"in its last nanosecond", good, roots, 2, testNow + 100*testSecond - 1, []error{nil}},
		{"expired", good, roots, 2, testNow + 100*testSecond, []error{ErrExpired}},
		{"within the skew", good, roots, 2, testNow - int64(MaxClockSkew), []error{nil}},
		{"not yet valid", good, roots, 2, testNow - int64(MaxClockSkew) - 1, []error{ErrNotYetValid}},
		{"clock at the beginning of time", good, roots, 2, -1 << 63, []error{ErrNotYetValid}},
		{"one of two", one, roots, 2, testNow, []error{ErrTooFewSigners}},
		{"nobody signed", signRaw(t, alterPayload(t, good)), roots, 1, testNow, []error{ErrTooFewSigners}},
		{"threshold 0", good, roots, 0, testNow, []error{ErrThreshold}},
		{"threshold above roots", good, roots, 4, testNow, []error{ErrThreshold}},
		{"root twice", good, []identity.Public{a.Public(), a.Public()}, 1, testNow, []error{ErrRoots}},
		{"root of another role", good, []identity.Public{testKey(t, identity.RoleGate, 1).Public()}, 1, testNow, []error{ErrRoots}},
		{"signed by a stranger too", strange, roots, 2, testNow, []error{ErrUnknownSigner}},
		{"signature flipped, first half", alter(func(s *signed) { s.Signatures[0].Signature[0] ^= 1 }), roots, 1, testNow, []error{ErrSignature, identity.ErrEd25519}},
		{"signature flipped, second half", alter(func(s *signed) { s.Signatures[1].Signature[99] ^= 1 }), roots, 1, testNow, []error{ErrSignature, identity.ErrMLDSA65}},
		{"one signature for two names", alter(func(s *signed) { s.Signatures[1].Signature = s.Signatures[0].Signature }), roots, 2, testNow, []error{ErrSignature}},
		{"one signer twice", alter(func(s *signed) { s.Signatures[1] = s.Signatures[0] }), roots, 2, testNow, []error{ErrDuplicateEntry}},
		{"signatures unsorted", alter(func(s *signed) { s.Signatures[0], s.Signatures[1] = s.Signatures[1], s.Signatures[0] }), roots, 2, testNow, []error{ErrOrder}},
		{"payload flipped", alter(func(s *signed) { s.Payload[50] ^= 1 }), roots, 2, testNow, []error{ErrSignature}},
		{"65 signatures", alter(func(s *signed) { s.Signatures = make([]signature, 65) }), roots, 2, testNow, []error{ErrTooMany}},
		{"version", recode(func(p *payload) { p.Version = 2 }), roots, 2, testNow, []error{ErrVersion}},
		{"suite", recode(func(p *payload) { p.Suite = 2 }), roots, 2, testNow, []error{identity.ErrSuite}},
		{"trailing byte", append(good[:len(good):len(good)], 0), roots, 2, testNow, []error{ErrDecode, canon.ErrTrailing}},
		{"empty", nil, roots, 2, testNow, []error{ErrDecode}},
	}
	for _, c := range cases {
		d, err := Verify(c.data, c.roots, c.threshold, c.now)
		for _, want := range c.want {
			if !errors.Is(err, want) || d.Verified() != (want == nil) {
				t.Errorf("%s: got %v, want %v", c.name, err, want)
			}
		}
	}
	if _, err := Sign(testDraft(t), testKey(t, identity.RoleGate, 1)); !errors.Is(err, ErrKeyRole) {
		t.Error("a gate signs:", err)
	}
	if _, err := Sign(testDraft(t), a, a); !errors.Is(err, ErrDuplicateEntry) {
		t.Error("one key signs twice:", err)
	}
}

// alterPayload returns the payload of an encoded directory.
func alterPayload(t testing.TB, data []byte) []byte {
	t.Helper()
	s, err := decodeSigned(data)
	if err != nil {
		t.Fatal(err)
	}
	return s.Payload
}

func TestVerifyNext(t *testing.T) {
	root := testKey(t, identity.RoleDirectory, 1)
	roots := []identity.Public{root.Public()}
	publish := func(change func(*Directory)) []byte {
		d := testDraft(t)
		change(d)
		data, err := Sign(d, root)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	current, err := Verify(publish(func(*Directory) {}), roots, 1, testNow)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Directory)
		want   error
	}{
		{"the same again", func(*Directory) {}, nil},
		{"next epoch", func(d *Directory) { d.Epoch++ }, nil},
		{"older epoch", func(d *Directory) { d.Epoch-- }, ErrOldEpoch},
		{"same epoch, other content", func(d *Directory) { d.Quarantine = nil }, ErrEquivocation},
	} {
		d, err := VerifyNext(current, publish(c.change), roots, 1, testNow)
		if !errors.Is(err, c.want) || d.Verified() != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := VerifyNext(testDraft(t), publish(func(*Directory) {}), roots, 1, testNow); !errors.Is(err, ErrUnverified) {
		t.Error(err)
	}
	if err := (*Directory)(nil).ValidAt(testNow); !errors.Is(err, ErrUnverified) {
		t.Error(err)
	}
}

// The signature of the content is not malleable into another directory hash: signatures added or removed leave it as it is.
func TestHashIgnoresSignatures(t *testing.T) {
	a, b := testKey(t, identity.RoleDirectory, 1), testKey(t, identity.RoleDirectory, 2)
	roots := []identity.Public{a.Public(), b.Public()}
	one, err := Sign(testDraft(t), a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := AddSignatures(one, b)
	if err != nil {
		t.Fatal(err)
	}
	d1, err1 := Verify(one, roots, 1, testNow)
	d2, err2 := Verify(two, roots, 2, testNow)
	if err1 != nil || err2 != nil || d1.Hash() != d2.Hash() {
		t.Fatal(err1, err2)
	}
}

func FuzzVerify(f *testing.F) {
	root := testKey(f, identity.RoleDirectory, 1)
	roots := []identity.Public{root.Public()}
	good, err := Sign(testDraft(f), root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, alterPayload(f, good))
	f.Add([]byte{0xa0}, []byte{0xa0})
	f.Fuzz(func(t *testing.T, data, content []byte) {
		if d, err := Verify(data, roots, 1, testNow); err == nil && d.Epoch != 3 {
			t.Fatal("forged")
		}
		d, err := signed{Payload: content}.content()
		if err != nil {
			return
		}
		again, err := d.encode()
		if err != nil || string(again) != string(content) {
			t.Fatalf("content has two encodings: %v", err)
		}
		d.seal(content)
		for _, b := range d.Beacons {
			if got, ok := d.Lookup(b.ID()); !ok || got.Address != b.Address {
				t.Fatal("a listed beacon is not found")
			}
		}
		_, _ = d.Committee(Selection{Claim: d.Beacons[0].ECEF(), Metro: 1, Random: 1, NowUnixNS: d.IssuedUnixNS})
	})
}
