package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// paths lists the ways that rounds may travel, quickest last.
func paths() []exchange.PathKind {
	return []exchange.PathKind{exchange.PathDatagram, exchange.PathTransport, exchange.PathWrapped, exchange.PathSteered}
}

// host is one end of a path: a socket, QUIC on it, and the port of its rounds (nil on the datagram path, where each connection has one).
type host struct {
	path      exchange.PathKind
	clock     stamp.Clock
	conn      net.PacketConn
	transport *quic.Transport
	port      timing.Port
	closers   []func() error // in this order
}

const anyPort = "127.0.0.1:0"

// socketOf opens the socket of a path that takes rounds out below QUIC, or returns nil.
func socketOf(path exchange.PathKind, clock stamp.Clock, mode exchange.Mode) (timing.Socket, func() error, error) {
	switch path {
	case exchange.PathSteered:
		s, err := timing.Steer("udp4", anyPort, clock, mode)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case exchange.PathWrapped:
		udp, err := loopback()
		if err != nil {
			return nil, nil, err
		}
		s, err := timing.Wrap(udp, clock)
		return s, func() error { return errors.Join(s.Close(), udp.Close()) }, err
	}
	return nil, nil, nil
}

func loopback() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
}

func openHost(path exchange.PathKind, clock stamp.Clock, mode exchange.Mode) (*host, error) {
	h := &host{path: path, clock: clock}
	socket, closeSocket, err := socketOf(path, clock, mode)
	if err != nil {
		return nil, err
	}
	if socket != nil {
		h.port, h.conn = socket, socket.Conn()
	} else {
		udp, err := loopback()
		if err != nil {
			return nil, err
		}
		h.conn, closeSocket = udp, udp.Close
	}
	h.transport = &quic.Transport{Conn: h.conn}
	if path == exchange.PathTransport {
		h.port = timing.NewTransportPort(h.transport, clock)
		h.closers = append(h.closers, h.port.Close)
	}
	h.closers = append(h.closers, h.transport.Close, closeSocket)
	return h, nil
}

// wake lets QUIC read the socket, without which a wrapped port sees nothing. A host that dials or listens is awake.
func (h *host) wake() error {
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		return err
	}
	l, err := h.transport.Listen(conf, channel.QUIC(1, h.path == exchange.PathDatagram))
	if err == nil {
		h.closers = append([]func() error{l.Close}, h.closers...)
	}
	return err
}

func (h *host) address() string { return h.conn.LocalAddr().String() }

func (h *host) close() {
	for _, c := range h.closers {
		_ = c()
	}
}

// beaconSide runs the beacon's machine on an accepted connection until it is over. Through may stand a measuring port before the real one.
func (w *world) beaconSide(ctx context.Context, h *host, conn *quic.Conn, limits exchange.Limits, through func(timing.Port) timing.Port) error {
	ch, err := channel.Check(conn)
	if err != nil {
		return err
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	b, err := exchange.NewBeacon(exchange.BeaconConfig{
		Key: w.beacon, Limits: limits, Quality: h.clock.Quality(), Path: h.path, Binding: ch.Binding, ChannelKey: ch.Key, Random: rand.Reader,
		Directory: w.directory, UnixNS: time.Now().UnixNano(), Attestation: beaconResult, Validity: time.Hour,
	})
	if err != nil {
		return err
	}
	port := h.port
	if port == nil {
		datagrams := timing.NewDatagramPort(conn, h.clock)
		defer func() { _ = datagrams.Close() }()
		port = datagrams
	}
	err = drive.Run(ctx, drive.Config{Machine: b, Stream: stream, Port: through(port), Peer: conn.RemoteAddr()})
	_ = stream.Close()
	return err
}

// coreSide dials a beacon, runs one exchange and returns what the core has after it.
func (w *world) coreSide(ctx context.Context, h *host, mode exchange.Mode, address string) (exchange.CoreResult, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return exchange.CoreResult{}, err
	}
	conn, err := h.transport.Dial(ctx, to, channel.ClientTLS(), channel.QUIC(-1, h.path == exchange.PathDatagram))
	if err != nil {
		return exchange.CoreResult{}, fmt.Errorf("dialling: %w", err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return exchange.CoreResult{}, err
	}
	core, err := exchange.NewCore(exchange.CoreConfig{
		Key: w.core, TimedKey: w.timed, Directory: w.directory, Beacon: w.only().ID(), UnixNS: time.Now().UnixNano(), Quality: h.clock.Quality(), Mode: mode,
		Challenge: w.letter.Challenge, Asked: w.asked, Previous: statement.FirstProof(w.core.ID()), Attestation: coreResult,
		Binding: ch.Binding, ChannelKey: ch.Key, Random: rand.Reader,
	})
	if err != nil {
		return exchange.CoreResult{}, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return exchange.CoreResult{}, err
	}
	port := h.port
	if port == nil {
		datagrams := timing.NewDatagramPort(conn, h.clock)
		defer func() { _ = datagrams.Close() }()
		port = datagrams
	}
	if err := drive.Run(ctx, drive.Config{Machine: core, Stream: stream, Port: port, Peer: to}); err != nil {
		return exchange.CoreResult{}, err
	}
	_ = stream.Close()
	_ = stream.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = stream.Read(make([]byte, 1)) // until the beacon has the countersignature
	result, _ := core.Result()
	return result, nil
}

// burst is the limits of an exchange of exactly so many rounds, one after the other.
func burst(rounds uint16) exchange.Limits {
	l := exchange.DefaultLimits()
	l.MinRounds, l.MaxRounds, l.Agree, l.Spread = min(l.MinRounds, rounds), rounds, 0, 0
	l.Budget = l.Deadline
	return l
}
