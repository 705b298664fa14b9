package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// blockRounds is how many round trips a block holds: those of one exchange at most.
const blockRounds = exchange.MaxRoundsEver

// series is what one variant measured: all round trips, and the figures of each block, by turn.
type series struct {
	row       RoundTrip
	all       []int64
	p50, mins []float64 // of each block
}

// add files a block. One that holds nothing keeps its place, so that blocks of one turn stay side by side.
func (s *series) add(block []int64, refused int) {
	s.row.Refused += refused
	sum, ok := summarise(block)
	if !ok {
		s.p50, s.mins = append(s.p50, math.NaN()), append(s.mins, math.NaN())
		return
	}
	s.p50, s.mins = append(s.p50, float64(sum.P50NS)), append(s.mins, float64(sum.MinNS))
	s.all = append(s.all, block...)
}

// roundTrips measures echoes and rounds of all paths in turn.
func (n *near) roundTrips(ctx context.Context, budget time.Duration) error {
	var variants []variant
	var all []*series
	for _, make := range []func(context.Context) ([]variant, []*series, error){n.echoes, n.portEchoes, n.rounds} {
		v, s, err := make(ctx)
		if err != nil {
			return err
		}
		variants, all = append(variants, v...), append(all, s...)
	}
	failed, err := interleave(ctx, variants, budget, n.cfg.turns, n.rnd, func(share float64) { n.progress("round trips", share, RoundTrips) })
	n.report.FailedBlocks += failed
	if err != nil {
		return err
	}
	n.report.file(all)
	return nil
}

// progress tells the share of the whole run.
func (n *near) progress(what string, share float64, part Part) {
	if n.cfg.Only == 0 {
		share /= 2
		if part == Costs {
			share += 0.5
		}
	}
	n.cfg.Progress(what, share)
}

// echoes are the bare ones: what the machine itself needs.
func (n *near) echoes(ctx context.Context) (variants []variant, all []*series, err error) {
	raw, name := echoRaw, "UDP echo, plain system calls"
	if n.cfg.CPUs == Two {
		raw, name = echoSpin, "UDP echo, plain system calls, the far side spins"
	}
	for _, e := range []struct {
		kind echoKind
		name string
		what What
	}{{raw, name, Floor}, {echoGo, "UDP echo, net.UDPConn", GoEcho}} {
		pair, err := openEcho(e.kind, n.clock, n.far)
		if errors.Is(err, ErrPlatform) {
			n.note("%s: %v", e.name, err)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", e.name, err)
		}
		n.onClose(pair.close)
		user := &series{row: RoundTrip{Name: e.name, What: e.what, Stamps: stamp.User.String()}}
		kernel := &series{row: RoundTrip{Name: e.name, What: e.what, Stamps: stamp.Kernel.String()}}
		all = append(all, user, kernel)
		variants = append(variants, variant{e.name, func(ctx context.Context) error {
			err := pair.block(ctx, blockRounds)
			user.add(pair.user.take())
			kernel.add(pair.kernel.take())
			user.row.Lost, kernel.row.Lost = pair.lost, pair.lost
			return err
		}})
	}
	return variants, all, nil
}

