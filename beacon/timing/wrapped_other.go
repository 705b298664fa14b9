//go:build !linux

package timing

import "net"

// wrapUDP has no kernel stamps on this platform.
func (p *WrappedPort) wrapUDP(c *net.UDPConn) (net.PacketConn, error) {
	return &plainConn{buffered: buffered{c}, port: p}, nil
}
