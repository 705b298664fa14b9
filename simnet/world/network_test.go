package world_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// stage is a running network with one endpoint at each place.
func stage(t *testing.T, w *world.World, places ...world.Place) (*fabric.Fabric, *world.Network, []*fabric.Endpoint) {
	t.Helper()
	n := w.Network()
	f, err := fabric.New(fabric.Config{Seed: 1, Path: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	ends := make([]*fabric.Endpoint, len(places))
	for i, p := range places {
		if ends[i], err = f.Listen(p.ID, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
		n.Place(ends[i].AddrPort().Addr(), p)
	}
	return f, n, ends
}

// ping returns the smallest of n round trips; false when none came back.
func ping(t *testing.T, a, b *fabric.Endpoint, n int) (time.Duration, bool) {
	t.Helper()
	_ = b.SetReadDeadline(time.Time{})
	go func() {
		buf := make([]byte, 8)
		for {
			k, from, err := b.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = b.WriteTo(buf[:k], from)
		}
	}()
	least, ok := time.Duration(0), false
	for range n {
		start := time.Now()
		if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		_ = a.SetReadDeadline(start.Add(3 * time.Second))
		if _, _, err := a.ReadFrom(make([]byte, 8)); err != nil {
			continue
		}
		if rtt := time.Since(start); !ok || rtt < least {
			least, ok = rtt, true
		}
	}
	return least, ok
}

// Over the fabric the least of some rounds comes down to the world's least round trip, and never below; the more so the better
// the access.
func TestNetworkOverFabric(t *testing.T) {
	for _, c := range []struct {
		access world.Access
		beyond time.Duration // at most, for the least of 64 rounds
	}{{world.DataCentre, 100 * time.Microsecond}, {world.Wired, 3 * time.Millisecond}, {world.Satellite, 20 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			w := builtin(t, 1, world.Public)
			core, beacon := w.Host(find(t, w, "Frankfurt"), "core"), find(t, w, "Paris")
			core.Access = c.access
			_, _, ends := stage(t, w, core, beacon)
			want, _ := w.MinRTT(core, beacon)
			got, ok := ping(t, ends[0], ends[1], 64)
			if !ok || got < want.Duration() || got > want.Duration()+c.beyond {
				t.Errorf("%v: least of 64 rounds %v, the world's %v", c.access, got, want)
			}
		})
	}
}

func TestNetworkWithoutPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := measured(t)
		f, n, ends := stage(t, w, find(t, w, "n1"), find(t, w, "n2"), find(t, w, "n3"))
		if rtt, ok := ping(t, ends[0], ends[2], 3); ok {
			t.Errorf("an answer after %v over a pair that was not measured", rtt)
		}
		if s := f.Stats(); s.Lost != 3 {
			t.Errorf("%+v", s)
		}
		stranger, err := f.Listen("stranger", netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ping(t, stranger, ends[1], 1); ok {
			t.Error("a host that stands nowhere was heard")
		}
		n.Place(stranger.AddrPort().Addr(), w.Host(find(t, w, "n1"), "stranger"))
		if _, ok := ping(t, stranger, ends[0], 3); !ok {
			t.Error("a host that was placed is not heard")
		}
		n.Place(stranger.AddrPort().Addr(), find(t, w, "n3"))
		if _, ok := ping(t, stranger, ends[0], 1); ok {
			t.Error("a host that moved away is still heard")
		}
		if p, ok := n.At(stranger.AddrPort().Addr()); !ok || p.ID != "n3" {
			t.Errorf("it stands at %+v", p)
		}
	})
}

// Two sockets of one host are not far apart.
func TestLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := measured(t)
		f, _, ends := stage(t, w, find(t, w, "n1"))
		second, err := f.Listen("second", netip.AddrPortFrom(ends[0].AddrPort().Addr(), 0))
		if err != nil {
			t.Fatal(err)
		}
		if rtt, ok := ping(t, ends[0], second, 1); !ok || rtt > 50*time.Microsecond {
			t.Errorf("%v, %v", rtt, ok)
		}
	})
}

func BenchmarkDelay(b *testing.B) {
	w := builtin(b, 1, world.Public)
	n := w.Network()
	x, y := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	n.Place(x.Addr(), find(b, w, "Frankfurt"))
	n.Place(y.Addr(), find(b, w, "Paris"))
	rnd := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		n.Delay(x, y, 100, rnd)
	}
}

func BenchmarkMinRTT(b *testing.B) {
	w := builtin(b, 1, world.Public)
	x, y := find(b, w, "Frankfurt"), find(b, w, "Paris")
	for b.Loop() {
		w.MinRTT(x, y)
	}
}
