package box

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	gate "github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Audience is the constellation's name, for which its attestation results are made.
const Audience = "ursa-box"

// Config describes a run. Scene, Policy, Dir and Want must be given.
type Config struct {
	Scene  Scene
	Policy func(attested []directory.Expectation) policy.Policy // made once the constellation's expectations are known
	Seed   uint64                                               // of delays, jitter and loss
	Dir    string                                               // of the gate's store
	Budget lock.Units                                           // of the core's chip
	Want   lock.Units                                           // units that the core asks for at a time
	// Machines are what beacons and core run on; nil: the simulated platform, which proves nothing about hardware.
	Machines stage.Machines
	Clock    stamp.Clock // of beacons and core; nil: the host's, or Go's where time is virtual

	Probing func(prober.Event)                      // told of each beacon's exchange; may be nil
	Events  func(core.Event)                        // told what the core's agent does; may be nil
	Decided func(r grant.Request, d grant.Decision) // told what the gate decides, before it is sent; may be nil
}

// Box is a running system.
type Box struct {
	Agent *core.Agent
	Gate  *grant.Gate

	store   store.Store
	cfg     Config
	made    *stage.Constellation
	net     *fabric.Fabric
	ground  *world.Network
	beacons []*fabric.Endpoint
	sockets []*fabric.Endpoint // of the core: they move together
	prover  *prober.Committee
	closer  []func()

	mu     sync.Mutex // guards what follows
	result []byte     // the core's newest attestation result
}

