// Package granttest is a small constellation with a gate, for tests of whatever
// stands on grants: real keys, a real signed directory, real statements, proofs
// and attestation results of the simulated platform. Only the round trips are
// not measured but computed from where the core is said to be.
package granttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
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

// Scene is the constellation.
type Scene struct {
	T         testing.TB
	Gate      *grant.Gate
	GateKey   *identity.Private
	Roots     []*identity.Private // of the directory
	Published []byte              // the signed directory
	Directory *directory.Directory
	Beacons   map[identity.ID]*identity.Private
	Store     store.Store
	Policy    policy.Policy
	Core      *Core
	appraiser *attest.Appraiser
	results   map[string][]byte // attestation results, made once
	simRoot   *identity.Private
}

// Core is a core with what it remembers.
type Core struct {
	Key   *identity.Private
	At    earth.LatLon // where it truly is
	Chain [32]byte     // hash of its last granted proof
	Lock  lock.State
	Chip  [32]byte
}

// Option changes a scene before its gate is made.
type Option func(*settings)

type settings struct {
	policy func(*policy.Policy)
	gate   func(*grant.Config)
	store  store.Options
	path   string
}

// WithPolicy changes the policy.
func WithPolicy(f func(*policy.Policy)) Option { return func(s *settings) { s.policy = f } }

// WithGate changes the gate's configuration.
func WithGate(f func(*grant.Config)) Option { return func(s *settings) { s.gate = f } }

// WithStore sets the store's options and its file; an empty path means a new one.
func WithStore(path string, o store.Options) Option {
	return func(s *settings) { s.path, s.store = path, o }
}

// New makes a scene with one enrolled core in Middle and a budget of a million
// units.
func New(t testing.TB, options ...Option) *Scene {
	t.Helper()
	set := settings{path: filepath.Join(t.TempDir(), "gate.db")}
	for _, o := range options {
		o(&set)
	}
	s := &Scene{T: t, Beacons: map[identity.ID]*identity.Private{}, results: map[string][]byte{}}
	s.GateKey, s.simRoot = s.key(identity.RoleGate), s.key(identity.RoleSimRoot)
	s.publish()
	s.Policy = DefaultPolicy()
	if set.policy != nil {
		set.policy(&s.Policy)
	}
	st, err := store.OpenSQLite(context.Background(), set.path, set.store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s.Store = st
	cfg := grant.Config{Key: s.GateKey, Store: st, Directory: s.Directory, Policy: s.Policy}
	if set.gate != nil {
		set.gate(&cfg)
	}
	if s.Gate, err = grant.New(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	s.Core = s.NewCore(Middle, [32]byte{0xcc})
	s.Enrol(s.Core, 1_000_000)
	return s
}

// DefaultPolicy permits Germany to the simulated platform.
func DefaultPolicy() policy.Policy {
	now := time.Now().UnixNano()
	return policy.Policy{Name: "test", Version: 1, Permit: "DE", Speed: "vacuum", F: new(uint64(0)), MinDomains: new(uint64(3)),
		MinStatements: new(uint64(3)), MaxAgeMS: new(uint64(30_000)), VMaxMMPS: new(uint64(350_000)), Timing: policy.TimingBoth,
		Attest:   []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
		MaxUnits: new(uint64(5_000)), TOffMS: new(uint64(20_000)), LeaseTTLMS: new(uint64(60_000)),
		NotBeforeUnixNS: new(now - int64(time.Hour)), NotAfterUnixNS: new(now + 1000*int64(time.Hour)), Audience: Audience}
}

func (s *Scene) key(role identity.Role) *identity.Private {
	s.T.Helper()
	k, err := identity.Generate(role, rand.Reader)
	if err != nil {
		s.T.Fatal(err)
	}
	return k
}

func (s *Scene) publish() {
	s.T.Helper()
	now := time.Now().UnixNano()
	appraiser := s.key(identity.RoleAppraiser)
	expect := []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}}
	root, err := s.simRoot.Public().MarshalBinary()
	if err != nil {
		s.T.Fatal(err)
	}
	d := directory.Directory{Epoch: 1, IssuedUnixNS: now - int64(time.Hour), ExpiresUnixNS: now + 1000*int64(time.Hour),
		Gates: []identity.Public{s.GateKey.Public()}, Appraisers: []identity.Public{appraiser.Public()},
		AttestRoots: []directory.AttestRoot{{Platform: "sim", Key: root}}}
	for i, p := range Places {
		k := s.key(identity.RoleBeacon)
		s.Beacons[k.ID()] = k
		d.Beacons = append(d.Beacons, directory.Beacon{Key: k.Public(), Place: p.Name, Position: p.At.ECEF(100).Millimetres(),
			PosUncMM: 3000, Domains: []string{fmt.Sprintf("operator:%d", i)}, Address: fmt.Sprintf("192.0.2.%d:4433", i+1),
			Attest: expect, NotBeforeUnixNS: now - int64(time.Hour), ExpiresUnixNS: now + 1000*int64(time.Hour)})
	}
	d.Sort()
	s.Roots = []*identity.Private{s.key(identity.RoleDirectory)}
	if s.Published, err = directory.Sign(&d, s.Roots...); err != nil {
		s.T.Fatal(err)
	}
	if s.Directory, err = directory.Verify(s.Published, []identity.Public{s.Roots[0].Public()}, 1, now); err != nil {
		s.T.Fatal(err)
	}
	verifier, err := attest.NewSimVerifier(s.simRoot.Public())
	if err != nil {
		s.T.Fatal(err)
	}
	s.appraiser, err = attest.NewAppraiser(attest.AppraiserConfig{Key: appraiser, Policy: attest.Policy{Accept: expect},
		Audience: Audience, Verifiers: []attest.Verifier{verifier}})
	if err != nil {
		s.T.Fatal(err)
	}
}

