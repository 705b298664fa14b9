// Package local is a constellation with receivers in one process: real beacons, real receivers and a directory, over whatever sockets
// it is given. It is for trying calibration out and for tests; its machines attest on the simulated platform, which no policy accepts
// unless it names it.
//
// It believes its caller about where the sockets are. All keys come from one secret, so that a run that was killed finds the same
// constellation again; whoever has the secret has the keys.
package local

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/calib/mesh/collect"
	"github.com/ursa-virtual/ursa/calib/mesh/receiver"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Site is a beacon to be: its name, where it claims to stand, and its two sockets.
type Site struct {
	Place    string
	Claims   earth.LatLon
	Beacon   net.PacketConn
	Receiver net.PacketConn
}

// Config describes a constellation; every field is required but Limits, whose zero value means exchange.DefaultLimits, and Resolve, as
// in prober.Config.
type Config struct {
	Secret  [32]byte
	Sites   []Site
	Epoch   uint64
	Now     time.Time // from when everything that is signed is valid, for a day
	Limits  exchange.Limits
	Resolve func(ctx context.Context, address string) (net.Addr, error)
}

// Constellation is running. It is a collect.Link to its own receivers.
type Constellation struct {
	Directory *directory.Directory
	Gate      *identity.Private // may issue challenges
	Members   []collect.Member  // ascending by beacon

	receivers map[identity.ID]*receiver.Receiver // by beacon
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// Audience is the constellation's name, for which its attestation results are made.
const Audience = "ursa-local"

const (
	validity = 24 * time.Hour
	surveyMM = 25_000_000 // a city
)

// ErrSites reports a constellation of no use.
var ErrSites = errors.New("a constellation needs at least two sites with two sockets each")

// measurement stands for the build that the machines pretend to run.
var measurement = identity.Hash("local measurement", []byte("ursa"))

// Start makes the keys, lets every machine attest, signs the directory and starts beacons and receivers. Close ends them; the sockets
// stay open.
func Start(ctx context.Context, cfg Config) (*Constellation, error) {
	if len(cfg.Sites) < 2 || slices.ContainsFunc(cfg.Sites, func(s Site) bool { return s.Beacon == nil || s.Receiver == nil }) {
		return nil, ErrSites
	}
	w := &workshop{cfg: cfg}
	if err := w.makeKeys(ctx); err != nil {
		return nil, err
	}
	d, err := w.publish()
	if err != nil {
		return nil, err
	}
	c := &Constellation{Directory: d, Gate: w.gate, receivers: map[identity.ID]*receiver.Receiver{}}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	for i, site := range cfg.Sites {
		daemon, err := server.New(server.Config{Key: w.beacons[i].key, Directory: d, Attestation: w.beacons[i].result, Appraised: attest.Vouched(Audience), Limits: cfg.Limits, Drain: time.Millisecond})
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", site.Place, err)
		}
		c.running.Go(func() { _ = daemon.Serve(serving, site.Beacon) })
		m := collect.Member{Beacon: w.beacons[i].key.ID(), Receiver: w.receivers[i].key.Public()}
		c.receivers[m.Beacon] = receiver.New(prober.Config{Key: w.receivers[i].key, TimedKey: w.receivers[i].timed, Directory: d, Conn: site.Receiver,
			Attestation: w.receivers[i].result, Resolve: cfg.Resolve})
		c.Members = append(c.Members, m)
	}
	slices.SortFunc(c.Members, func(a, b collect.Member) int { return a.Beacon.Compare(b.Beacon) })
	return c, nil
}

// Measure implements collect.Link.
func (c *Constellation) Measure(ctx context.Context, m collect.Member, instruction []byte) ([]byte, error) {
	r, ok := c.receivers[m.Beacon]
	if !ok {
		return nil, fmt.Errorf("%w: %s is not of this constellation", receiver.ErrDoor, m.Beacon.Short())
	}
	return r.Measure(ctx, instruction)
}

// Close stops the beacons and waits for them.
func (c *Constellation) Close() {
	c.stop()
	c.running.Wait()
}

// workshop is where a constellation is made.
type workshop struct {
	cfg                            Config
	gate, root, simRoot, appraiser *identity.Private
	beacons, receivers             []machine
	expect                         []directory.Expectation
}

