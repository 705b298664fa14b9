//go:build !linux

package bench

import (
	"net"
	"net/netip"
)

func stampReceives(*net.UDPConn) error { return nil }

func kernelStamp([]byte) int64 { return 0 }

func startRawEcho(bool, netip.AddrPort) (string, func(), error) { return "", nil, ErrPlatform }

func newRawEchoer() (echoer, error) { return nil, ErrPlatform }