// NewCore makes a core on a chip, not enrolled yet.
func (s *Scene) NewCore(at earth.LatLon, chip [32]byte) *Core {
	s.T.Helper()
	k := s.key(identity.RoleCore)
	l, err := lock.Boot(lock.Config{ID: k.ID(), Cap: 1 << 40})
	if err != nil {
		s.T.Fatal(err)
	}
	return &Core{Key: k, At: at, Chip: chip, Chain: statement.FirstProof(k.ID()), Lock: l}
}

// Enrol enrols a core.
func (s *Scene) Enrol(c *Core, budget lock.Units) {
	s.T.Helper()
	err := s.Gate.Enrol(context.Background(), c.Key.Public(), store.Account{Chip: c.Chip, Tenant: "t", Platform: "sim", Enabled: true, Budget: budget})
	if err != nil {
		s.T.Fatal(err)
	}
}

// Result is a signed attestation result about a machine of the simulated
// platform.
func (s *Scene) Result(subject identity.ID, chip [32]byte) []byte {
	s.T.Helper()
	name := string(subject[:]) + string(chip[:])
	if r, ok := s.results[name]; ok {
		return r
	}
	nonce := [32]byte{1}
	now := time.Now().UnixNano()
	m := attest.SimMachine{Root: s.simRoot, Measurement: []byte{1}, TCB: 1, Machine: chip, NowUnixNS: func() int64 { return now }}
	ev, err := attest.Collect(context.Background(), m, subject, nonce)
	if err != nil {
		s.T.Fatal(err)
	}
	res, err := s.appraiser.Appraise(ev, attest.Want{Subject: subject, Nonce: nonce, NowUnixNS: now})
	if err != nil {
		s.T.Fatal(err)
	}
	s.results[name] = res
	return res
}

// Speed of signals on the way, as a share of light: a good fibre network.
const Speed = 0.55

// RTT is the round trip between two places on this network, with 60 µs for the
// hosts at both ends.
func RTT(a, b earth.LatLon) earth.RTT {
	d := float64(earth.Chord(a.ECEF(100), b.ECEF(100)))
	return earth.RTT(2*d/(Speed*299_792_458)*1e9) + 60_000
}

// Ask makes the lock issue a nonce and asks the gate for a challenge.
func (s *Scene) Ask(c *Core) []byte {
	s.T.Helper()
	challenge, err := s.TryAsk(c)
	if err != nil {
		s.T.Fatal(err)
	}
	return challenge
}

