package box

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Audience is the constellation's name, for which its attestation results are made.
const Audience = "ursa-box"

// The survey of a simulated beacon is as good as a satellite fix on a roof.
const surveyMM = 3_000

// validity of everything that a box signs for itself: longer than any run, and no longer.
const validity = 24 * time.Hour

// machine is one simulated machine with its key and what the appraiser says of it.
type machine struct {
	key    *identity.Private
	chip   [32]byte
	result []byte // encoded attestation result
}

// constellation is everything that is signed before the first packet: keys, directory, attestation.
type constellation struct {
	gate      *identity.Private
	root      *identity.Private // signs the directory
	published []byte            // the signed directory
	directory *directory.Directory
	beacons   []machine // in the order of the places
	core      machine
	expect    []directory.Expectation
}

// measurement stands for the build that beacons and cores pretend to run on the simulated platform.
var measurement = identity.Hash("box measurement", []byte("ursa"))

// site is where a beacon stands and how it is reached.
type site struct {
	place   string
	at      earth.LatLon
	address string
}

// found makes the keys, lets every machine attest and signs the directory of the sites.
func found(ctx context.Context, sites []site, now time.Time) (*constellation, error) {
	c := &constellation{expect: []directory.Expectation{{Platform: string(attest.Sim), Measurements: [][]byte{measurement[:]}, MinTCB: 1}}}
	keys := map[identity.Role]*identity.Private{}
	for _, role := range []identity.Role{identity.RoleGate, identity.RoleDirectory, identity.RoleSimRoot, identity.RoleAppraiser} {
		k, err := identity.Generate(role, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[role] = k
	}
	c.gate, c.root = keys[identity.RoleGate], keys[identity.RoleDirectory]
	verifier, err := attest.NewSimVerifier(keys[identity.RoleSimRoot].Public())
	if err != nil {
		return nil, err
	}
	appraiser, err := attest.NewAppraiser(attest.AppraiserConfig{Key: keys[identity.RoleAppraiser],
		Policy: attest.Policy{Accept: c.expect}, Audience: Audience, Verifiers: []attest.Verifier{verifier}})
	if err != nil {
		return nil, err
	}
	admit := func(role identity.Role) (machine, error) {
		return admit(ctx, role, keys[identity.RoleSimRoot], appraiser, now)
	}
	for range sites {
		m, err := admit(identity.RoleBeacon)
		if err != nil {
			return nil, err
		}
		c.beacons = append(c.beacons, m)
	}
	if c.core, err = admit(identity.RoleCore); err != nil {
		return nil, err
	}
	return c, c.publish(sites, keys, now)
}

// admit makes a machine with a key of the role and lets it attest.
func admit(ctx context.Context, role identity.Role, root *identity.Private, a *attest.Appraiser, now time.Time) (machine, error) {
	key, err := identity.Generate(role, rand.Reader)
	if err != nil {
		return machine{}, err
	}
	m := machine{key: key}
	var nonce [32]byte
	for _, b := range [][]byte{m.chip[:], nonce[:]} {
		if _, err := rand.Read(b); err != nil {
			return machine{}, err
		}
	}
	platform := attest.SimMachine{Root: root, Measurement: measurement[:], TCB: 1, Machine: m.chip, NowUnixNS: now.UnixNano}
	evidence, err := attest.Collect(ctx, platform, key.ID(), nonce)
	if err != nil {
		return machine{}, err
	}
	m.result, err = a.Appraise(evidence, attest.Want{Subject: key.ID(), Nonce: nonce, NowUnixNS: now.UnixNano()})
	return m, err
}

// publish signs the directory and verifies it as everybody else will.
func (c *constellation) publish(sites []site, keys map[identity.Role]*identity.Private, now time.Time) error {
	simRoot, err := keys[identity.RoleSimRoot].Public().MarshalBinary()
	if err != nil {
		return err
	}
	from, to := now.UnixNano(), now.Add(validity).UnixNano()
	d := directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to,
		Gates: []identity.Public{c.gate.Public()}, Appraisers: []identity.Public{keys[identity.RoleAppraiser].Public()},
		AttestRoots: []directory.AttestRoot{{Platform: string(attest.Sim), Key: simRoot}}}
	for i, s := range sites {
		d.Beacons = append(d.Beacons, directory.Beacon{Key: c.beacons[i].key.Public(), Place: s.place,
			Position: s.at.ECEF(0).Millimetres(), PosUncMM: surveyMM, Domains: []string{fmt.Sprintf("operator:%d", i+1)},
			Address: s.address, Attest: c.expect, NotBeforeUnixNS: from, ExpiresUnixNS: to})
	}
	d.Sort()
	if c.published, err = directory.Sign(&d, c.root); err != nil {
		return err
	}
	c.directory, err = directory.Verify(c.published, []identity.Public{c.root.Public()}, 1, now.UnixNano())
	return err
}
