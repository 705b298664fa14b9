package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// How much one block of each kind holds: some tens of milliseconds.
const (
	handshakeBlock, handshakeParallel = 32, 4
	sessionBlock, sessionParallel     = 8, 4
	answerBlock                       = 4096
	operationBlock                    = 60
)

// ledger is what one variant cost, block by block.
type ledger struct {
	row    Cost
	micros []float64 // processor time for each item, by turn
	sizes  []float64 // items under one signature, by turn
}

// charge runs do, which returns how many items this process has made, and files its processor time.
func (l *ledger) charge(do func() (int, error)) error {
	before, err := processorTime()
	if err != nil {
		return err
	}
	items, err := do()
	if err != nil {
		l.micros = append(l.micros, math.NaN()) // keeps its place among the turns
		return err
	}
	after, err := processorTime()
	if err != nil {
		return err
	}
	l.row.Items += items
	l.micros = append(l.micros, float64(after-before)/1e3/float64(max(1, items)))
	return nil
}

// costs measures what a beacon spends, in turn.
func (n *near) costs(ctx context.Context, budget time.Duration) error {
	if _, err := processorTime(); err != nil {
		n.note("no processor time on this platform: %v", err)
		return nil
	}
	var variants []variant
	var all []*ledger
	for _, make := range []func(context.Context) ([]variant, []*ledger, error){n.answers, n.handshakes, n.sessions, n.operations} {
		v, l, err := make(ctx)
		if err != nil {
			return err
		}
		variants, all = append(variants, v...), append(all, l...)
	}
	failed, err := interleave(ctx, variants, budget, n.cfg.turns, n.rnd, func(share float64) { n.progress("processor time", share, Costs) })
	n.report.FailedBlocks += failed
	if err != nil {
		return err
	}
	n.report.fileCosts(all)
	return nil
}

// answers are requests answered in batches: an echo, and with the hybrid signature of a tree's root.
func (n *near) answers(context.Context) (variants []variant, all []*ledger, err error) {
	public, err := n.world.beacon.Public().MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	for _, v := range []struct {
		kind  Kind
		name  string
		key   *identity.Private
		batch int
	}{
		{EchoAnswer, "answer without signature, batches of 64", nil, 64},
		{Signed64, "answer signed by Ed25519 + ML-DSA-65, batches of 64", n.world.beacon, 64},
		{Signed256, "answer signed by Ed25519 + ML-DSA-65, batches of 256", n.world.beacon, 256},
	} {
		a, err := newAnswerer(v.key, v.batch)
		if err != nil {
			return nil, nil, err
		}
		n.onClose(a.close)
		l := &ledger{row: Cost{Name: v.name, Kind: v.kind}}
		q := request{Do: doAsk, Addresses: []string{a.conn.LocalAddr().String()}, Count: answerBlock, Batch: v.batch, Signed: v.key != nil, Beacon: public}
		all = append(all, l)
		variants = append(variants, variant{v.name, func(context.Context) error {
			batches := a.batches.Load()
			answers := 0
			err := l.charge(func() (int, error) {
				before := a.answers.Load()
				_, err := n.far.call(q)
				answers = int(a.settle() - before)
				return answers, err
			})
			if made := a.batches.Load() - batches; made > 0 {
				l.sizes = append(l.sizes, float64(answers)/float64(made))
			}
			return errors.Join(err, a.failure())
		}})
	}
	return variants, all, nil
}

// settle waits until nothing more is answered and returns how many were.
func (a *answerer) settle() uint64 {
	for last := a.answers.Load(); ; {
		rest(2 * time.Millisecond)
		now := a.answers.Load()
		if now == last {
			return now
		}
		last = now
	}
}

func (a *answerer) failure() error {
	if err := a.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// handshakes are QUIC connections opened and closed, with the address check by Retry as the daemon makes it.
func (n *near) handshakes(ctx context.Context) ([]variant, []*ledger, error) {
	udp, err := loopback()
	if err != nil {
		return nil, nil, err
	}
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		_ = udp.Close()
		return nil, nil, err
	}
	transport := &quic.Transport{Conn: udp, VerifySourceAddress: func(net.Addr) bool { return true }}
	l, err := transport.Listen(conf, channel.QUIC(1, false))
	if err != nil {
		_ = udp.Close()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the run is closed: the other end waits for answers
	over := make(chan struct{}, handshakeBlock)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			context.AfterFunc(conn.Context(), func() { over <- struct{}{} })
		}
	})
	n.onClose(func() { cancel(); _ = l.Close(); accepting.Wait(); _ = transport.Close(); _ = udp.Close() })
	cost := &ledger{row: Cost{Name: "QUIC handshake, X25519MLKEM768, Retry", Kind: Handshake}}
	q := request{Do: doHandshake, Path: exchange.PathTransport, Mode: exchange.ModeBlocking, Addresses: []string{udp.LocalAddr().String()}, Count: handshakeBlock, Parallel: handshakeParallel}
	return []variant{{cost.row.Name, func(ctx context.Context) error {
		return cost.charge(func() (int, error) {
			r, err := n.far.call(q)
			for range r.Count {
				select {
				case <-over:
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			}
			return r.Count, err
		})
	}}}, []*ledger{cost}, nil
}

