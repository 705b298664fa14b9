package timing

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// oobSize holds every control message that quic-go asks for on a dual-stack socket (160 bytes) beside the stamp. Its own buffer has
// only 128 bytes and would be cut.
const oobSize = 256

// wrapUDP asks the kernel for receive stamps and reads in batches as quic-go does.
func (p *WrappedPort) wrapUDP(c *net.UDPConn) (net.PacketConn, error) {
	if err := stampReceives(c); err != nil {
		return nil, err
	}
	return &batchConn{UDPConn: c, port: p, batch: ipv4.NewPacketConn(c)}, nil
}

// stampReceives turns on SO_TIMESTAMPNS. UDP_GRO is turned off: merged packets share the stamp of the first, which is earlier
// than the others' arrival.
func stampReceives(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sockErr error
	err = raw.Control(func(fd uintptr) { sockErr = stampSocket(int(fd)) })
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return fmt.Errorf("asking for kernel receive stamps: %w", err)
	}
	return nil
}

func stampSocket(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 0); err != nil && err != unix.ENOPROTOOPT {
		return err
	}
	return nil
}

// batchConn is what quic-go reads through: it calls ReadBatch and nothing else for reading (a wrapper's ReadMsgUDP is never
// called), and writes through the socket's own WriteMsgUDP.
type batchConn struct {
	*net.UDPConn
	port  *WrappedPort
	batch *ipv4.PacketConn

	mu   sync.Mutex // quic-go reads from one goroutine; this keeps the buffers whole if it ever does not
	oob  [][]byte
	mine [][]byte // the caller's buffers while ours stand in their place
}

// ReadBatch reads packets, handles those of rounds and returns the batch with these emptied (QUIC drops empty packets). It does not
// return before there is something for QUIC.
func (c *batchConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.oob) < len(ms) {
		c.oob = append(c.oob, make([]byte, oobSize))
	}
	for {
		n, left, err := c.readOnce(ms, flags)
		if err != nil || left > 0 || n == 0 {
			return n, err
		}
	}
}

// readOnce reads one batch and says how many of its packets are QUIC's.
func (c *batchConn) readOnce(ms []ipv4.Message, flags int) (n, left int, err error) {
	c.mine = c.mine[:0]
	for i := range ms {
		c.mine = append(c.mine, ms[i].OOB)
		ms[i].OOB = c.oob[i]
	}
	receipt, err := stamp.Receive(c.port.clock, func() (err error) {
		n, err = c.batch.ReadBatch(ms, flags)
		return err
	})
	for i := range ms {
		ours := ms[i].OOB
		ms[i].OOB = c.mine[i]
		if err != nil || i >= n {
			continue
		}
		kernelNS, rest := takeStamp(ours[:ms[i].NN], ms[i].OOB)
		ms[i].NN = rest
		if c.handle(&ms[i], stampedBy(receipt, kernelNS)) {
			ms[i].N, ms[i].NN = 0, 0
		} else {
			left++
		}
	}
	return n, left, err
}

// handle takes a packet if it is a round's.
func (c *batchConn) handle(m *ipv4.Message, receipt stamp.Receipt) bool {
	payload := m.Buffers[0][:m.N]
	if len(payload) == 0 || !exchange.IsRoundPacket(payload[0]) {
		return false
	}
	var packet exchange.Packet
	if h := c.port.find(&packet, payload, m.Addr); h != nil {
		c.port.deliver(h, &packet, receipt)
	}
	return true
}

// stampedBy uses the kernel's stamp, or the later look of the user where the kernel gave none.
func stampedBy(r stamp.Receipt, kernelNS int64) stamp.Receipt {
	if kernelNS == 0 {
		return r
	}
	return r.WithKernel(kernelNS)
}

// takeStamp finds the receive stamp in control messages and copies all others to rest, as far as they fit. It returns 0 when there
// is no stamp.
func takeStamp(control, rest []byte) (kernelNS int64, n int) {
	for len(control) > 0 {
		header, body, remainder, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return kernelNS, n
		}
		size := len(control) - len(remainder)
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS {
			kernelNS = timespecNS(body)
		} else if n+size <= len(rest) {
			n += copy(rest[n:], control[:size])
		}
		control = remainder
	}
	return kernelNS, n
}

// timespecNS reads a struct timespec of two 64-bit words, which is what 64-bit kernels write; 0 for anything else.
func timespecNS(body []byte) int64 {
	if len(body) != 16 {
		return 0
	}
	sec := int64(binary.NativeEndian.Uint64(body))
	ns := int64(binary.NativeEndian.Uint64(body[8:]))
	if sec <= 0 || sec > 1<<33 || ns < 0 || ns >= 1e9 {
		return 0
	}
	return sec*1e9 + ns
}
