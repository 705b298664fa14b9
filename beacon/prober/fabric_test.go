package prober_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

var virtual = timing.GoClock{Q: stamp.Quality{GranularityNS: 1, ErrPPB: 1}}

// star is a path that delays by the beacon's own one-way delay, looked up by its address.
type star map[netip.AddrPort]fabric.Link

func (s star) Delay(from, to netip.AddrPort, size int, rnd *rand.Rand) (time.Duration, bool) {
	if l, ok := s[from]; ok {
		return l.Delay(from, to, size, rnd)
	}
	return s[to].Delay(from, to, size, rnd)
}

// constellation is a world over the fabric, inside a synctest bubble.
type constellation struct {
	*exchangetest.World
	fabric *fabric.Fabric
	core   *identity.Private
	socket net.PacketConn
	links  map[string]fabric.Link
}

// build serves one beacon for each link, named by it, and runs until the returned function is called.
func build(t *testing.T, links map[string]fabric.Link, edit func(name string, c *server.Config)) (*constellation, func()) {
	t.Helper()
	return buildOn(t, fabric.Config{Seed: 1}, links, edit)
}

// buildOn is build over a network with other properties.
func buildOn(t *testing.T, network fabric.Config, links map[string]fabric.Link, edit func(name string, c *server.Config)) (*constellation, func()) {
	t.Helper()
	paths := star{}
	network.Path = paths
	f, err := fabric.New(network)
	if err != nil {
		t.Fatal(err)
	}
	c := &constellation{fabric: f, core: exchangetest.Key(t, identity.RoleCore, "core"), links: links}
	var places []exchangetest.Place
	var sockets []*fabric.Endpoint
	for name, link := range links {
		e, err := f.Listen(name, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		paths[e.AddrPort()] = link
		sockets = append(sockets, e)
		places = append(places, exchangetest.Place{Name: name, At: earth.LatLon{Lat: 50, Lon: 8}, Address: e.AddrPort().String()})
	}
	c.World = exchangetest.New(t, time.Now(), places...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(places))
	for i, e := range sockets {
		cfg := server.Config{Key: c.Beacons[i], Directory: c.Directory, Attestation: []byte("beacon result"), Clock: virtual}
		if edit != nil {
			edit(places[i].Name, &cfg)
		}
		s, err := server.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- s.Serve(ctx, e) }()
	}
	if c.socket, err = f.Listen("core", netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	return c, func() {
		cancel()
		for range places {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// probe runs the core with the usual configuration, which edit may change.
func (c *constellation) probe(t *testing.T, edit func(*prober.Config)) prober.Outcome {
	t.Helper()
	cfg := prober.Config{Key: c.core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: c.Directory, Conn: c.socket, Attestation: []byte("core result"), Clock: virtual}
	if edit != nil {
		edit(&cfg)
	}
	out, err := prober.Run(t.Context(), cfg, c.Challenge(t, c.core.ID(), nil))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFabricMeasuresExactly(t *testing.T) {
	for _, path := range []exchange.PathKind{exchange.PathWrapped, exchange.PathTransport, exchange.PathDatagram} {
		t.Run(path.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				links := map[string]fabric.Link{
					"near": {OneWay: 250 * time.Microsecond}, "middle": {OneWay: 12 * time.Millisecond}, "far": {OneWay: 75 * time.Millisecond},
				}
				c, stop := build(t, links, func(_ string, s *server.Config) { s.Path = path })
				defer stop()
				out := c.probe(t, func(p *prober.Config) { p.Path = path })
				for _, f := range out.Failures {
					t.Errorf("%s: %v", f.Place, f.Err)
				}
				for _, a := range out.Answers {
					want := 2 * links[a.Beacon.Place].OneWay
					t.Logf("%s: %v, beacon %d ns, core %d ns, %d rounds", a.Beacon.Place, a.Elapsed, a.Statement.RTTBeaconMinNS, a.Statement.RTTCoreMinNS, a.Statement.RoundsOK)
					if got := time.Duration(a.Statement.RTTBeaconMinNS); got != want {
						t.Errorf("%s: beacon measured %v, want %v", a.Beacon.Place, got, want)
					}
					if a.Elapsed > 2500*time.Millisecond {
						t.Errorf("%s took %v", a.Beacon.Place, a.Elapsed)
					}
				}
				if len(out.Answers) == 3 {
					verifyProof(t, c.World, c.core, c.Challenge(t, c.core.ID(), nil), out)
				}
			})
		})
	}
}

// halfClock runs at half speed, in virtual time.
type halfClock struct{}

func (halfClock) RealNS() int64          { return virtual.RealNS()/2 + 946684800e9/2 }
func (halfClock) RawNS() int64           { return virtual.RawNS() / 2 }
func (halfClock) Quality() stamp.Quality { return virtual.Q }

func udpAddr(t *testing.T, address string) net.Addr {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
