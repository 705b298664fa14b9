package timing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// SteeredPort has a socket for QUIC and one for rounds, bound to the same address by SO_REUSEPORT; a classic BPF program
// chooses between them by the first byte of the payload. Rounds are read on a thread of their own by plain system calls,
// without Go's poller.
//
// Whoever runs under the same user may bind to the same port as well (the kernel lets nobody else) and would receive nothing: the
// program knows two sockets. That the sockets stand in the expected order is tested when the port is opened.
type SteeredPort struct {
	*demux
	quic   *net.UDPConn
	rounds *rawSocket
	mode   exchange.Mode
	stop   atomic.Bool
	done   sync.WaitGroup
}

var _ Socket = (*SteeredPort)(nil)

// ErrSteering says that this system does not steer packets to sockets as asked.
var ErrSteering = errors.New("packets cannot be steered to a socket of their own")

// pollEvery is how often a blocked reading thread looks whether the port was closed.
const pollEvery = 50 * time.Millisecond

// Steer opens a steered port on a local UDP address such as "192.0.2.7:4433". Bind to one address: a reply from a socket that
// is bound to all of them may leave from another than was asked. Mode is how the rounds' socket waits: exchange.ModeBlocking,
// or exchange.ModeSpinning, which occupies a CPU while sessions are open.
func Steer(network, address string, clock stamp.Clock, mode exchange.Mode) (*SteeredPort, error) {
	if mode == exchange.ModeSpinning && runtime.GOMAXPROCS(0) < 2 {
		return nil, fmt.Errorf("%w: spinning needs a second CPU", ErrSteering)
	}
	conn, err := listenShared(network, address)
	if err != nil {
		return nil, err
	}
	rounds, err := openRaw(conn.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrSteering, err)
	}
	p := &SteeredPort{demux: newDemux(exchange.PathSteered, clock), quic: conn, rounds: rounds, mode: mode}
	if err := p.assert(); err != nil {
		_ = conn.Close()
		_ = rounds.close()
		return nil, err
	}
	p.done.Go(p.read)
	return p, nil
}

// listenShared binds the socket for QUIC, first, so that its index in the group is 0.
func listenShared(network, address string) (*net.UDPConn, error) {
	var lc net.ListenConfig
	lc.Control = func(_, _ string, c syscall.RawConn) error {
		var sockErr error
		err := c.Control(func(fd uintptr) {
			sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, sockErr)
	}
	pc, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		_ = pc.Close()
		return nil, fmt.Errorf("%w: %s is not UDP", ErrSteering, network)
	}
	return conn, nil
}

// steering is the program: first bytes 0x04..0x0F go to socket 1, all others to socket 0.
var steering = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 0x04, Jt: 0, Jf: 2},
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 0x0f, Jt: 1, Jf: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// assert sends one packet of each kind to the port and requires that each reaches its socket.
func (p *SteeredPort) assert() error {
	to := p.quic.LocalAddr().(*net.UDPAddr).AddrPort()
	if to.Addr().IsUnspecified() {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if to.Addr().Is6() && !to.Addr().Is4In6() {
			loopback = netip.IPv6Loopback()
		}
		to = netip.AddrPortFrom(loopback, to.Port())
	}
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSteering, err)
	}
	defer func() { _ = probe.Close() }()
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	round, other := append([]byte{exchange.CH}, nonce[:]...), append([]byte{0x00}, nonce[:]...)
	for _, b := range [][]byte{round, other} {
		if _, err := probe.Write(b); err != nil {
			return fmt.Errorf("%w: %w", ErrSteering, err)
		}
	}
	if !p.sees(round) || !p.quicSees(other) {
		return fmt.Errorf("%w: the test packets reached the wrong sockets", ErrSteering)
	}
	return nil
}

// sees reads the rounds' socket until the packet comes or nothing more does.
func (p *SteeredPort) sees(want []byte) bool {
	for range 100 {
		got, _, _, err := p.rounds.receive(false)
		if err != nil {
			return false
		}
		if string(got) == string(want) {
			return true
		}
	}
	return false
}

func (p *SteeredPort) quicSees(want []byte) bool {
	_ = p.quic.SetReadDeadline(time.Now().Add(4 * pollEvery))
	defer func() { _ = p.quic.SetReadDeadline(time.Time{}) }()
	buffer := make([]byte, 2048)
	for range 100 {
		n, err := p.quic.Read(buffer)
		if err != nil {
			return false
		}
		if string(buffer[:n]) == string(want) {
			return true
		}
	}
	return false
}

// Conn returns the connection for QUIC.
func (p *SteeredPort) Conn() net.PacketConn { return p.quic }

// Mode returns how the rounds' socket waits.
func (p *SteeredPort) Mode() exchange.Mode { return p.mode }

// read runs on a thread of its own: this thread never waits for Go's scheduler between a packet and its answer.
func (p *SteeredPort) read() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var packet exchange.Packet
	for !p.stop.Load() {
		var payload []byte
		var from netip.AddrPort
		var kernelNS int64
		spin := p.mode == exchange.ModeSpinning && p.open.Load() > 0
		receipt, err := stamp.Receive(p.clock, func() (err error) {
			payload, from, kernelNS, err = p.receive(spin)
			return err
		})
		if err != nil {
			continue // nothing came in time, or the network reported an error of an earlier send
		}
		if h := p.findAddr(&packet, payload, from, ""); h != nil {
			p.deliver(h, &packet, stampedBy(receipt, kernelNS))
		}
	}
}

// receive waits for one packet, spinning while sessions are open or blocking for at most pollEvery.
func (p *SteeredPort) receive(spin bool) ([]byte, netip.AddrPort, int64, error) {
	if !spin {
		return p.rounds.receive(false)
	}
	for i := 0; ; i++ {
		payload, from, kernelNS, err := p.rounds.receive(true)
		if err != unix.EAGAIN {
			return payload, from, kernelNS, err
		}
		if i%64 == 0 && (p.stop.Load() || p.open.Load() == 0) {
			return nil, from, 0, err
		}
	}
}

// Open implements Port.
func (p *SteeredPort) Open(s exchange.Session, peer net.Addr, h Handler) (Path, error) {
	to, _ := addrOf(peer)
	if !to.IsValid() {
		return nil, fmt.Errorf("%w: %v is no UDP address", ErrPeer, peer)
	}
	address, err := p.rounds.address(to)
	if err != nil {
		return nil, err
	}
	if err := p.add(s, peer, h); err != nil {
		return nil, err
	}
	return &session{d: p.demux, id: s, write: func(packet *exchange.Packet) error { return p.rounds.send(packet, address) }}, nil
}

// Close implements Port and closes both sockets: they belong to the port.
func (p *SteeredPort) Close() error {
	if p.stop.Swap(true) {
		return nil
	}
	p.demux.close()
	p.done.Wait()
	return errors.Join(p.rounds.close(), p.quic.Close())
}
