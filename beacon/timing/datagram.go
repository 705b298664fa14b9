package timing

import (
	"context"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// DatagramPort carries the rounds of one QUIC connection in its DATAGRAM frames (RFC 9221): the fallback where other packets do
// not pass. A departure is taken before SendDatagram, so whatever QUIC sends first (an acknowledgement, a probe) only lengthens
// the interval.
type DatagramPort struct {
	*demux
	conn   *quic.Conn
	cancel context.CancelFunc
	done   sync.WaitGroup
}

var _ Port = (*DatagramPort)(nil)

// NewDatagramPort starts reading the connection's datagrams. Nobody else may read them until Close.
func NewDatagramPort(conn *quic.Conn, clock stamp.Clock) *DatagramPort {
	ctx, cancel := context.WithCancel(conn.Context())
	p := &DatagramPort{demux: newDemux(exchange.PathDatagram, clock), conn: conn, cancel: cancel}
	p.done.Go(func() { p.read(ctx) })
	return p
}

func (p *DatagramPort) read(ctx context.Context) {
	var packet exchange.Packet
	for {
		var payload []byte
		receipt, err := stamp.Receive(p.clock, func() (err error) {
			payload, err = p.conn.ReceiveDatagram(ctx)
			return err
		})
		if err != nil {
			return
		}
		if h := p.find(&packet, payload, p.conn.RemoteAddr()); h != nil {
			p.deliver(h, &packet, receipt)
		}
	}
}

// Open implements Port. Packets come through the connection, so peer must be its remote address.
func (p *DatagramPort) Open(s exchange.Session, peer net.Addr, h Handler) (Path, error) {
	if err := p.add(s, peer, h); err != nil {
		return nil, err
	}
	write := func(packet *exchange.Packet) error { return p.conn.SendDatagram(packet[:]) }
	return &session{d: p.demux, id: s, write: write}, nil
}

// Close implements Port.
func (p *DatagramPort) Close() error {
	p.demux.close()
	p.cancel()
	p.done.Wait()
	return nil
}
