package timing

import (
	"context"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// TransportPort carries rounds as non-QUIC packets through a quic.Transport. It works over any net.PacketConn, the simulated fabric
// included; arrivals are user stamps taken after the transport handed the packet over, so they include two goroutine switches.
type TransportPort struct {
	*demux
	transport *quic.Transport
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

var _ Port = (*TransportPort)(nil)

// NewTransportPort starts reading the transport's non-QUIC packets. Nobody else may read them until Close.
func NewTransportPort(t *quic.Transport, clock stamp.Clock) *TransportPort {
	ctx, cancel := context.WithCancel(context.Background())
	p := &TransportPort{demux: newDemux(exchange.PathTransport, clock), transport: t, cancel: cancel}
	primed, over := context.WithCancel(ctx)
	over()
	_, _, _ = t.ReadNonQUICPacket(primed, nil) // QUIC drops such packets until somebody has asked once
	p.done.Go(func() { p.read(ctx) })
	return p
}

// read runs until the port or the transport is closed.
func (p *TransportPort) read(ctx context.Context) {
	var packet exchange.Packet
	buffer := make([]byte, 2048)
	for {
		var n int
		var from net.Addr
		receipt, err := stamp.Receive(p.clock, func() (err error) {
			n, from, err = p.transport.ReadNonQUICPacket(ctx, buffer)
			return err
		})
		if err != nil {
			return
		}
		if h := p.find(&packet, buffer[:n], from); h != nil {
			p.deliver(h, &packet, receipt)
		}
	}
}

// Open implements Port.
func (p *TransportPort) Open(s exchange.Session, peer net.Addr, h Handler) (Path, error) {
	if err := p.add(s, peer, h); err != nil {
		return nil, err
	}
	write := func(packet *exchange.Packet) error {
		_, err := p.transport.WriteTo(packet[:], peer)
		return err
	}
	return &session{d: p.demux, id: s, write: write}, nil
}

// Close implements Port.
func (p *TransportPort) Close() error {
	p.demux.close()
	p.cancel()
	p.done.Wait()
	return nil
}
