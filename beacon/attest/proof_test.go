package attest_test

import (
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// exchanged says which results the statement of beacon n names.
type exchanged struct {
	n            byte
	beacon, core []byte
}

// prove runs the road up to a verified proof whose statements name the given results.
func prove(t *testing.T, d *directory.Directory, exchanges ...exchanged) *statement.Verified {
	t.Helper()
	gate, core := key(t, identity.RoleGate, 1), key(t, identity.RoleCore, 1)
	envelope, err := statement.Challenge{Core: core.ID(), NonceG: [32]byte{1}, PolicyHash: [32]byte{2}, DirectoryEpoch: d.Epoch,
		DirectoryHash: d.Hash(), Committee: []identity.ID{d.Beacons[0].ID(), d.Beacons[1].ID()}, IssuedUnixNS: now, TTLNS: 30 * second,
		RoundsMin: 8, RoundsMax: 64}.Seal(gate)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := statement.VerifyChallenge(envelope, d, now)
	if err != nil {
		t.Fatal(err)
	}
	p := statement.Proof{TimedKey: timed.Public(), Challenge: envelope, PreviousProof: statement.FirstProof(core.ID()), MadeUnixNS: now}
	for _, x := range exchanges {
		p.Statements = append(p.Statements, exchange(t, d, asked, core, x))
		p.Results = append(p.Results, x.beacon, x.core)
	}
	encoded, _, err := p.Seal(core)
	if err != nil {
		t.Fatal(err)
	}
	expect, err := statement.Expecting(encoded, d, now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := statement.VerifyProof(encoded, expect)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// exchange lets a beacon sign one statement.
func exchange(t *testing.T, d *directory.Directory, asked statement.Asked, core *identity.Private, x exchanged) identity.Envelope {
	t.Helper()
	beacon := key(t, identity.RoleBeacon, x.n)
	b, _ := d.Lookup(beacon.ID())
	payload, err := statement.Statement{Beacon: beacon.ID(), Core: core.ID(), ChallengeHash: asked.Hash(), SessionID: [16]byte{x.n},
		ExporterHash: [32]byte{1}, TranscriptHash: [32]byte{1}, PreviousProof: statement.FirstProof(core.ID()), PositionMM: b.Position,
		PosUncMM: b.PosUncMM, DirectoryEpoch: d.Epoch, Domains: b.Domains, StartUnixNS: now, EndUnixNS: now + 1, RoundsSent: 8, RoundsOK: 8,
		RTTBeaconMinNS: 1, RTTCoreMinNS: 1, RTTBeaconP10NS: 1, RTTBeaconP50NS: 1, RTTBeaconP90NS: 1, TimerGranularityNS: 1, TimerErrorPPB: 1,
		PayloadLen: 64, BeaconResult: statement.HashResult(x.beacon), CoreResult: statement.HashResult(x.core), TimedKey: timed.ID(), NotAfterUnixNS: now + second}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := identity.Seal(beacon, identity.TypeStatement, payload)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestProofResults(t *testing.T) {
	d := constellation(t)
	beacon, core := key(t, identity.RoleBeacon, 1).ID(), key(t, identity.RoleCore, 1).ID()
	good := machine(t, attesttest.Variation{})
	beaconResult, coreResult := affirm(t, d, beacon, good), affirm(t, d, core, good)
	accept := attest.Policy{Accept: []directory.Expectation{expectation}}
	v := prove(t, d, exchanged{1, beaconResult, coreResult})
	p, err := attest.VerifyProof(v, d, accept, "test", now)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Simulated() || p.Core.Result().Subject != core || p.Beacons[beacon].Result().Subject != beacon {
		t.Fatalf("%+v", p)
	}
	if _, err := attest.VerifyProof(v, d, attest.Policy{}, "test", now); !errors.Is(err, attest.ErrSim) {
		t.Error("simulated core in production:", err)
	}
	if _, err := attest.VerifyProof(v, d, accept, "prod", now); !errors.Is(err, attest.ErrAudience) {
		t.Error("another constellation:", err)
	}
	if _, err := attest.VerifyProof(v, d, accept, "test", now+3601*second); !errors.Is(err, attest.ErrResultExpired) {
		t.Error("expired:", err)
	}
	if _, err := attest.VerifyProof(prove(t, d, exchanged{1, coreResult, coreResult}), d, accept, "test", now); !errors.Is(err, attest.ErrSubject) {
		t.Error("the core's result as the beacon's:", err)
	}
	if _, err := attest.VerifyProof(prove(t, d, exchanged{1, []byte("nothing"), coreResult}), d, accept, "test", now); !errors.Is(err, attest.ErrResult) {
		t.Error("no result:", err)
	}
	other, elsewhere := key(t, identity.RoleBeacon, 2).ID(), machine(t, attesttest.Variation{})
	elsewhere.Machine = [32]byte{8}
	otherResult := affirm(t, d, other, good)
	if _, err := attest.VerifyProof(prove(t, d, exchanged{1, beaconResult, coreResult}, exchanged{2, otherResult, coreResult}), d, accept, "test", now); err != nil {
		t.Error("two beacons:", err)
	}
	clone := prove(t, d, exchanged{1, beaconResult, coreResult}, exchanged{2, otherResult, affirm(t, d, core, elsewhere)})
	if _, err := attest.VerifyProof(clone, d, accept, "test", now); !errors.Is(err, attest.ErrTwoMachines) {
		t.Error("one core on two machines:", err)
	}
	for name, other := range map[string]identity.TimedKeyID{"another start of the core": {6}, "no timed key attested": {}} {
		stolen := affirmStart(t, d, attest.Binding{Subject: core, TimedKey: other, Nonce: nonce}, good)
		for _, v := range []*statement.Verified{prove(t, d, exchanged{1, beaconResult, stolen}),
			prove(t, d, exchanged{1, beaconResult, coreResult}, exchanged{2, otherResult, stolen})} {
			if _, err := attest.VerifyProof(v, d, accept, "test", now); !errors.Is(err, attest.ErrTimedKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := attest.VerifyProof(nil, d, accept, "test", now); !errors.Is(err, attest.ErrWant) {
		t.Error("no proof:", err)
	}
}

// TestVouched: a beacon encapsulates to a core's timed key when an appraiser of its directory vouches for this key of this core, for this
// constellation, now. Which code runs, sim included, is for the gate to say.
func TestVouched(t *testing.T) {
	d := constellation(t)
	core := key(t, identity.RoleCore, 1).ID()
	good := affirm(t, d, core, machine(t, attesttest.Variation{}))
	vouched := attest.Vouched("test")
	for range 2 { // the second time by memory
		if err := vouched(d, core, timed.ID(), good, now); err != nil {
			t.Fatal(err)
		}
	}
	flipped := append([]byte{}, good...)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"another core":          {vouched(d, identity.ID{9}, timed.ID(), good, now), attest.ErrSubject},
		"another timed key":     {vouched(d, core, identity.TimedKeyID{6}, good, now), attest.ErrTimedKey},
		"no timed key":          {vouched(d, core, identity.TimedKeyID{}, good, now), attest.ErrTimedKey},
		"expired":               {vouched(d, core, timed.ID(), good, now+3601*second), attest.ErrResultExpired},
		"flipped":               {vouched(d, core, timed.ID(), flipped, now), attest.ErrResultSignature},
		"no result":             {vouched(d, core, timed.ID(), []byte("core result"), now), attest.ErrResult},
		"another constellation": {attest.Vouched("prod")(d, core, timed.ID(), good, now), attest.ErrAudience},
		"no directory":          {vouched(nil, core, timed.ID(), good, now), attest.ErrDirectory},
		"a beacon's, which names none": {vouched(d, core, identity.TimedKeyID{},
			affirmStart(t, d, attest.Binding{Subject: core, Nonce: nonce}, machine(t, attesttest.Variation{})), now), attest.ErrTimedKey},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
}
