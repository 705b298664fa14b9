package statement_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const (
	now    int64 = 1_800_000_000_000_000_000
	second int64 = 1_000_000_000
)

// scene is one honest run: four beacons of which the challenge asks three, a gate, a core, and what each of them signed.
type scene struct {
	t          testing.TB
	gate, core *identity.Private
	timed      *identity.TimedKey  // the core's
	beacons    []*identity.Private // ascending by id; the last is not asked
	roots      []*identity.Private
	draft      directory.Directory
	dir        *directory.Directory
	challenge  statement.Challenge
	envelope   identity.Envelope // of the challenge
	asked      statement.Asked
	results    [][]byte
}

// keys are made once: deriving them is what takes time.
var sceneKeys = sync.OnceValue(func() map[identity.Role][]*identity.Private {
	m := make(map[identity.Role][]*identity.Private)
	for role, n := range map[identity.Role]int{identity.RoleBeacon: 4, identity.RoleGate: 2, identity.RoleCore: 2,
		identity.RoleDirectory: 1} {
		for i := range n {
			k, err := identity.FromSeed(role, [32]byte{byte(i), 0x55})
			if err != nil {
				panic(err)
			}
			m[role] = append(m[role], k)
		}
	}
	return m
})

// timedKey is the timed key of a seed.
func timedKey(t testing.TB, seed byte) *identity.TimedKey {
	t.Helper()
	k, err := identity.NewTimedKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newScene builds the run; change may alter the directory's draft before it is signed.
func newScene(t testing.TB, change func(*directory.Directory)) *scene {
	t.Helper()
	keys := sceneKeys()
	s := &scene{t: t, timed: timedKey(t, 7), gate: keys[identity.RoleGate][0], core: keys[identity.RoleCore][0], roots: keys[identity.RoleDirectory],
		results: [][]byte{[]byte("result of the core"), []byte("result of the beacons")}}
	places := []earth.LatLon{{Lat: 50.11, Lon: 8.68}, {Lat: 52.37, Lon: 4.9}, {Lat: 48.86, Lon: 2.35}, {Lat: 35.68, Lon: 139.69}}
	s.draft = directory.Directory{Epoch: 7, IssuedUnixNS: now - 100*second, ExpiresUnixNS: now + 1000*second,
		Gates: []identity.Public{keys[identity.RoleGate][0].Public(), keys[identity.RoleGate][1].Public()}}
	for i, k := range keys[identity.RoleBeacon] {
		s.draft.Beacons = append(s.draft.Beacons, directory.Beacon{
			Key: k.Public(), Place: "place " + string(rune('A'+i)), Position: places[i].ECEF(120).Millimetres(), PosUncMM: 3000,
			Domains: []string{"operator:" + string(rune('a'+i)), "site:" + string(rune('a'+i))},
			Address: "10.0.0." + string(rune('1'+i)) + ":4433", NotBeforeUnixNS: now - 1000*second, ExpiresUnixNS: now + 1000*second,
			Attest: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
		})
	}
	s.draft.Sort()
	for _, b := range s.draft.Beacons {
		for _, k := range keys[identity.RoleBeacon] {
			if k.ID() == b.ID() {
				s.beacons = append(s.beacons, k)
			}
		}
	}
	if change != nil {
		change(&s.draft)
	}
	s.dir = s.publish(s.draft)
	s.challenge = statement.Challenge{Core: s.core.ID(), NonceG: [32]byte{9}, PolicyHash: [32]byte{8}, DirectoryEpoch: s.dir.Epoch,
		DirectoryHash: s.dir.Hash(), IssuedUnixNS: now - 2*second, TTLNS: 30 * second, RoundsMin: 8, RoundsMax: 64}
	for _, b := range s.beacons[:3] {
		s.challenge.Committee = append(s.challenge.Committee, b.ID())
	}
	s.ask()
	return s
}

func (s *scene) publish(d directory.Directory) *directory.Directory {
	s.t.Helper()
	data, err := directory.Sign(&d, s.roots...)
	if err != nil {
		s.t.Fatal(err)
	}
	var publics []identity.Public
	for _, k := range s.roots {
		publics = append(publics, k.Public())
	}
	dir, err := directory.Verify(data, publics, len(publics), now)
	if err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// ask signs and verifies the challenge.
func (s *scene) ask() {
	s.t.Helper()
	var err error
	if s.envelope, err = s.challenge.Seal(s.gate); err != nil {
		s.t.Fatal(err)
	}
	if s.asked, err = statement.VerifyChallenge(s.envelope, s.dir, now); err != nil {
		s.t.Fatal(err)
	}
}

// statement returns beacon i's honest statement.
func (s *scene) statement(i int) statement.Statement {
	b := s.draft.Beacons[i]
	return statement.Statement{
		Version: statement.Version, Kind: statement.KindExchange, Suite: identity.Suite,
		Flags: statement.FlagKernelStamps, Beacon: b.ID(), Core: s.core.ID(), ChallengeHash: s.asked.Hash(),
		SessionID: [16]byte{1, byte(i)}, ExporterHash: [32]byte{2, byte(i)}, TranscriptHash: [32]byte{3, byte(i)},
		PreviousProof: statement.FirstProof(s.core.ID()), PositionMM: b.Position, PosUncMM: b.PosUncMM, DirectoryEpoch: s.dir.Epoch,
		Domains: b.Domains, StartUnixNS: now - second, EndUnixNS: now - second/2, RoundsSent: 32, RoundsOK: 30,
		RTTBeaconMinNS: 1_000_000 + int64(i), RTTCoreMinNS: 1_010_000, RTTBeaconP10NS: 1_020_000, RTTBeaconP50NS: 1_100_000,
		RTTBeaconP90NS: 2_000_000, TimerGranularityNS: 50, TimerErrorPPB: 1000, PayloadLen: 64,
		BeaconResult: statement.HashResult(s.results[1]), CoreResult: statement.HashResult(s.results[0]), TimedKey: s.timed.ID(), NotAfterUnixNS: now + 60*second,
	}
}

func (s *scene) context() statement.Context {
	return statement.Context{Directory: s.dir, Asked: s.asked, Core: s.core.Public(), PreviousProof: statement.FirstProof(s.core.ID()),
		NowUnixNS: now}
}

func (s *scene) expect() statement.Expect {
	return statement.Expect{Directory: s.dir, Gate: s.gate.ID(), Core: s.core.ID(), NonceG: s.challenge.NonceG,
		PolicyHash: s.challenge.PolicyHash, PreviousProof: statement.FirstProof(s.core.ID()), NowUnixNS: now}
}

// sign signs a payload as the given beacon, whatever it says.
func (s *scene) sign(beacon *identity.Private, payload []byte) identity.Envelope {
	s.t.Helper()
	e, err := identity.Seal(beacon, identity.TypeStatement, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// signed returns beacon i's honest statement, signed.
func (s *scene) signed(i int) identity.Envelope {
	s.t.Helper()
	payload, err := s.statement(i).Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.sign(s.beacons[i], payload)
}

// proof returns the honest proof, unsigned.
func (s *scene) proof() statement.Proof {
	return statement.Proof{TimedKey: s.timed.Public(), Challenge: s.envelope, Statements: []identity.Envelope{s.signed(0), s.signed(1), s.signed(2)},
		Results: s.results, PreviousProof: statement.FirstProof(s.core.ID()), MadeUnixNS: now - second/4}
}

func (s *scene) seal(p statement.Proof) []byte {
	s.t.Helper()
	data, _, err := p.Seal(s.core)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}