// Start starts every program. Close ends them, also after an error.
func Start(ctx context.Context, cfg Config) (*Box, error) {
	b := &Box{cfg: cfg}
	if err := b.start(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Box) start(ctx context.Context) error {
	b.ground = b.cfg.Scene.World.Network()
	var err error
	if b.cfg.Clock == nil {
		if b.cfg.Clock, err = stage.Clock(); err != nil {
			return err
		}
	}
	b.net, err = fabric.New(fabric.Config{Seed: b.cfg.Seed, Path: b.ground})
	if err != nil {
		return err
	}
	b.onClose(func() { _ = b.net.Close() })
	sites, err := b.placeBeacons()
	if err != nil {
		return err
	}
	if b.cfg.Machines == nil {
		b.cfg.Machines = stage.Simulated()
	}
	if b.made, err = stage.FoundOn(ctx, b.cfg.Machines, Audience, sites, 1, time.Now()); err != nil {
		return err
	}
	if err := b.serveBeacons(); err != nil {
		return err
	}
	at, err := b.serveGate(ctx)
	if err != nil {
		return err
	}
	return b.makeCore(at)
}

// Close ends every program and waits for it.
func (b *Box) Close() {
	for i := len(b.closer) - 1; i >= 0; i-- {
		b.closer[i]()
	}
	b.closer = nil
}

func (b *Box) onClose(f func()) { b.closer = append(b.closer, f) }

// listen opens a socket of a host of its own at a place.
func (b *Box) listen(name string, at world.Place) (*fabric.Endpoint, error) {
	e, err := b.net.Listen(name, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	b.ground.Place(e.AddrPort().Addr(), at)
	return e, nil
}

// placeBeacons opens a socket for every beacon.
func (b *Box) placeBeacons() ([]stage.Site, error) {
	var sites []stage.Site
	for i, at := range b.cfg.Scene.Beacons {
		e, err := b.listen(fmt.Sprintf("beacon %d", i+1), at)
		if err != nil {
			return nil, err
		}
		b.beacons = append(b.beacons, e)
		sites = append(sites, stage.Site{Place: at.String(), At: at.At, Domains: []string{fmt.Sprintf("operator:%d", i+1)}, Address: e.AddrPort().String()})
	}
	return sites, nil
}

// serveBeacons starts every beacon's daemon; the liar's gets a slow clock.
func (b *Box) serveBeacons() error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.onClose(func() { cancel(); running.Wait() })
	var servers []*server.Server
	for i, conn := range b.beacons {
		cfg := server.Config{Key: b.made.Beacons[i].Key, Directory: b.made.Directory, Attestation: b.made.Beacons[i].Result, Appraised: attest.Vouched(Audience),
			Clock: b.cfg.Clock, Limits: limits(), Drain: time.Millisecond, Evidence: b.made.Beacons[i].Evidence()}
		if b.cfg.Scene.Attack == adversary.LyingBeacon && i == liar {
			clock, err := b.slowClock()
			if err != nil {
				return err
			}
			cfg.Clock = clock
		}
		s, err := server.New(cfg)
		if err != nil {
			return err
		}
		running.Go(func() { _ = s.Serve(ctx, conn) })
		servers = append(servers, s)
	}
	b.result = b.core().Result
	b.renew(servers)
	return nil
}

// limits keeps far beacons from making a person wait: three hundred milliseconds of rounds are enough for the near ones, which decide,
// and the far ones end with the fewest rounds that make a statement.
func limits() exchange.Limits {
	l := exchange.DefaultLimits()
	l.Budget = 300 * time.Millisecond
	l.Timeout, l.Deadline = time.Second, 6*time.Second
	return l
}

// serveGate opens the store, enrols the core and serves HTTP/3. It returns the gate's address.
func (b *Box) serveGate(ctx context.Context) (string, error) {
	st, err := store.OpenSQLite(ctx, filepath.Join(b.cfg.Dir, "gate.db"), store.Options{})
	if err != nil {
		return "", err
	}
	b.onClose(func() { _ = st.Close() })
	b.store = st
	near := max(1, len(b.cfg.Scene.Beacons)-drawn)
	b.Gate, err = grant.New(ctx, grant.Config{Key: b.made.Gate, Store: st, Directory: b.made.Directory,
		Policy: b.cfg.Policy(b.made.Expect), Metro: min(near, maxNear), Random: drawn})
	if err != nil {
		return "", err
	}
	err = b.Gate.Enrol(ctx, b.core().Key.Public(), store.Account{Chip: b.core().Chip, Tenant: "box", Platform: string(b.made.Platform), Enabled: true, Budget: b.cfg.Budget})
	if err != nil {
		return "", err
	}
	s, err := gate.New(gate.Config{Gate: b.Gate, Decided: b.cfg.Decided})
	if err != nil {
		return "", err
	}
	conn, err := b.listen("gate", b.cfg.Scene.Gate)
	if err != nil {
		return "", err
	}
	var running sync.WaitGroup
	b.onClose(func() { _ = s.Close(); running.Wait() })
	running.Go(func() { _ = s.ServeQUIC(conn) })
	return conn.AddrPort().String(), nil
}

// The committee: up to sixteen beacons near the claim and four drawn, so that a constellation of up to twenty is asked as a whole.
const (
	maxNear = 16
	drawn   = 4
)

// makeCore places the core where it stands, with whatever the attack puts around it.
func (b *Box) makeCore(gateAddress string) error {
	scene := b.cfg.Scene
	at := scene.Stands
	if scene.Attack == adversary.Replay {
		at = scene.Claim // it moves after the first proof; see Move
	}
	probe, err := b.listen("core", at)
	if err != nil {
		return err
	}
	talk, err := b.listen("core to gate", at)
	if err != nil {
		return err
	}
	b.sockets = []*fabric.Endpoint{probe, talk}
	cfg := prober.Config{Key: b.core().Key, TimedKey: b.core().TimedKey, Directory: b.made.Directory, Conn: probe, Clock: b.cfg.Clock,
		Progress: b.cfg.Probing, Resolve: resolve}
	if b.made.Platform != attest.Sim {
		if cfg.Appraise, err = b.made.Inspect(Audience); err != nil {
			return err
		}
	}
	if err := b.arm(&cfg, probe); err != nil {
		return err
	}
	b.prover = &prober.Committee{Prepare: func(context.Context) (prober.Config, error) {
		now := cfg
		now.Attestation = b.coreResult()
		return now, nil
	}}
	var proves core.Prover = b.prover
	if scene.Attack == adversary.Replay {
		proves = &replayer{Committee: b.prover}
	}
	to, err := client.New(client.Config{Key: b.core().Key, Claim: scene.Claim.At, Address: gateAddress, Conn: talk, Resolve: resolve})
	if err != nil {
		return err
	}
	b.onClose(func() { _ = to.Close() })
	b.Agent, err = core.New(core.Config{Key: b.core().Key, TimedKey: b.core().TimedKey, GateKey: b.made.Gate.Public(), Gate: to, Prover: proves,
		Memory: &core.Forgetful{}, Want: b.cfg.Want, Events: b.cfg.Events})
	return err
}

// Move puts the core where it stands: the second act of a replay, a no-op in every other scene.
func (b *Box) Move() {
	for _, e := range b.sockets {
		b.ground.Place(e.AddrPort().Addr(), b.cfg.Scene.Stands)
	}
}

// SwitchOff takes the core's enrolment away: the gate grants it nothing more, and what it holds runs out.
func (b *Box) SwitchOff(ctx context.Context) error {
	return b.store.Enable(ctx, b.core().Key.ID(), false)
}

// Core returns the core's id.
func (b *Box) Core() identity.ID { return b.core().Key.ID() }

// Evidence seals a decision of the gate into a file that anybody can verify again.
func (b *Box) Evidence(r grant.Request, d grant.Decision) ([]byte, error) {
	return evidence.Seal(b.made.Gate, b.made.Published, b.trust(), r, d)
}

// Fingerprint names who must have signed the directory, for the reader of the evidence.
func (b *Box) Fingerprint() [32]byte { return b.trust().Fingerprint() }

func (b *Box) trust() evidence.Trust {
	return evidence.Trust{Roots: []identity.Public{b.made.Root.Public()}, Threshold: 1}
}

// Silent returns the beacons that gave no statement in the newest proof, and why.
func (b *Box) Silent() []prober.Failure { return b.prover.Last().Failures }

// resolve reads the numeric addresses of a box.
func resolve(_ context.Context, address string) (net.Addr, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", errAddress, address)
	}
	return net.UDPAddrFromAddrPort(a), nil
}

var errAddress = errors.New("not an address of the box")