// TryAsk is Ask that may be refused.
func (s *Scene) TryAsk(c *Core) ([]byte, error) {
	var ask lock.Ask
	_, _ = rand.Read(ask.Entropy[:])
	next, _, err := c.Lock.Step(ask)
	if err != nil {
		return nil, err
	}
	c.Lock = next
	n, _ := next.Outstanding()
	return s.Gate.Challenge(context.Background(), grant.Question{Core: c.Key.ID(), Claim: c.At, LockNonce: n, LockSeq: next.Usage().Seq})
}

// Change alters a statement before beacon and core sign it.
type Change func(place string, st *statement.Statement)

// Prove answers a challenge from where the core truly is.
func (s *Scene) Prove(c *Core, challenge []byte, changes ...Change) (proof []byte, hash [32]byte) {
	s.T.Helper()
	env, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		s.T.Fatal(err)
	}
	now := time.Now().UnixNano()
	asked, err := statement.VerifyChallenge(env, s.Directory, now)
	if err != nil {
		s.T.Fatal(err)
	}
	coreResult := s.Result(c.Key.ID(), c.Chip)
	p := statement.Proof{Challenge: env, PreviousProof: c.Chain, MadeUnixNS: now, Results: [][]byte{coreResult}}
	for i, id := range asked.Challenge().Committee {
		b, _ := s.Directory.Lookup(id)
		result := s.Result(id, [32]byte(id))
		at, _ := b.ECEF().LatLon()
		rtt := int64(RTT(c.At, at))
		st := statement.Statement{Flags: statement.FlagKernelStamps, Beacon: id, Core: c.Key.ID(), ChallengeHash: asked.Hash(),
			SessionID: [16]byte{1, byte(i)}, ExporterHash: [32]byte{2}, TranscriptHash: [32]byte{3}, PreviousProof: c.Chain,
			PositionMM: b.Position, PosUncMM: b.PosUncMM, DirectoryEpoch: s.Directory.Epoch, Domains: b.Domains,
			StartUnixNS: now - 1000, EndUnixNS: now, RoundsSent: 32, RoundsOK: 30, RTTBeaconMinNS: rtt, RTTCoreMinNS: rtt,
			RTTBeaconP10NS: rtt, RTTBeaconP50NS: rtt + 1000, RTTBeaconP90NS: rtt + 9000, TimerGranularityNS: 50, TimerErrorPPB: 1000,
			PayloadLen: 64, BeaconResult: statement.HashResult(result), CoreResult: statement.HashResult(coreResult),
			NotAfterUnixNS: now + int64(time.Minute)}
		for _, ch := range changes {
			ch(b.Place, &st)
		}
		signed, err := st.Seal(s.Beacons[id])
		if err != nil {
			s.T.Fatal(err)
		}
		sig, err := c.Key.Sign(identity.TypeCountersign, signed.Payload)
		if err != nil {
			s.T.Fatal(err)
		}
		p.Statements = append(p.Statements, statement.Countersigned{Statement: signed, CoreSignature: sig})
		p.Results = append(p.Results, result)
	}
	proof, hash, err = p.Seal(c.Key)
	if err != nil {
		s.T.Fatal(err)
	}
	return proof, hash
}

// Request composes a lease request for a proof.
func (s *Scene) Request(c *Core, proof []byte, want lock.Units) grant.Request {
	n, _ := c.Lock.Outstanding()
	r := grant.Request{Core: c.Key.ID(), LockNonce: n, LockSeq: c.Lock.Usage().Seq, Want: want, Usage: c.Lock.Usage(), Proof: proof}
	_, _ = rand.Read(r.RequestID[:])
	return r
}

// Grant goes the whole way once and returns the decision.
func (s *Scene) Grant(c *Core, want lock.Units, changes ...Change) grant.Decision {
	s.T.Helper()
	proof, hash := s.Prove(c, s.Ask(c), changes...)
	d, err := s.Gate.Grant(context.Background(), s.Request(c, proof, want))
	if err != nil {
		s.T.Fatal(err)
	}
	if d.Granted {
		c.Chain = hash
	}
	return d
}
