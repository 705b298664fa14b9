package adversary

import (
	"net/netip"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// Shaper holds the packets that leave an endpoint, for each destination as long as the map says; other packets pass at once. It is
// how a core adds delay that differs from beacon to beacon.
func Shaper(hold map[netip.AddrPort]time.Duration) fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		p.Hold += hold[p.To]
		return []fabric.Packet{p}
	})
}

// Bridge makes an endpoint a relay between a core and one beacon: what comes from the beacon goes on to the core, everything else to
// the beacon, both under the bridge's own address. The core sends to the bridge as if it were the beacon; the beacon sees a
// peer at the bridge. Set it with InterceptIn; nobody reads the endpoint.
func Bridge(at *fabric.Endpoint, core, beacon netip.AddrPort) fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		to := beacon
		if p.From == beacon {
			to = core
		}
		p.From, p.To = at.AddrPort(), to
		return []fabric.Packet{p}
	})
}
