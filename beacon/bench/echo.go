package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// echoKind is how a bare echo is made.
type echoKind string

const (
	echoRaw  echoKind = "raw"  // plain system calls on a thread of its own, blocking
	echoSpin echoKind = "spin" // the same, reading in a loop
	echoGo   echoKind = "go"   // net.UDPConn
)

// Echoes carry as many bytes as rounds do.
const echoSize = 64

// lostAfter is how long an echo is waited for.
const lostAfter = 200 * time.Millisecond

// echoer is the asking side of an echo: it measures one round trip, by the user's look and by the kernel's stamp.
type echoer interface {
	once(clock stamp.Clock, payload []byte) (stamp.Departure, stamp.Receipt, int64, error)
	connect(to netip.AddrPort) error
	address() string
	close()
}

// echo is both sides.
type echo struct {
	echoer
	clock        stamp.Clock
	user, kernel sink
	lost         int
}

// openEcho opens the near side, lets the other end start the far side, and joins them.
func openEcho(kind echoKind, clock stamp.Clock, far *peer) (*echo, error) {
	near, err := newEchoer(kind)
	if err != nil {
		return nil, err
	}
	r, err := far.call(request{Do: doEcho, Echo: kind, Addresses: []string{near.address()}})
	if err != nil {
		near.close()
		return nil, err
	}
	to, err := netip.ParseAddrPort(r.Address)
	if err == nil {
		err = near.connect(to)
	}
	if err != nil {
		near.close()
		return nil, err
	}
	return &echo{echoer: near, clock: clock}, nil
}

// errLost says that no echo came in time.
var errLost = errors.New("no echo came in time")

// block measures so many round trips. A lost one is counted; when nothing comes back any more it fails.
func (e *echo) block(ctx context.Context, rounds int) error {
	granularity, lost := e.clock.Quality().GranularityNS, 0
	payload := make([]byte, echoSize)
	for i := range rounds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rest(pause)
		payload[0] = byte(i)
		d, receipt, kernelNS, err := e.once(e.clock, payload)
		if errors.Is(err, errLost) {
			if lost++; lost > 3+rounds/4 {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if at, err := receipt.Arrival(); err == nil {
			e.user.add(stamp.Between(d, at, granularity))
		}
		if kernelNS != 0 {
			if at, err := receipt.WithKernel(kernelNS).Arrival(); err == nil {
				e.kernel.add(stamp.Between(d, at, granularity))
			}
		}
	}
	e.lost += lost
	return nil
}

// startEcho is the far side: it answers one peer until stopped.
func startEcho(kind echoKind, client string) (address string, stop func(), err error) {
	to, err := netip.ParseAddrPort(client)
	if err != nil {
		return "", nil, err
	}
	if kind == echoRaw || kind == echoSpin {
		return startRawEcho(kind == echoSpin, to)
	}
	if kind != echoGo {
		return "", nil, fmt.Errorf("%w: unknown echo %q", ErrPeer, kind)
	}
	conn, err := loopback()
	if err != nil {
		return "", nil, err
	}
	go echoTo(conn, to)
	return conn.LocalAddr().String(), func() { _ = conn.Close() }, nil
}

// echoTo answers one peer until the socket is closed.
func echoTo(conn *net.UDPConn, to netip.AddrPort) {
	buffer := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && from == to {
			_, _ = conn.WriteToUDPAddrPort(buffer[:n], from)
		}
	}
}

// newEchoer opens the asking side of a kind.
func newEchoer(kind echoKind) (echoer, error) {
	if kind == echoGo {
		return newGoEchoer()
	}
	return newRawEchoer()
}

// goEchoer asks through net.UDPConn.
type goEchoer struct {
	conn   *net.UDPConn
	to     netip.AddrPort
	buffer [2048]byte
	oob    [256]byte
}

func newGoEchoer() (echoer, error) {
	conn, err := loopback()
	if err != nil {
		return nil, err
	}
	if err := stampReceives(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &goEchoer{conn: conn}, nil
}

func (e *goEchoer) address() string                 { return e.conn.LocalAddr().String() }
func (e *goEchoer) connect(to netip.AddrPort) error { e.to = to; return nil }
func (e *goEchoer) close()                          { _ = e.conn.Close() }

func (e *goEchoer) once(clock stamp.Clock, payload []byte) (stamp.Departure, stamp.Receipt, int64, error) {
	_ = e.conn.SetReadDeadline(time.Now().Add(lostAfter))
	d, err := stamp.Send(clock, func() error {
		_, err := e.conn.WriteToUDPAddrPort(payload, e.to)
		return err
	})
	if err != nil {
		return d, stamp.Receipt{}, 0, err
	}
	for {
		var n, oobn int
		r, err := stamp.Receive(clock, func() (err error) {
			n, oobn, _, _, err = e.conn.ReadMsgUDPAddrPort(e.buffer[:], e.oob[:])
			return err
		})
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return d, r, 0, errLost
		}
		if err != nil {
			return d, r, 0, err
		}
		if n == len(payload) && e.buffer[0] == payload[0] {
			return d, r, kernelStamp(e.oob[:oobn]), nil
		}
	}
}
