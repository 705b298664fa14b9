package timing

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/exchange"
)

// rawSocket is a UDP socket outside Go's poller, with kernel receive stamps. Its buffers are made once; receive is for one
// thread, send for any.
type rawSocket struct {
	fd      int
	v6      bool
	payload [2048]byte
	control [oobSize]byte
	name    unix.RawSockaddrInet6 // large enough for both families
	iov     unix.Iovec
	header  unix.Msghdr
}

// openRaw binds a socket to an address that another socket of this process holds with SO_REUSEPORT, and attaches the steering
// program.
func openRaw(local netip.AddrPort) (*rawSocket, error) {
	s := &rawSocket{v6: !local.Addr().Is4()}
	family := unix.AF_INET
	if s.v6 {
		family = unix.AF_INET6
	}
	var err error
	if s.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if err := s.prepare(local); err != nil {
		_ = s.close()
		return nil, err
	}
	s.iov.Base = &s.payload[0]
	s.iov.SetLen(len(s.payload))
	s.header.Iov = &s.iov
	s.header.SetIovlen(1)
	s.header.Name = (*byte)(unsafe.Pointer(&s.name))
	s.header.Control = &s.control[0]
	return s, nil
}

func (s *rawSocket) prepare(local netip.AddrPort) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	if err := stampSocket(s.fd); err != nil {
		return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(pollEvery))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("SO_RCVTIMEO: %w", err)
	}
	if s.v6 && local.Addr().IsUnspecified() { // as Go binds its own wildcard socket
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port()), Addr: as4(local)}
	if s.v6 {
		sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()}
	}
	if err := unix.Bind(s.fd, sa); err != nil {
		return fmt.Errorf("binding to %v: %w", local, err)
	}
	program := unix.SockFprog{Len: uint16(len(steering)), Filter: &steering[0]}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program); err != nil {
		return fmt.Errorf("SO_ATTACH_REUSEPORT_CBPF: %w", err)
	}
	return nil
}

func as4(a netip.AddrPort) [4]byte {
	if a.Addr().Is4() {
		return a.Addr().As4()
	}
	return [4]byte{}
}

// receive waits for one packet for at most pollEvery, or not at all. What it returns is valid until the next call. It allocates
// nothing.
func (s *rawSocket) receive(now bool) (payload []byte, from netip.AddrPort, kernelNS int64, err error) {
	s.header.Namelen = uint32(unsafe.Sizeof(s.name))
	s.header.SetControllen(len(s.control))
	var n uintptr
	var errno unix.Errno
	if now {
		n, _, errno = unix.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.header)), unix.MSG_DONTWAIT)
	} else {
		n, _, errno = unix.Syscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.header)), 0)
	}
	if errno != 0 {
		return nil, from, 0, errno
	}
	return s.payload[:n], s.sender(), stampIn(s.control[:s.header.Controllen]), nil
}

// sender reads the address that recvmsg wrote.
func (s *rawSocket) sender() netip.AddrPort {
	port := uint16(s.name.Port>>8 | s.name.Port<<8)
	if s.name.Family == unix.AF_INET {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.name.Addr).Unmap(), port)
}

// stampIn finds the receive stamp in control messages without copying them; 0 when there is none.
func stampIn(control []byte) int64 {
	for len(control) >= unix.SizeofCmsghdr {
		size := binary.NativeEndian.Uint64(control) // cmsg_len of 64-bit kernels
		if unix.SizeofCmsghdr != 16 || size < unix.SizeofCmsghdr || size > uint64(len(control)) {
			return 0
		}
		level, kind := binary.NativeEndian.Uint32(control[8:]), binary.NativeEndian.Uint32(control[12:])
		if level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS {
			return timespecNS(control[unix.SizeofCmsghdr:size])
		}
		control = control[min(uint64(len(control)), (size+7)&^7):]
	}
	return 0
}

// rawAddress is a destination in the form of the kernel.
type rawAddress struct {
	sa   unix.RawSockaddrInet6
	size uintptr
}

// address prepares a destination once, so that sending need not.
func (s *rawSocket) address(to netip.AddrPort) (*rawAddress, error) {
	port := to.Port()>>8 | to.Port()<<8
	a := &rawAddress{}
	switch {
	case s.v6:
		a.sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.Addr().As16()}
		a.size = unix.SizeofSockaddrInet6
	case to.Addr().Is4():
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&a.sa)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: to.Addr().As4()}
		a.size = unix.SizeofSockaddrInet4
	default:
		return nil, fmt.Errorf("%w: %v cannot be reached from an IPv4 socket", ErrPeer, to)
	}
	return a, nil
}

// send writes one packet. It does not block: a full buffer loses the round.
func (s *rawSocket) send(p *exchange.Packet, to *rawAddress) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&to.sa)), to.size)
	if errno != 0 {
		return errno
	}
	return nil
}

func (s *rawSocket) close() error { return unix.Close(s.fd) }
