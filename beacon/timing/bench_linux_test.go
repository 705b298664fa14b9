package timing_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// lap is one way to measure a round trip over loopback.
type lap struct {
	name  string
	round func() (int64, error) // nanoseconds by the clock rule
	took  []int64
	bad   int
}

// BenchmarkPaths compares the paths with a bare UDP echo that has the same stamps (user clock before the send, kernel stamp on
// receipt where the path has one), one round of each in turn, so that a busy neighbour hits all alike. Each echo is a process
// of its own, as in reality. Pin everything to one CPU to take idle wake-ups and interrupts between CPUs out:
//
//	GOMAXPROCS=1 taskset -c 0 go test ./beacon/timing -run xxx -bench Paths -benchtime 5000x
func BenchmarkPaths(b *testing.B) {
	clock := hostClock(b)
	var laps []*lap
	for _, name := range []string{"udp-echo", "steered", "spinning", "wrapped", "transport", "datagram"} {
		if name == "spinning" && runtime.GOMAXPROCS(0) < 2 {
			continue
		}
		far := startEcho(b, name)
		if name == "udp-echo" {
			laps = append(laps, udpLap(b, clock, far))
		} else {
			laps = append(laps, pathLap(b, name, clock, far))
		}
	}
	for i := range b.N {
		for k := range laps {
			l := laps[(i+k)%len(laps)]
			ns, err := l.round()
			if err != nil {
				l.bad++
				continue
			}
			l.took = append(l.took, ns)
		}
	}
	echo := quantile(laps[0].took, 50)
	for _, l := range laps {
		p50 := quantile(l.took, 50)
		b.ReportMetric(float64(p50)/float64(echo), l.name+"-p50/udp")
		b.Logf("%-10s min %6d  p50 %6d  p90 %6d  p99 %7d ns  %.2fx  (%d refused)", l.name, quantile(l.took, 0), p50, quantile(l.took, 90),
			quantile(l.took, 99), float64(p50)/float64(echo), l.bad)
	}
}

func quantile(all []int64, percent int) int64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Clone(all)
	slices.Sort(s)
	return s[min(len(s)-1, len(s)*percent/100)]
}

// echoVariable makes this test binary an echo of that path instead of a test.
const echoVariable = "URSA_TIMING_ECHO"

// TestMain runs tests, or an echo until its standard input ends.
func TestMain(m *testing.M) {
	if name := os.Getenv(echoVariable); name != "" {
		if err := echo(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startEcho starts an echo process and returns its address.
func startEcho(b *testing.B, name string) *net.UDPAddr {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), echoVariable+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		b.Fatal(err)
	}
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// benchSession is the one session of the benchmark.
var benchSession = exchange.Session{9}

// echo answers every CH of the benchmark's session by RS, from whatever address, until standard input ends.
func echo(name string) error {
	clock, err := timing.HostClock()
	if err != nil {
		return err
	}
	if name == "udp-echo" {
		return plainEcho()
	}
	mode := exchange.ModeBlocking
	if name == "spinning" {
		mode = exchange.ModeSpinning
	}
	var socket net.PacketConn
	var port timing.Port
	switch name {
	case "steered", "spinning":
		p, err := timing.Steer("udp4", "127.0.0.1:0", clock, mode)
		if err != nil {
			return err
		}
		port, socket = p, p.Conn()
	default:
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		socket = c
		if name == "wrapped" {
			p, err := timing.Wrap(c, clock)
			if err != nil {
				return err
			}
			port, socket = p, p.Conn()
		}
	}
	tr := &quic.Transport{Conn: socket}
	if name == "transport" {
		port = timing.NewTransportPort(tr, clock)
	}
	conf, err := channel.ServerTLS(time.Now())
	if err != nil {
		return err
	}
	listener, err := tr.Listen(conf, channel.QUIC(1, true))
	if err != nil {
		return err
	}
	fmt.Println(socket.LocalAddr())
	go func() { // the near end tells its address by connecting
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return
		}
		if port == nil {
			port = timing.NewDatagramPort(conn, clock)
		}
		opened := make(chan timing.Path, 1)
		var answer timing.Path
		reply := packetOf(exchange.RS, benchSession, 0)
		path, err := port.Open(benchSession, conn.RemoteAddr(), func(*exchange.Packet, stamp.Receipt) {
			if answer == nil {
				answer = <-opened
			}
			_, _ = answer.Send(reply)
		})
		if err == nil {
			opened <- path
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func plainEcho() error {
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	fmt.Println(far.LocalAddr())
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := far.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = far.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// udpLap measures an echo over plain sockets.
func udpLap(b *testing.B, clock stamp.Clock, far *net.UDPAddr) *lap {
	near := loopback(b)
	raw, err := near.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }); err != nil {
		b.Fatal(err)
	}
	to := far.AddrPort()
	payload, buffer, oob := make([]byte, exchange.PacketSize), make([]byte, 2048), make([]byte, 128)
	return &lap{name: "udp-echo", round: func() (int64, error) {
		d, err := stamp.Send(clock, func() error { _, err := near.WriteToUDPAddrPort(payload, to); return err })
		if err != nil {
			return 0, err
		}
		var kernelNS int64
		r, err := stamp.Receive(clock, func() error {
			_, n, _, _, err := near.ReadMsgUDPAddrPort(buffer, oob)
			kernelNS = kernelStamp(oob[:n])
			return err
		})
		if err != nil {
			return 0, err
		}
		return between(clock, d, r.WithKernel(kernelNS))
	}}
}

func kernelStamp(oob []byte) int64 {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS {
			return timing.TimespecNS(m.Data)
		}
	}
	return 0
}

func between(clock stamp.Clock, d stamp.Departure, r stamp.Receipt) (int64, error) {
	at, err := r.Arrival()
	if err != nil {
		return 0, err
	}
	i, err := stamp.Between(d, at, clock.Quality().GranularityNS)
	return i.NS() - i.SlewNS(), err // the margin for the clocks is the same for all
}

// pathLap measures an echo over one of the paths. A beacon's half: it blocks, whatever the far end does.
func pathLap(b *testing.B, name string, clock stamp.Clock, far *net.UDPAddr) *lap {
	var socket net.PacketConn = loopback(b)
	var port timing.Port
	switch name {
	case "steered", "spinning":
		p, err := timing.Steer("udp4", "127.0.0.1:0", clock, exchange.ModeBlocking)
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { _ = p.Close() })
		port, socket = p, p.Conn()
	case "wrapped":
		p, err := timing.Wrap(socket, clock)
		if err != nil {
			b.Fatal(err)
		}
		port, socket = p, p.Conn()
	}
	tr := &quic.Transport{Conn: socket}
	b.Cleanup(func() { _ = tr.Close() })
	if name == "transport" {
		port = timing.NewTransportPort(tr, clock)
	}
	conn, err := tr.Dial(b.Context(), far, channel.ClientTLS(), channel.QUIC(-1, true))
	if err != nil {
		b.Fatal(err)
	}
	if port == nil {
		port = timing.NewDatagramPort(conn, clock)
	}
	back := make(chan stamp.Receipt, 1)
	near, err := port.Open(benchSession, far, func(_ *exchange.Packet, r stamp.Receipt) { back <- r })
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // until the far end has opened the session too
	challenge := packetOf(exchange.CH, benchSession, 0)
	return &lap{name: name, round: func() (int64, error) {
		d, err := near.Send(challenge)
		if err != nil {
			return 0, err
		}
		select {
		case r := <-back:
			return between(clock, d, r)
		case <-time.After(time.Second):
			return 0, fmt.Errorf("%s: lost", name)
		}
	}}
}
