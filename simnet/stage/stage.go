package stage

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
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	gate "github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/delayline"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Audience is the constellation's name, for which attestation results are made.
const Audience = "ursa-stage"

// BeaconSpec is a beacon as the directory lists it.
type BeaconSpec struct {
	Name   string
	At     world.Place
	Domain string // who would lie with it; beacons of one domain count once against f
}

// CoreSpec is a core before the start.
type CoreSpec struct {
	Name    string
	Claim   world.Place // where it says it is
	Stands  world.Place // where it is
	CloneOf string      // the name of an earlier core whose key it has; empty: a key of its own
	Stolen  bool        // of the other's memory the clone has nothing: its timed key is its own, and nobody attested it
}

// Config describes a stage. World, Dir, Beacons, Gate and Policy must be given.
type Config struct {
	World    *world.World
	Path     func(*world.Network) fabric.Path // what the fabric uses in place of the world's own network; nil: that
	Seed     uint64
	Overtake bool   // whether packets of one pair may overtake each other
	Dir      string // of the gate's store

	Beacons []BeaconSpec
	Lenient bool // beacons look at no core's attestation result, as those would that work with a thief
	Cores   []CoreSpec
	Gate    world.Place
	Policy  func(attested []directory.Expectation) policy.Policy

	Near, Drawn int             // of the committee: beacons near the claim, and drawn
	Limits      exchange.Limits // of an exchange; zero: the defaults
	Clock       stamp.Clock     // of everybody; nil: the host's, or Go's where time is virtual
	Budget      lock.Units      // of each chip
	Want        lock.Units      // units that a core asks for at a time
}

// Stage is a running system. Its methods may be called from many goroutines.
type Stage struct {
	Net     *fabric.Fabric
	Ground  *world.Network // moves hosts
	Made    *Constellation
	Beacons []*Beacon
	Cores   []*Core
	Gate    *grant.Gate
	Store   store.Store

	cfg    Config
	at     string // the gate's address
	closer []func()

	mu      sync.Mutex // guards decided
	decided map[identity.ID]Decided
}

// Decided is a decision of the gate with the request that it answers.
type Decided struct {
	Request  grant.Request
	Decision grant.Decision
}

// Beacon is a running beacon.
type Beacon struct {
	BeaconSpec
	Machine
	Conn   *fabric.Endpoint
	Clock  *adversary.Lever
	Server *server.Server
}

// Clock returns the host's clocks, or Go's under testing/synctest, where the host's raw clock would go on while time stands still.
func Clock() (stamp.Clock, error) {
	if delayline.Virtual() {
		return timing.GoClock{Q: stamp.Quality{GranularityNS: 1, ErrPPB: stamp.QuartzPPB}}, nil
	}
	return timing.HostClock()
}

// Start starts every program. Close ends them, also after an error.
func Start(ctx context.Context, cfg Config) (*Stage, error) {
	s := &Stage{cfg: cfg, decided: map[identity.ID]Decided{}}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context) (err error) {
	if s.cfg.Clock == nil {
		if s.cfg.Clock, err = Clock(); err != nil {
			return err
		}
	}
	s.Ground = s.cfg.World.Network()
	var path fabric.Path = s.Ground
	if s.cfg.Path != nil {
		path = s.cfg.Path(s.Ground)
	}
	if s.Net, err = fabric.New(fabric.Config{Seed: s.cfg.Seed, Path: path, Overtake: s.cfg.Overtake}); err != nil {
		return err
	}
	s.onClose(func() { _ = s.Net.Close() })
	sites, err := s.placeBeacons()
	if err != nil {
		return err
	}
	keys := 0
	for _, c := range s.cfg.Cores {
		if c.CloneOf == "" {
			keys++
		}
	}
	if s.Made, err = Found(ctx, Audience, sites, keys, time.Now()); err != nil {
		return err
	}
	for i, b := range s.Beacons {
		b.Machine = s.Made.Beacons[i]
		if b.Server, err = s.serve(b.Conn, b.Machine, b.Clock); err != nil {
			return err
		}
	}
	if err := s.openGate(ctx); err != nil {
		return err
	}
	return s.makeCores(ctx)
}

