package bench

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
)

// Relay puts a one-way delay between a server and its clients, who knock at the returned address instead; halfEmpty adds queues that half of
// the packets find empty and the others wait in for 2 ms on average, both ways. It must never be early.
type Relay func(server string, oneWay time.Duration, halfEmpty bool) (address string, stop func(), err error)

// starRounds is how many rounds each measurement takes the minimum of, and starRTTs are the configured round trips of the star's rays.
const starRounds = 16

var starRTTs = []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}

// Ray says what a star of one core and several beacons showed over one path: by how much the minimum of sixteen rounds exceeds what was configured.
type Ray struct {
	Path       string  `json:"path"` // udp for a bare echo
	HalfEmpty  bool    `json:"half_empty_queues"`
	Sessions   int     `json:"sessions"`
	Rounds     int     `json:"rounds"`
	ExcessP50  float64 `json:"excess_p50_ns"`
	LeastNS    int64   `json:"least_excess_ns"`     // over all rounds
	Least40NS  int64   `json:"least_of_40ms_ns"`    // the smallest round trip on the ray of 40 ms
	BelowCount int     `json:"rounds_below_delay"`  // must be 0
	FailedRuns int     `json:"failed_measurements"` // of all rays at once
}

// arm is one path of the star with one law: a beacon and a relay for each ray.
type arm struct {
	path      exchange.PathKind // 0: a bare echo
	halfEmpty bool
	addresses []string // of the relays
	sinks     []*sink
	echoes    []*echo
	excess    []float64
	row       Ray
}

// star measures until the budget is used, all rays of an arm at once and the arms in random order.
func (n *near) star(ctx context.Context, budget time.Duration) error {
	side := exchange.PathSteered
	if h, err := openHost(side, n.clock, exchange.ModeBlocking); err != nil {
		side = exchange.PathWrapped
	} else {
		h.close()
	}
	var arms []*arm
	var variants []variant
	for _, halfEmpty := range []bool{false, true} {
		for _, path := range []exchange.PathKind{0, side, exchange.PathDatagram} {
			a, err := n.openArm(ctx, path, halfEmpty)
			if err != nil {
				return fmt.Errorf("star, %s: %w", a.row.Path, err)
			}
			arms = append(arms, a)
			variants = append(variants, variant{"star, " + a.row.Path, func(ctx context.Context) error { return n.measure(ctx, a) }})
		}
	}
	failed, err := interleave(ctx, variants, budget, n.cfg.turns, n.rnd, func(share float64) { n.cfg.Progress("star of beacons", share) })
	n.report.FailedBlocks += failed
	for _, a := range arms {
		a.row.ExcessP50, _ = median(a.excess)
		a.row.Sessions = len(a.excess)
		n.report.Star = append(n.report.Star, a.row)
	}
	return err
}

func (n *near) openArm(ctx context.Context, path exchange.PathKind, halfEmpty bool) (*arm, error) {
	a := &arm{path: path, halfEmpty: halfEmpty, row: Ray{Path: "udp", HalfEmpty: halfEmpty}}
	if path != 0 {
		a.row.Path = path.String()
	}
	for _, rtt := range starRTTs {
		if path == 0 {
			if err := n.openRayEcho(a, rtt); err != nil {
				return a, err
			}
			continue
		}
		to := &sink{}
		h, err := n.openBeacon(ctx, path, burst(starRounds), to)
		if err != nil {
			return a, err
		}
		if err := n.relay(a, h.address(), rtt); err != nil {
			return a, err
		}
		a.sinks = append(a.sinks, to)
	}
	return a, nil
}

func (n *near) relay(a *arm, server string, rtt time.Duration) error {
	address, stop, err := n.cfg.Relay(server, rtt/2, a.halfEmpty)
	if err == nil {
		n.onClose(stop)
		a.addresses = append(a.addresses, address)
	}
	return err
}

// openRayEcho lets the far side knock, so that this side, which measures, learns where it is.
func (n *near) openRayEcho(a *arm, rtt time.Duration) error {
	near, err := newGoEchoer()
	if err != nil {
		return err
	}
	n.onClose(near.close)
	if err := n.relay(a, near.address(), rtt); err != nil {
		return err
	}
	if _, err := n.far.call(request{Do: doKnock, Echo: echoGo, Addresses: a.addresses[len(a.addresses)-1:]}); err != nil {
		return err
	}
	e := near.(*goEchoer)
	_ = e.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, from, err := e.conn.ReadFromUDPAddrPort(e.buffer[:])
	if err != nil {
		return err
	}
	e.to = from
	a.echoes = append(a.echoes, &echo{echoer: near, clock: n.clock})
	return nil
}

// measure takes one minimum on every ray of an arm.
func (n *near) measure(ctx context.Context, a *arm) error {
	err := n.runArm(ctx, a)
	for i, rtt := range starRTTs {
		var block []int64
		if a.path == 0 {
			block, _ = a.echoes[i].kernel.take()
			a.echoes[i].user.take()
		} else {
			block, _ = a.sinks[i].take()
		}
		a.file(rtt, block)
	}
	if err != nil {
		a.row.FailedRuns++
	}
	return err
}

func (n *near) runArm(ctx context.Context, a *arm) error {
	if a.path != 0 {
		_, err := n.far.call(request{Do: doSessions, Path: a.path, Mode: exchange.ModeBlocking, Addresses: a.addresses, Count: 1, Parallel: len(a.addresses)})
		return err
	}
	errs := make([]error, len(a.echoes))
	var all sync.WaitGroup
	for i, e := range a.echoes {
		all.Go(func() { errs[i] = e.block(ctx, starRounds) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// file keeps the excess of a whole block, and whatever is below the delay of any.
func (a *arm) file(rtt time.Duration, block []int64) {
	for _, ns := range block {
		excess := ns - int64(rtt)
		if a.row.Rounds == 0 || excess < a.row.LeastNS {
			a.row.LeastNS = excess
		}
		if excess < 0 {
			a.row.BelowCount++
		}
		if rtt == 40*time.Millisecond && (a.row.Least40NS == 0 || ns < a.row.Least40NS) {
			a.row.Least40NS = ns
		}
		a.row.Rounds++
	}
	if sum, ok := summarise(block); ok && sum.N >= starRounds*3/4 {
		a.excess = append(a.excess, float64(sum.MinNS-int64(rtt)))
	}
}

// knock is the far side of a ray's echo: it answers whoever stands behind an address, and says hello first.
func knock(at string) (stop func(), err error) {
	to, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, err
	}
	conn, err := loopback()
	if err != nil {
		return nil, err
	}
	go echoTo(conn, to)
	if _, err := conn.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return func() { _ = conn.Close() }, nil
}