// sessions are whole exchanges with the daemon, from the handshake to the countersigned statement, of two numbers of rounds: their difference
// is what rounds cost.
func (n *near) sessions(ctx context.Context) (variants []variant, all []*ledger, err error) {
	side := exchange.PathSteered
	for _, v := range []struct {
		path   exchange.PathKind
		rounds uint16
		kind   Kind
	}{{side, 16, Session16}, {side, 64, Session64}, {exchange.PathDatagram, 16, DatagramSession16}, {exchange.PathDatagram, 64, DatagramSession64}} {
		path := v.path
		s, address, err := n.serve(ctx, path, v.rounds)
		if errors.Is(err, timing.ErrSteering) {
			path = exchange.PathWrapped
			s, address, err = n.serve(ctx, path, v.rounds)
		}
		if err != nil {
			return nil, nil, err
		}
		l := &ledger{row: Cost{Name: fmt.Sprintf("session of %d rounds, %v path", v.rounds, path), Kind: v.kind}}
		q := request{Do: doSessions, Path: path, Mode: n.mode(path), Addresses: []string{address}, Count: sessionBlock, Parallel: sessionParallel}
		all = append(all, l)
		variants = append(variants, variant{l.row.Name, func(context.Context) error {
			return l.charge(func() (int, error) {
				r, err := n.far.call(q)
				for range 1000 { // the daemon notices a moment later that a core has gone
					if stats := s.Stats(); stats.InProgress == 0 && stats.Handshakes == 0 {
						break
					}
					rest(time.Millisecond)
				}
				return r.Count, err
			})
		}})
	}
	return variants, all, nil
}

// serve starts the daemon on a path.
func (n *near) serve(ctx context.Context, path exchange.PathKind, rounds uint16) (*server.Server, string, error) {
	socket, closeSocket, err := socketOf(path, n.clock, exchange.ModeBlocking)
	if err != nil {
		return nil, "", err
	}
	cfg := server.Config{
		Key: n.world.beacon, Directory: n.world.directory, Limits: burst(rounds), Clock: n.clock, Attestation: beaconResult,
		MaxPerCore: 4 * sessionParallel, MaxPerPrefix: 4 * sessionParallel, Drain: 100 * time.Millisecond,
	}
	var pc net.PacketConn
	if socket != nil {
		pc = socket.Conn()
	} else {
		udp, err := loopback()
		if err != nil {
			return nil, "", err
		}
		cfg.Path, pc, closeSocket = path, udp, udp.Close
	}
	s, err := server.New(cfg)
	if err != nil {
		_ = closeSocket()
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	serving.Go(func() {
		if socket != nil {
			_ = s.ServeOn(ctx, socket)
		} else {
			_ = s.Serve(ctx, pc)
		}
	})
	n.onClose(func() { cancel(); serving.Wait(); _ = closeSocket() })
	return s, pc.LocalAddr().String(), nil
}

// operations are what exchanges are made of, so that it can be said where their time goes.
func (n *near) operations(context.Context) (variants []variant, all []*ledger, err error) {
	message := make([]byte, 700)
	signature, err := n.world.beacon.Sign(typeAnswer, message)
	if err != nil {
		return nil, nil, err
	}
	beacon, core, timed := n.world.beacon.Public(), n.world.core.Public(), n.world.timed.Public()
	encoded, err := core.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	_, classical, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range []struct {
		kind Kind
		name string
		do   func() error
	}{
		{Sign, "hybrid signature", func() error { _, err := n.world.beacon.Sign(typeAnswer, message); return err }},
		{SignClassical, "Ed25519 signature alone", func() error { _ = ed25519.Sign(classical, message); return nil }},
		{Verify, "verification of a hybrid signature", func() error { return beacon.Verify(typeAnswer, message, signature) }},
		{ParseKey, "reading a core's public key", func() error { _, err := identity.ParsePublic(encoded); return err }},
		{Encapsulate, "X-Wing encapsulation", func() error { _, _, err := timed.Encapsulate(rand.Reader); return err }},
	} {
		l := &ledger{row: Cost{Name: v.name, Kind: v.kind}}
		all = append(all, l)
		variants = append(variants, variant{v.name, func(context.Context) error {
			return l.charge(func() (int, error) {
				for range operationBlock {
					if err := v.do(); err != nil {
						return 0, err
					}
				}
				return operationBlock, nil
			})
		}})
	}
	return variants, all, nil
}
