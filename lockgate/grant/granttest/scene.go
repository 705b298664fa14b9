// Package granttest is a gate on a stage (package stage), for tests of whatever
// stands on grants: what goes wrong ends the test.
package granttest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Audience is the constellation's name.
const Audience = stage.Audience

// Places of the beacons.
var Places = stage.Places

// Middle is a place that these beacons prove to be in Germany.
var Middle = stage.Middle

// Scene is the constellation with its gate.
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
	Stage     *stage.Stage
	cores     uint64 // made so far
}

// Core is a core with what it remembers.
type Core = stage.Core

// Change alters a statement before beacon and core sign it.
type Change = stage.Change

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
	var seed [8]byte
	_, _ = rand.Read(seed[:])
	st, err := stage.New(binary.BigEndian.Uint64(seed[:]), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &Scene{T: t, Stage: st, GateKey: st.GateKey, Roots: st.Roots, Published: st.Published, Directory: st.Directory, Beacons: st.Beacons, Policy: st.Policy}
	if set.policy != nil {
		set.policy(&s.Policy)
	}
	db, err := store.OpenSQLite(context.Background(), set.path, set.store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s.Store = db
	cfg := grant.Config{Key: s.GateKey, Store: db, Directory: s.Directory, Policy: s.Policy}
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
func DefaultPolicy() policy.Policy { return stage.DefaultPolicy(time.Now()) }

// NewCore makes a core on a chip, not enrolled yet.
func (s *Scene) NewCore(at earth.LatLon, chip [32]byte) *Core {
	s.T.Helper()
	s.cores++
	c, err := s.Stage.NewCore(s.cores, at, chip)
	if err != nil {
		s.T.Fatal(err)
	}
	return c
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
	r, err := s.Stage.Result(subject, chip)
	if err != nil {
		s.T.Fatal(err)
	}
	return r
}

// RTT is the round trip between two places on this network.
func RTT(a, b earth.LatLon) earth.RTT { return stage.RTT(a, b) }

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
	var entropy [32]byte
	_, _ = rand.Read(entropy[:])
	q, err := stage.Ask(c, entropy)
	if err != nil {
		return nil, err
	}
	return s.Gate.Challenge(context.Background(), q)
}

// Prove answers a challenge from where the core truly is.
func (s *Scene) Prove(c *Core, challenge []byte, changes ...Change) (proof []byte, hash [32]byte) {
	s.T.Helper()
	proof, hash, err := s.Stage.Prove(c, challenge, time.Now(), changes...)
	if err != nil {
		s.T.Fatal(err)
	}
	return proof, hash
}

// Request composes a lease request for a proof.
func (s *Scene) Request(c *Core, proof []byte, want lock.Units) grant.Request {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return stage.Request(c, id, proof, want)
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
