// Package stage is a small constellation in memory on which a gate can be played
// against: real keys, a real signed directory, real statements, proofs and
// attestation results of the simulated platform. Only the round trips are not
// measured but computed from where a core is said to be. Nothing of it is random:
// two processes that set the same stage have the same keys and the same
// directory, so that one can be a gate and the other one its cores.
//
// What it believes: whatever it is told; it is for tests and benchmarks. Its keys
// follow from a number, so nothing that guards anything may be made of them.
package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Audience is the constellation's name.
const Audience = "granttest"

// Places of the beacons.
var Places = []struct {
	Name string
	At   earth.LatLon
}{
	{"Berlin, DE", earth.LatLon{Lat: 52.52, Lon: 13.41}}, {"Hamburg, DE", earth.LatLon{Lat: 53.55, Lon: 9.99}},
	{"Munich, DE", earth.LatLon{Lat: 48.14, Lon: 11.58}}, {"Cologne, DE", earth.LatLon{Lat: 50.94, Lon: 6.96}},
	{"Kassel, DE", earth.LatLon{Lat: 51.31, Lon: 9.48}}, {"Erfurt, DE", earth.LatLon{Lat: 50.98, Lon: 11.03}},
	{"Tokyo, JP", earth.LatLon{Lat: 35.68, Lon: 139.69}}, {"Boston, US", earth.LatLon{Lat: 42.36, Lon: -71.06}},
}

// Middle is a place that these beacons prove to be in Germany.
var Middle = earth.LatLon{Lat: 51.30, Lon: 9.60}

// Stage is the constellation. Its methods may be called at once, for different
// cores.
type Stage struct {
	GateKey   *identity.Private
	Roots     []*identity.Private // of the directory
	Published []byte              // the signed directory
	Directory *directory.Directory
	Beacons   map[identity.ID]*identity.Private
	Policy    policy.Policy // DefaultPolicy

	seed      uint64
	at        time.Time
	appraiser *attest.Appraiser
	simRoot   *identity.Private

	mu      sync.Mutex
	results map[string][]byte // attestation results, made once
}

// Core is a core with what it remembers.
type Core struct {
	Key   *identity.Private
	Timed *identity.TimedKey
	At    earth.LatLon // where it truly is
	Chain [32]byte     // hash of its last granted proof
	Lock  lock.State
	Chip  [32]byte
}

// DefaultPolicy permits Germany to the simulated platform from an hour before an
// instant on.
func DefaultPolicy(at time.Time) policy.Policy {
	now := at.UnixNano()
	return policy.Policy{Name: "test", Version: 1, Permit: "DE", Speed: "vacuum", F: new(uint64(0)), MinDomains: new(uint64(3)),
		MinStatements: new(uint64(3)), MaxAgeMS: new(uint64(30_000)), VMaxMMPS: new(uint64(350_000)), Timing: policy.TimingBoth,
		Attest:   []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
		MaxUnits: new(uint64(5_000)), TOffMS: new(uint64(20_000)), LeaseTTLMS: new(uint64(60_000)),
		NotBeforeUnixNS: new(now - int64(time.Hour)), NotAfterUnixNS: new(now + 1000*int64(time.Hour)), Audience: Audience}
}

// New sets a stage: the same seed and instant give the same one.
func New(seed uint64, at time.Time) (*Stage, error) {
	s := &Stage{seed: seed, at: at, Beacons: map[identity.ID]*identity.Private{}, results: map[string][]byte{}, Policy: DefaultPolicy(at)}
	var err error
	if s.GateKey, err = s.key(identity.RoleGate, 0); err != nil {
		return nil, err
	}
	if s.simRoot, err = s.key(identity.RoleSimRoot, 0); err != nil {
		return nil, err
	}
	return s, s.publish()
}

// key is the n-th of a role.
func (s *Stage) key(role identity.Role, n uint64) (*identity.Private, error) {
	var seed [identity.SeedSize]byte
	copy(seed[:], "stage")
	binary.BigEndian.PutUint64(seed[8:], s.seed)
	binary.BigEndian.PutUint64(seed[16:], n)
	return identity.FromSeed(role, seed)
}