// Close ends every program and waits for it.
func (s *Stage) Close() {
	for i := len(s.closer) - 1; i >= 0; i-- {
		s.closer[i]()
	}
	s.closer = nil
}

func (s *Stage) onClose(f func()) { s.closer = append(s.closer, f) }

// Listen opens a socket of a host of its own at a place.
func (s *Stage) Listen(name string, at world.Place) (*fabric.Endpoint, error) {
	e, err := s.Net.Listen(name, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	s.Ground.Place(e.AddrPort().Addr(), at)
	return e, nil
}

func (s *Stage) placeBeacons() ([]Site, error) {
	var sites []Site
	for _, spec := range s.cfg.Beacons {
		e, err := s.Listen("beacon "+spec.Name, spec.At)
		if err != nil {
			return nil, err
		}
		s.Beacons = append(s.Beacons, &Beacon{BeaconSpec: spec, Conn: e, Clock: adversary.NewLever(s.cfg.Clock)})
		sites = append(sites, Site{Place: spec.Name, At: spec.At.At, Domains: []string{spec.Domain}, Address: e.AddrPort().String()})
	}
	return sites, nil
}

// serve starts a beacon's daemon on an endpoint.
func (s *Stage) serve(conn *fabric.Endpoint, m Machine, clock stamp.Clock) (*server.Server, error) {
	cfg := server.Config{Key: m.Key, Directory: s.Made.Directory, Attestation: m.Result, Clock: clock, Limits: s.cfg.Limits, Drain: time.Millisecond}
	if !s.cfg.Lenient {
		cfg.Appraised = attest.Vouched(Audience)
	}
	srv, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	s.onClose(func() { cancel(); running.Wait() })
	running.Go(func() { _ = srv.Serve(ctx, conn) })
	return srv, nil
}

// Impostor serves a beacon's key a second time, at another place and with a clock of its own: what a thief of the key can do.
func (s *Stage) Impostor(of *Beacon, at world.Place) (*fabric.Endpoint, *server.Server, error) {
	e, err := s.Listen("impostor of "+of.Name, at)
	if err != nil {
		return nil, nil, err
	}
	srv, err := s.serve(e, of.Machine, s.cfg.Clock)
	return e, srv, err
}

// openGate opens the store and serves HTTP/3.
func (s *Stage) openGate(ctx context.Context) error {
	st, err := store.OpenSQLite(ctx, filepath.Join(s.cfg.Dir, "gate.db"), store.Options{})
	if err != nil {
		return err
	}
	s.onClose(func() { _ = st.Close() })
	s.Store = st
	s.Gate, err = grant.New(ctx, grant.Config{Key: s.Made.Gate, Store: st, Directory: s.Made.Directory,
		Policy: s.cfg.Policy(s.Made.Expect), Metro: s.cfg.Near, Random: s.cfg.Drawn})
	if err != nil {
		return err
	}
	srv, err := gate.New(gate.Config{Gate: s.Gate, Decided: s.note})
	if err != nil {
		return err
	}
	conn, err := s.Listen("gate", s.cfg.Gate)
	if err != nil {
		return err
	}
	s.at = conn.AddrPort().String()
	var running sync.WaitGroup
	s.onClose(func() { _ = srv.Close(); running.Wait() })
	running.Go(func() { _ = srv.ServeQUIC(conn) })
	return nil
}

// note keeps a core's newest decision.
func (s *Stage) note(r grant.Request, d grant.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decided[r.Core] = Decided{r, d}
}

// take returns a core's newest decision and forgets it.
func (s *Stage) take(core identity.ID) (Decided, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.decided[core]
	delete(s.decided, core)
	return d, ok
}

// Resolve reads the numeric addresses of a stage.
func Resolve(_ context.Context, address string) (net.Addr, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrAddress, address)
	}
	return net.UDPAddrFromAddrPort(a), nil
}

// ErrAddress reports an address that no endpoint of a stage has.
var ErrAddress = errors.New("not an address of the stage")
