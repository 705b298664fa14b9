package stage

import (
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

// Machine is one simulated machine with its key and what the appraiser says of it.
type Machine struct {
	Key    *identity.Private
	Chip   [32]byte
	Result []byte // encoded attestation result
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
	Expect    []directory.Expectation // what a policy accepts
}

// measurement stands for the build that beacons and cores pretend to run on the simulated platform.
var measurement = identity.Hash("box measurement", []byte("ursa"))

// Found makes the keys, lets every machine attest for an audience and signs the directory of the sites.
func Found(ctx context.Context, audience string, sites []Site, cores int, now time.Time) (*Constellation, error) {
	c := &Constellation{Expect: []directory.Expectation{{Platform: string(attest.Sim), Measurements: [][]byte{measurement[:]}, MinTCB: 1}}}
	keys := map[identity.Role]*identity.Private{}
	for _, role := range []identity.Role{identity.RoleGate, identity.RoleDirectory, identity.RoleSimRoot, identity.RoleAppraiser} {
		k, err := identity.Generate(role, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[role] = k
	}
	c.Gate, c.Root = keys[identity.RoleGate], keys[identity.RoleDirectory]
	verifier, err := attest.NewSimVerifier(keys[identity.RoleSimRoot].Public())
	if err != nil {
		return nil, err
	}
	appraiser, err := attest.NewAppraiser(attest.AppraiserConfig{Key: keys[identity.RoleAppraiser],
		Policy: attest.Policy{Accept: c.Expect}, Audience: audience, Verifiers: []attest.Verifier{verifier}})
	if err != nil {
		return nil, err
	}
	admitAll := func(role identity.Role, n int) ([]Machine, error) {
		var all []Machine
		for range n {
			m, err := admit(ctx, role, keys[identity.RoleSimRoot], appraiser, now)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
		return all, nil
	}
	if c.Beacons, err = admitAll(identity.RoleBeacon, len(sites)); err != nil {
		return nil, err
	}
	if c.Cores, err = admitAll(identity.RoleCore, cores); err != nil {
		return nil, err
	}
	return c, c.publish(sites, keys, now)
}

// admit makes a machine with a key of the role and lets it attest.
func admit(ctx context.Context, role identity.Role, root *identity.Private, a *attest.Appraiser, now time.Time) (Machine, error) {
	key, err := identity.Generate(role, rand.Reader)
	if err != nil {
		return Machine{}, err
	}
	m := Machine{Key: key}
	var nonce [32]byte
	for _, b := range [][]byte{m.Chip[:], nonce[:]} {
		if _, err := rand.Read(b); err != nil {
			return Machine{}, err
		}
	}
	platform := attest.SimMachine{Root: root, Measurement: measurement[:], TCB: 1, Machine: m.Chip, NowUnixNS: now.UnixNano}
	evidence, err := attest.Collect(ctx, platform, key.ID(), nonce)
	if err != nil {
		return Machine{}, err
	}
	m.Result, err = a.Appraise(evidence, attest.Want{Subject: key.ID(), Nonce: nonce, NowUnixNS: now.UnixNano()})
	return m, err
}

// publish signs the directory and verifies it as everybody else will.
func (c *Constellation) publish(sites []Site, keys map[identity.Role]*identity.Private, now time.Time) error {
	simRoot, err := keys[identity.RoleSimRoot].Public().MarshalBinary()
	if err != nil {
		return err
	}
	from, to := now.UnixNano(), now.Add(validity).UnixNano()
	d := directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to,
		Gates: []identity.Public{c.Gate.Public()}, Appraisers: []identity.Public{keys[identity.RoleAppraiser].Public()},
		AttestRoots: []directory.AttestRoot{{Platform: string(attest.Sim), Key: simRoot}}}
	for i, s := range sites {
		if len(s.Domains) == 0 || !slices.IsSorted(s.Domains) {
			return fmt.Errorf("%w: beacon %d needs domains, in order", ErrConfig, i+1)
		}
		d.Beacons = append(d.Beacons, directory.Beacon{Key: c.Beacons[i].Key.Public(), Place: s.Place,
			Position: s.At.ECEF(0).Millimetres(), PosUncMM: surveyMM, Domains: s.Domains,
			Address: s.Address, Attest: c.Expect, NotBeforeUnixNS: from, ExpiresUnixNS: to})
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