func (s *Stage) publish() error {
	now := s.at.UnixNano()
	appraiser, err := s.key(identity.RoleAppraiser, 0)
	if err != nil {
		return err
	}
	expect := []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}}
	root, err := s.simRoot.Public().MarshalBinary()
	if err != nil {
		return err
	}
	d := directory.Directory{Epoch: 1, IssuedUnixNS: now - int64(time.Hour), ExpiresUnixNS: now + 1000*int64(time.Hour),
		Gates: []identity.Public{s.GateKey.Public()}, Appraisers: []identity.Public{appraiser.Public()},
		AttestRoots: []directory.AttestRoot{{Platform: "sim", Key: root}}}
	for i, p := range Places {
		k, err := s.key(identity.RoleBeacon, uint64(i))
		if err != nil {
			return err
		}
		s.Beacons[k.ID()] = k
		d.Beacons = append(d.Beacons, directory.Beacon{Key: k.Public(), Place: p.Name, Position: p.At.ECEF(100).Millimetres(),
			PosUncMM: 3000, Domains: []string{fmt.Sprintf("operator:%d", i)}, Address: fmt.Sprintf("192.0.2.%d:4433", i+1),
			Attest: expect, NotBeforeUnixNS: now - int64(time.Hour), ExpiresUnixNS: now + 1000*int64(time.Hour)})
	}
	d.Sort()
	signer, err := s.key(identity.RoleDirectory, 0)
	if err != nil {
		return err
	}
	s.Roots = []*identity.Private{signer}
	if s.Published, err = directory.Sign(&d, s.Roots...); err != nil {
		return err
	}
	if s.Directory, err = directory.Verify(s.Published, []identity.Public{signer.Public()}, 1, now); err != nil {
		return err
	}
	verifier, err := attest.NewSimVerifier(s.simRoot.Public())
	if err != nil {
		return err
	}
	s.appraiser, err = attest.NewAppraiser(attest.AppraiserConfig{Key: appraiser, Policy: attest.Policy{Accept: expect},
		Audience: Audience, Verifiers: []attest.Verifier{verifier}})
	return err
}

// NewCore makes the n-th core on a chip, not enrolled anywhere yet.
func (s *Stage) NewCore(n uint64, at earth.LatLon, chip [32]byte) (*Core, error) {
	k, err := s.key(identity.RoleCore, n)
	if err != nil {
		return nil, err
	}
	timed, err := timedKeyOf(k.ID())
	if err != nil {
		return nil, err
	}
	l, err := lock.Boot(lock.Config{ID: k.ID(), Cap: 1 << 40})
	if err != nil {
		return nil, err
	}
	return &Core{Key: k, Timed: timed, At: at, Chip: chip, Chain: statement.FirstProof(k.ID()), Lock: l}, nil
}

// timedKeyOf is the timed key of a core: always the same, so that a process
// that is killed finds it again.
func timedKeyOf(id identity.ID) (*identity.TimedKey, error) {
	seed := identity.Hash("stage timed key", id[:])
	return identity.NewTimedKey(bytes.NewReader(seed[:]))
}

// Result is a signed attestation result about a machine of the simulated
// platform.
func (s *Stage) Result(subject identity.ID, chip [32]byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := string(subject[:]) + string(chip[:])
	if r, ok := s.results[name]; ok {
		return r, nil
	}
	timed, err := timedKeyOf(subject)
	if err != nil {
		return nil, err
	}
	nonce := [32]byte{1}
	now := s.at.UnixNano()
	m := attest.SimMachine{Root: s.simRoot, Measurement: []byte{1}, TCB: 1, Machine: chip, NowUnixNS: func() int64 { return now }}
	ev, err := attest.Collect(context.Background(), m, attest.Binding{Subject: subject, TimedKey: timed.ID(), Nonce: nonce})
	if err != nil {
		return nil, err
	}
	res, err := s.appraiser.Appraise(ev, attest.Want{Subject: subject, Nonce: nonce, NowUnixNS: now})
	if err != nil {
		return nil, err
	}
	s.results[name] = res
	return res, nil
}