// machine is a key with what the appraiser says of it.
type machine struct {
	key    *identity.Private
	timed  *identity.TimedKey // nil for beacons
	result []byte             // encoded attestation result
}

// key derives the key of a role and number from the secret.
func (w *workshop) key(role identity.Role, number int) (*identity.Private, error) {
	seed, err := hkdf.Key(sha256.New, w.cfg.Secret[:], nil, fmt.Sprintf("ursa/1 local %s %d", role, number), 32)
	if err != nil {
		return nil, err
	}
	return identity.FromSeed(role, [32]byte(seed))
}

func (w *workshop) makeKeys(ctx context.Context) (err error) {
	for role, key := range map[identity.Role]**identity.Private{identity.RoleGate: &w.gate, identity.RoleDirectory: &w.root,
		identity.RoleSimRoot: &w.simRoot, identity.RoleAppraiser: &w.appraiser} {
		if *key, err = w.key(role, 0); err != nil {
			return err
		}
	}
	w.expect = []directory.Expectation{{Platform: string(attest.Sim), Measurements: [][]byte{measurement[:]}, MinTCB: 1}}
	verifier, err := attest.NewSimVerifier(w.simRoot.Public())
	if err != nil {
		return err
	}
	judge, err := attest.NewAppraiser(attest.AppraiserConfig{Key: w.appraiser, Policy: attest.Policy{Accept: w.expect}, Audience: Audience,
		Verifiers: []attest.Verifier{verifier}})
	if err != nil {
		return err
	}
	for i := range w.cfg.Sites {
		b, err := w.admit(ctx, judge, identity.RoleBeacon, i)
		if err != nil {
			return err
		}
		r, err := w.admit(ctx, judge, identity.RoleCore, i)
		if err != nil {
			return err
		}
		w.beacons, w.receivers = append(w.beacons, b), append(w.receivers, r)
	}
	return nil
}

// admit lets a machine attest. Chip and nonce follow from its key: nobody decides by them here.
func (w *workshop) admit(ctx context.Context, judge *attest.Appraiser, role identity.Role, number int) (machine, error) {
	key, err := w.key(role, number)
	if err != nil {
		return machine{}, err
	}
	id := key.ID()
	now := w.cfg.Now.UnixNano()
	chip, nonce := identity.Hash("local chip", id[:]), identity.Hash("local nonce", id[:])
	platform := attest.SimMachine{Root: w.simRoot, Measurement: measurement[:], TCB: 1, Machine: chip, NowUnixNS: func() int64 { return now }}
	m := machine{key: key}
	if role == identity.RoleCore {
		if m.timed, err = identity.NewTimedKey(nil); err != nil {
			return machine{}, err
		}
	}
	evidence, err := attest.Collect(ctx, platform, attest.Binding{Subject: id, TimedKey: m.timed.ID(), Nonce: nonce})
	if err != nil {
		return machine{}, err
	}
	m.result, err = judge.Appraise(evidence, attest.Want{Subject: id, Nonce: nonce, NowUnixNS: now})
	return m, err
}

// publish signs the directory and verifies it as everybody else will.
func (w *workshop) publish() (*directory.Directory, error) {
	simRoot, err := w.simRoot.Public().MarshalBinary()
	if err != nil {
		return nil, err
	}
	from, to := w.cfg.Now.UnixNano(), w.cfg.Now.Add(validity).UnixNano()
	d := directory.Directory{Epoch: w.cfg.Epoch, IssuedUnixNS: from, ExpiresUnixNS: to,
		Gates: []identity.Public{w.gate.Public()}, Appraisers: []identity.Public{w.appraiser.Public()},
		AttestRoots: []directory.AttestRoot{{Platform: string(attest.Sim), Key: simRoot}}}
	for i, s := range w.cfg.Sites {
		d.Beacons = append(d.Beacons, directory.Beacon{Key: w.beacons[i].key.Public(), Place: s.Place,
			Position: s.Claims.ECEF(0).Millimetres(), PosUncMM: surveyMM, Domains: []string{fmt.Sprintf("operator:%d", i+1)},
			Address: s.Beacon.LocalAddr().String(), Attest: w.expect, NotBeforeUnixNS: from, ExpiresUnixNS: to})
	}
	d.Sort()
	signed, err := directory.Sign(&d, w.root)
	if err != nil {
		return nil, err
	}
	return directory.Verify(signed, []identity.Public{w.root.Public()}, 1, from)
}
