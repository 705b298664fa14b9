package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The survey of a simulated beacon is as good as a satellite fix on a roof.
const surveyMM = 3_000

// validity of everything that a stage signs for itself: longer than any run, and no longer.
const validity = 24 * time.Hour

// Machine is one machine with its key and what the appraiser says of it.
type Machine struct {
	Key      *identity.Private
	TimedKey *identity.TimedKey // nil for beacons
	Chip     [32]byte
	Result   []byte // encoded attestation result

	Attester attest.Attester       // the machine itself, for fresh evidence
	Expect   directory.Expectation // what that must look like
}

// Evidence makes evidence of the machine for those who look before they rely; nil on the simulated platform, which proves nothing.
func (m Machine) Evidence() func(ctx context.Context, nonce [32]byte) ([]byte, error) {
	if m.Attester == nil || m.Attester.Platform() == attest.Sim {
		return nil
	}
	return func(ctx context.Context, nonce [32]byte) ([]byte, error) {
		return attest.Collect(ctx, m.Attester, attest.Binding{Subject: m.Key.ID(), Nonce: nonce})
	}
}

// Site is where a beacon stands according to the directory, and how it is reached.
type Site struct {
	Place   string
	At      earth.LatLon
	Domains []string // sorted
	Address string
}

// Constellation is everything that is signed before the first packet: keys, directory, attestation.
type Constellation struct {
	Gate      *identity.Private
	Root      *identity.Private // signs the directory
	Published []byte            // the signed directory
	Directory *directory.Directory
	Beacons   []Machine // in the order of the sites
	Cores     []Machine
	Expect    []directory.Expectation // what a policy accepts of cores
	Platform  attest.Platform
	Verifier  attest.Verifier // of the platform's evidence

	appraiser *attest.Appraiser
}

// measurement stands for the build that beacons and cores pretend to run on the simulated platform.
var measurement = identity.Hash("box measurement", []byte("ursa"))

// Found makes the keys, lets every simulated machine attest for an audience and signs the directory of the sites.
func Found(ctx context.Context, audience string, sites []Site, cores int, now time.Time) (*Constellation, error) {
	return FoundOn(ctx, Simulated(), audience, sites, cores, now)
}

// founding is a constellation being made.
type founding struct {
	machines  Machines
	made      int
	expected  map[identity.ID]directory.Expectation
	appraiser *attest.Appraiser
}

// FoundOn is Found on machines of another kind.
func FoundOn(ctx context.Context, machines Machines, audience string, sites []Site, cores int, now time.Time) (*Constellation, error) {
	c := &Constellation{Platform: machines.Platform()}
	keys := map[identity.Role]*identity.Private{}
	for _, role := range []identity.Role{identity.RoleGate, identity.RoleDirectory, identity.RoleAppraiser} {
		k, err := identity.Generate(role, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[role] = k
	}
	c.Gate, c.Root = keys[identity.RoleGate], keys[identity.RoleDirectory]
	roots, verifier, err := machines.Open(ctx, keys[identity.RoleAppraiser])
	if err != nil {
		return nil, err
	}
	c.Verifier = verifier
	f := &founding{machines: machines, expected: map[identity.ID]directory.Expectation{}}
	if f.appraiser, err = attest.NewAppraiser(attest.AppraiserConfig{Key: keys[identity.RoleAppraiser], PolicyFor: f.policy, Audience: audience,
		Verifiers: []attest.Verifier{verifier}}); err != nil {
		return nil, err
	}
	c.appraiser = f.appraiser
	for _, s := range sites {
		m, err := f.admit(ctx, identity.RoleBeacon, configurationOf(s))
		if err != nil {
			return nil, err
		}
		c.Beacons = append(c.Beacons, m)
	}
	for range cores {
		m, err := f.admit(ctx, identity.RoleCore, nil)
		if err != nil {
			return nil, err
		}
		c.Cores = append(c.Cores, m)
	}
	c.Expect = joined(c.Cores)
	if cores == 0 && len(c.Beacons) > 0 {
		c.Expect = joined(c.Beacons[:1])
	}
	return c, c.publish(sites, keys, roots, now)
}

// policy is what the appraiser expects of a machine.
func (f *founding) policy(id identity.ID) (attest.Policy, error) {
	return attest.Policy{Accept: []directory.Expectation{f.expected[id]}}, nil
}

// joined is what a policy has to name so that every core counts: all their measurements, without their machines, which the gate's
// enrolment names.
func joined(cores []Machine) []directory.Expectation {
	var out directory.Expectation
	for _, m := range cores {
		out.Platform, out.MinTCB = m.Expect.Platform, m.Expect.MinTCB
		out.Measurements = append(out.Measurements, m.Expect.Measurements...)
	}
	slices.SortFunc(out.Measurements, bytes.Compare)
	out.Measurements = slices.CompactFunc(out.Measurements, bytes.Equal)
	return []directory.Expectation{out}
}

// publish signs the directory and verifies it as everybody else will.
func (c *Constellation) publish(sites []Site, keys map[identity.Role]*identity.Private, roots []directory.AttestRoot, now time.Time) (err error) {
	from, to := now.UnixNano(), now.Add(validity).UnixNano()
	d := directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to,
		Gates: []identity.Public{c.Gate.Public()}, Appraisers: []identity.Public{keys[identity.RoleAppraiser].Public()},
		AttestRoots: roots}
	for i, s := range sites {
		if len(s.Domains) == 0 || !slices.IsSorted(s.Domains) {
			return fmt.Errorf("%w: beacon %d needs domains, in order", ErrConfig, i+1)
		}
		d.Beacons = append(d.Beacons, directory.Beacon{Key: c.Beacons[i].Key.Public(), Place: s.Place,
			Position: s.At.ECEF(0).Millimetres(), PosUncMM: surveyMM, Domains: s.Domains,
			Address: s.Address, Attest: []directory.Expectation{c.Beacons[i].Expect}, NotBeforeUnixNS: from, ExpiresUnixNS: to})
	}
	d.Sort()
	if c.Published, err = directory.Sign(&d, c.Root); err != nil {
		return err
	}
	c.Directory, err = directory.Verify(c.Published, []identity.Public{c.Root.Public()}, 1, now.UnixNano())
	return err
}

// ErrConfig reports a stage that cannot be set up as asked.
var ErrConfig = errors.New("stage")