// portEchoes send round packets to and fro through ports, without machines and MACs: what is left then is the port's own.
func (n *near) portEchoes(context.Context) (variants []variant, all []*series, err error) {
	for _, path := range paths() {
		if path != exchange.PathWrapped && path != exchange.PathSteered {
			continue
		}
		name := fmt.Sprintf("%v path, echo without MAC%s", path, n.spins(path))
		p, err := n.openPortEcho(path)
		if errors.Is(err, timing.ErrSteering) {
			continue // told by rounds
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		s := &series{row: RoundTrip{Name: name, What: PortEcho, Path: path.String(), Stamps: stamp.Kernel.String()}}
		all = append(all, s)
		variants = append(variants, variant{name, func(ctx context.Context) error {
			err := p.block(ctx, blockRounds)
			s.add(p.sink.take())
			s.row.Lost = p.lost
			return err
		}})
	}
	return variants, all, nil
}

// mode is how the far side waits on a path: it spins where it can when it has a processor of its own.
func (n *near) mode(path exchange.PathKind) exchange.Mode {
	if path == exchange.PathSteered && n.cfg.CPUs == Two {
		return exchange.ModeSpinning
	}
	return exchange.ModeBlocking
}

func (n *near) spins(path exchange.PathKind) string {
	if n.mode(path) == exchange.ModeSpinning {
		return ", the core spins"
	}
	return ""
}

// portEcho is the asking side of an echo on a port.
type portEcho struct {
	path  timing.Path
	clock stamp.Clock
	sink  sink
	came  chan uint16
	lost  int

	mu    sync.Mutex
	asked uint16
	out   stamp.Departure
}

func (n *near) openPortEcho(path exchange.PathKind) (*portEcho, error) {
	h, err := openHost(path, n.clock, exchange.ModeBlocking)
	if err != nil {
		return nil, err
	}
	n.onClose(h.close)
	if err := h.wake(); err != nil {
		return nil, err
	}
	mode := n.mode(path)
	r, err := n.far.call(request{Do: doOpen, Path: path, Mode: mode})
	if err != nil {
		return nil, err
	}
	to, err := net.ResolveUDPAddr("udp4", r.Address)
	if err != nil {
		return nil, err
	}
	name := "echo " + path.String()
	p := &portEcho{clock: n.clock, came: make(chan uint16, 1)}
	if p.path, err = h.port.Open(sessionOf(name), to, p.handle); err != nil {
		return nil, err
	}
	_, err = n.far.call(request{Do: doRounds, Path: path, Mode: mode, Session: name, Addresses: []string{h.address()}})
	return p, err
}

// handle ends a round on the goroutine that read it.
func (p *portEcho) handle(packet *exchange.Packet, r stamp.Receipt) {
	arrival, err := r.Arrival()
	p.mu.Lock()
	defer p.mu.Unlock()
	if packet.Index() != p.asked {
		return
	}
	if err != nil {
		p.sink.add(stamp.Interval{}, err)
	} else {
		p.sink.add(stamp.Between(p.out, arrival, p.clock.Quality().GranularityNS))
	}
	select {
	case p.came <- packet.Index():
	default:
	}
}

func (p *portEcho) block(ctx context.Context, rounds int) error {
	var packet exchange.Packet
	lost, late := 0, time.NewTimer(time.Hour)
	defer late.Stop()
	for i := range rounds {
		if err := roundPacket(&packet, sessionOf("echo "+p.path.Kind().String()), uint16(i)); err != nil {
			return err
		}
		rest(pause)
		p.mu.Lock()
		out, err := p.path.Send(&packet)
		p.asked, p.out = uint16(i), out
		p.mu.Unlock()
		if err != nil {
			return err
		}
		late.Reset(lostAfter)
		select {
		case <-p.came:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			if lost++; lost > 3+rounds/4 {
				return errLost
			}
		}
	}
	p.lost += lost
	return nil
}

// roundPacket makes a well-formed challenge with no MAC.
func roundPacket(p *exchange.Packet, s exchange.Session, index uint16) error {
	raw := [exchange.PacketSize]byte{exchange.CH, exchange.Suite, byte(index >> 8), byte(index)}
	copy(raw[4:], s[:])
	return exchange.ParsePacket(p, raw[:])
}

// rounds are those of real exchanges, between the machines of a beacon and a core, over every path that this host has.
func (n *near) rounds(ctx context.Context) (variants []variant, all []*series, err error) {
	for _, path := range paths() {
		name := fmt.Sprintf("%v path, round of an exchange%s", path, n.spins(path))
		to := &sink{}
		h, err := n.openBeacon(ctx, path, burst(blockRounds), to)
		if errors.Is(err, timing.ErrSteering) {
			n.note("no steered path: %v", err)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		source := stamp.Kernel
		if path == exchange.PathDatagram || path == exchange.PathTransport {
			source = stamp.User
		}
		s := &series{row: RoundTrip{Name: name, What: Round, Path: path.String(), Stamps: source.String()}}
		all = append(all, s)
		q := request{Do: doSessions, Path: path, Mode: n.mode(path), Addresses: []string{h.address()}, Count: 1, Parallel: 1}
		variants = append(variants, variant{name, func(context.Context) error {
			_, err := n.far.call(q)
			block, refused := to.take()
			s.row.Lost += blockRounds - len(block) - refused
			s.add(block, refused)
			return err
		}})
	}
	return variants, all, nil
}

// openBeacon serves exchanges on a host and files their round trips.
func (n *near) openBeacon(ctx context.Context, path exchange.PathKind, limits exchange.Limits, to *sink) (*host, error) {
	h, err := openHost(path, n.clock, exchange.ModeBlocking)
	if err != nil {
		return nil, err
	}
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		h.close()
		return nil, err
	}
	l, err := h.transport.Listen(conf, channel.QUIC(1, path == exchange.PathDatagram))
	if err != nil {
		h.close()
		return nil, err
	}
	through := func(p timing.Port) timing.Port { return meter{Port: p, clock: n.clock, sink: to} }
	var serving sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the run is closed: the other end waits for answers
	serving.Go(func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			serving.Go(func() { n.attend(ctx, h, conn, limits, through) })
		}
	})
	n.onClose(func() { cancel(); serving.Wait(); _ = l.Close(); h.close() })
	return h, nil
}

// attend runs one exchange and lets the core close first, so that it has read everything.
func (n *near) attend(ctx context.Context, h *host, conn *quic.Conn, limits exchange.Limits, through func(timing.Port) timing.Port) {
	_ = n.world.beaconSide(ctx, h, conn, limits, through) // the core's side reports what fails
	select {
	case <-conn.Context().Done():
	case <-ctx.Done():
	}
	_ = conn.CloseWithError(0, "")
}
