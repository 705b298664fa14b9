package fabric_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// newFabric starts a network that ends with the test.
func newFabric(t testing.TB, cfg fabric.Config) *fabric.Fabric {
	t.Helper()
	f, err := fabric.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func listen(t testing.TB, f *fabric.Fabric, name string) *fabric.Endpoint {
	t.Helper()
	e, err := f.Listen(name, none)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// One test for the kernel's sockets and ours: whoever passes it can be put in the place of the other. Ours run it in virtual
// time, so that no load of the machine can disturb it.
func TestConformsToUDPSocket(t *testing.T) {
	t.Run("kernel", func(t *testing.T) {
		conformance(t, func(t *testing.T, test func(*testing.T, func() net.PacketConn)) {
			test(t, func() net.PacketConn {
				c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if err != nil {
					t.Skipf("no loopback socket: %v", err)
				}
				t.Cleanup(func() { _ = c.Close() })
				return c
			})
		})
	})
	t.Run("fabric", func(t *testing.T) {
		conformance(t, func(t *testing.T, test func(*testing.T, func() net.PacketConn)) {
			synctest.Test(t, func(t *testing.T) {
				f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: time.Millisecond}})
				n := 0
				test(t, func() net.PacketConn { n++; return listen(t, f, fmt.Sprint("socket", n)) })
			})
		})
	})
}

// conformance runs its tests in the surroundings that it is given, each with sockets to open.
func conformance(t *testing.T, in func(*testing.T, func(*testing.T, func() net.PacketConn))) {
	for name, test := range map[string]func(*testing.T, func() net.PacketConn){
		"packets keep their bounds and tell their sender": conformPackets,
		"read deadline":                 conformReadDeadline,
		"write deadline":                conformWriteDeadline,
		"close unblocks":                conformClose,
		"addresses that are none":       conformAddresses,
		"moved deadlines reach readers": conformMovedDeadline,
	} {
		t.Run(name, func(t *testing.T) { in(t, test) })
	}
}

func conformPackets(t *testing.T, open func() net.PacketConn) {
	a, b := open(), open()
	sent := []byte("first")
	write(t, a, sent, b.LocalAddr())
	sent[0] = 'X' // the packet was copied
	write(t, a, []byte("second, longer"), b.LocalAddr())
	write(t, a, nil, b.LocalAddr())
	for _, want := range []string{"first", "second", ""} {
		buf := make([]byte, 6) // the second is cut
		n, from, err := b.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want || from.String() != a.LocalAddr().String() {
			t.Fatalf("%q from %v, %v; want %q from %v", buf[:n], from, err, want, a.LocalAddr())
		}
		if _, ok := from.(*net.UDPAddr); !ok {
			t.Fatalf("the sender is a %T", from)
		}
	}
}

func conformWriteDeadline(t *testing.T, open func() net.PacketConn) {
	a := open()
	must(t, a.SetWriteDeadline(time.Now().Add(-time.Second)))
	_, err := a.WriteTo([]byte("x"), a.LocalAddr())
	expired(t, err)
	must(t, a.SetDeadline(time.Time{}))
	write(t, a, []byte("x"), a.LocalAddr())
}

func conformClose(t *testing.T, open func() net.PacketConn) {
	a := open()
	failed := make(chan error)
	go func() {
		_, _, err := a.ReadFrom(make([]byte, 1))
		failed <- err
	}()
	time.Sleep(5 * time.Millisecond)
	must(t, a.Close())
	_, errWrite := a.WriteTo([]byte("x"), a.LocalAddr())
	_, _, errRead := a.ReadFrom(make([]byte, 1))
	for _, err := range []error{<-failed, errWrite, errRead, a.Close(), a.SetReadDeadline(time.Now()), a.SetWriteDeadline(time.Now()), a.SetDeadline(time.Now())} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
	}
}

func conformAddresses(t *testing.T, open func() net.PacketConn) {
	a := open()
	for _, to := range []net.Addr{nil, &net.UnixAddr{Name: "x"}} {
		if _, err := a.WriteTo([]byte("x"), to); err == nil {
			t.Errorf("wrote to %v", to)
		}
	}
}

func conformReadDeadline(t *testing.T, open func() net.PacketConn) {
	a := open()
	read := func() error { _, _, err := a.ReadFrom(make([]byte, 8)); return err }
	before := time.Now()
	must(t, a.SetReadDeadline(before.Add(10*time.Millisecond)))
	expired(t, read())
	if took := time.Since(before); took < 10*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
	expired(t, read()) // and stays expired

	write(t, a, []byte("x"), a.LocalAddr())
	time.Sleep(20 * time.Millisecond)
	expired(t, read()) // even while a packet waits
	must(t, a.SetReadDeadline(time.Now().Add(time.Minute)))
	must(t, read())
}

// A deadline that is moved reaches a reader that waits already: from never to now, and from near to never.
func conformMovedDeadline(t *testing.T, open func() net.PacketConn) {
	a := open()
	failed := make(chan error, 1)
	read := func() { _, _, err := a.ReadFrom(make([]byte, 8)); failed <- err }
	go read()
	time.Sleep(5 * time.Millisecond)
	must(t, a.SetReadDeadline(time.Now()))
	expired(t, <-failed)

	var by time.Time
	for near := 150 * time.Millisecond; ; near *= 2 {
		by = time.Now().Add(near)
		must(t, a.SetReadDeadline(by))
		go read()
		time.Sleep(5 * time.Millisecond)
		must(t, a.SetReadDeadline(time.Time{}))
		if time.Now().Before(by) {
			break
		}
		// This machine slept over the deadline, which shows nothing.
		must(t, a.SetReadDeadline(time.Now()))
		expired(t, <-failed)
	}
	select {
	case err := <-failed:
		t.Fatalf("a deadline that was removed ended the read: %v", err)
	case <-time.After(time.Until(by) + 50*time.Millisecond):
	}
	write(t, a, []byte("x"), a.LocalAddr())
	must(t, <-failed)
}

func write(t *testing.T, c net.PacketConn, b []byte, to net.Addr) {
	t.Helper()
	if n, err := c.WriteTo(b, to); err != nil || n != len(b) {
		t.Fatalf("wrote %d of %d: %v", n, len(b), err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expired(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("%v, want a deadline exceeded", err)
	}
}
