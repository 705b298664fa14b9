package box

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// arm gives the core what its attack owns.
func (b *Box) arm(cfg *prober.Config, core *fabric.Endpoint) (err error) {
	switch b.cfg.Scene.Attack {
	case adversary.AddDelay:
		core.InterceptOut(adversary.Shaper(b.holds()))
	case adversary.Relay:
		cfg.Resolve, err = b.bridges(core)
	case adversary.LyingBeacon:
		cfg.Clock, err = b.slowClock()
	}
	return err
}

// holds returns by how much each beacon's round trip falls short of the one from the claimed place.
func (b *Box) holds() map[netip.AddrPort]time.Duration {
	scene := b.cfg.Scene
	holds := map[netip.AddrPort]time.Duration{}
	for i, beacon := range scene.Beacons {
		claimed, ok1 := scene.World.MinRTT(beacon, scene.Claim)
		stands, ok2 := scene.World.MinRTT(beacon, scene.Stands)
		if ok1 && ok2 && claimed > stands {
			holds[b.beacons[i].AddrPort()] = (claimed - stands).Duration()
		}
	}
	return holds
}

// bridges stands a relay at the claimed place before every beacon, and returns the way to them.
func (b *Box) bridges(core *fabric.Endpoint) (func(context.Context, string) (net.Addr, error), error) {
	to := map[string]net.Addr{}
	host := b.cfg.Scene.World.Host(b.cfg.Scene.Claim, "relay")
	for i, beacon := range b.beacons {
		e, err := b.listen(fmt.Sprintf("relay %d", i+1), host)
		if err != nil {
			return nil, err
		}
		e.InterceptIn(adversary.Bridge(e, core.AddrPort(), beacon.AddrPort()))
		to[beacon.AddrPort().String()] = e.LocalAddr()
	}
	return func(ctx context.Context, address string) (net.Addr, error) {
		if a, ok := to[address]; ok {
			return a, nil
		}
		return resolve(ctx, address)
	}, nil
}

// slowClock makes the true round trip between the liar and the core read like one to the claimed place.
func (b *Box) slowClock() (stamp.Clock, error) {
	scene := b.cfg.Scene
	truth, ok := scene.World.MinRTT(scene.Beacons[liar], scene.Stands)
	if !ok {
		return nil, fmt.Errorf("%w %s: no path between the beacon and the core", ErrStage, scene.Attack)
	}
	lie, ok := scene.World.MinRTT(scene.Beacons[liar], scene.Claim)
	if !ok {
		lie = leastLie
	}
	lie = min(max(lie, leastLie), max(truth-1, earth.RTT(1)))
	clock := adversary.NewLever(b.cfg.Clock)
	clock.Slow(int64(lie), int64(truth))
	return clock, nil
}
