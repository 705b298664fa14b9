package bench

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// stampReceives asks the kernel for receive stamps.
func stampReceives(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }); err != nil {
		return err
	}
	return set
}

// kernelStamp finds the receive stamp in control messages; 0 when there is none.
func kernelStamp(control []byte) int64 {
	for len(control) >= unix.SizeofCmsghdr {
		header, body, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS && len(body) == 16 {
			return int64(binary.NativeEndian.Uint64(body))*1e9 + int64(binary.NativeEndian.Uint64(body[8:]))
		}
		control = rest
	}
	return 0
}

// rawUDP opens a UDP socket on loopback outside of Go's poller.
func rawUDP() (fd int, address netip.AddrPort, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fd, address, err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	timeout := unix.NsecToTimeval(int64(lostAfter))
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if err != nil || !ok {
		_ = unix.Close(fd)
		return -1, address, err
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}

func connectTo(fd int, to netip.AddrPort) error {
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// startRawEcho answers on a thread of its own: the shortest way that user space has.
func startRawEcho(spin bool, client netip.AddrPort) (string, func(), error) {
	fd, at, err := rawUDP()
	if err != nil {
		return "", nil, err
	}
	if err := connectTo(fd, client); err != nil {
		_ = unix.Close(fd)
		return "", nil, err
	}
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = unix.Close(fd) }()
		answer(fd, spin, &stop)
	})
	return at.String(), func() { stop.Store(true); done.Wait() }, nil
}

// answer echoes until stopped. A spinning thread rests when nobody has asked for a while, so that it is nobody's burden between blocks.
func answer(fd int, spin bool, stop *atomic.Bool) {
	buffer := make([]byte, 2048)
	idle := 0
	for !stop.Load() {
		flags := 0
		if spin && idle < 1<<16 {
			flags = unix.MSG_DONTWAIT
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), uintptr(flags), 0, 0)
		if errno != 0 {
			idle++
			continue
		}
		idle = 0
		_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), n, unix.MSG_DONTWAIT, 0, 0)
	}
}

// rawEchoer asks by plain system calls and allocates nothing in a round.
type rawEchoer struct {
	fd      int
	at      netip.AddrPort
	buffer  [2048]byte
	control [256]byte
	iov     unix.Iovec
	header  unix.Msghdr
}

func newRawEchoer() (echoer, error) {
	fd, at, err := rawUDP()
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	e := &rawEchoer{fd: fd, at: at}
	e.iov.Base = &e.buffer[0]
	e.iov.SetLen(len(e.buffer))
	e.header.Iov = &e.iov
	e.header.SetIovlen(1)
	e.header.Control = &e.control[0]
	return e, nil
}

func (e *rawEchoer) address() string                 { return e.at.String() }
func (e *rawEchoer) connect(to netip.AddrPort) error { return connectTo(e.fd, to) }
func (e *rawEchoer) close()                          { _ = unix.Close(e.fd) }

func (e *rawEchoer) once(clock stamp.Clock, payload []byte) (stamp.Departure, stamp.Receipt, int64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d, err := stamp.Send(clock, func() error {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(e.fd), uintptr(unsafe.Pointer(&payload[0])), uintptr(len(payload)), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return d, stamp.Receipt{}, 0, err
	}
	for {
		var n uintptr
		r, err := stamp.Receive(clock, func() error {
			e.header.SetControllen(len(e.control))
			var errno unix.Errno
			n, _, errno = unix.Syscall(unix.SYS_RECVMSG, uintptr(e.fd), uintptr(unsafe.Pointer(&e.header)), 0)
			if errno != 0 {
				return errno
			}
			return nil
		})
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return d, r, 0, errLost
		case err != nil:
			return d, r, 0, err
		case int(n) == len(payload) && e.buffer[0] == payload[0]:
			return d, r, kernelStamp(e.control[:e.header.Controllen]), nil
		}
	}
}
