package prober_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// BenchmarkSessions compares a bare handshake with a whole exchange of eight rounds over loopback, by the CPU time of both
// ends, which are in this process (cpu-µs/op; the time of the clock is mostly waiting):
//
//	go test ./beacon/prober -run xxx -bench Sessions -benchtime 300x
func BenchmarkSessions(b *testing.B) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	w := exchangetest.New(b, time.Now(), exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: socket.LocalAddr().String()})
	limits := exchange.DefaultLimits()
	limits.Spread, limits.Agree, limits.Budget = 0, time.Nanosecond, 0
	s, err := server.New(server.Config{
		Key: w.Beacons[0], Directory: w.Directory, Attestation: []byte("beacon result"), Limits: limits, RetryFrom: 1000, Linger: time.Microsecond,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, socket) }()
	defer func() { cancel(); <-done }()

	b.Run("handshake", func(b *testing.B) {
		defer reportCPU(b)()
		for range b.N {
			near := listenB(b)
			tr := &quic.Transport{Conn: near}
			conn, err := tr.Dial(b.Context(), socket.LocalAddr(), channel.ClientTLS(), channel.QUIC(-1, false))
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.CloseWithError(0, "")
			_ = tr.Close()
			_ = near.Close()
		}
	})
	core := exchangetest.Key(b, identity.RoleCore, "core")
	challenge := w.Challenge(b, core.ID(), nil)
	b.Run("exchange of 8 rounds", func(b *testing.B) {
		defer reportCPU(b)()
		for range b.N {
			near := listenB(b)
			out, err := prober.Run(b.Context(), prober.Config{
				Key: core, TimedKey: exchangetest.TimedKey(b, "timed"), Directory: w.Directory, Conn: near, Attestation: []byte("core result"),
			}, challenge)
			if err != nil || len(out.Answers) != 1 {
				b.Fatal(err, out.Failures)
			}
			_ = near.Close()
		}
	})
}

// reportCPU reports the CPU time of this process from now until the returned function is called.
func reportCPU(b *testing.B) func() {
	b.Helper()
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begun := cpu()
	return func() { b.ReportMetric(float64((cpu()-begun).Microseconds())/float64(b.N), "cpu-µs/op") }
}

func listenB(b *testing.B) *net.UDPConn {
	b.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
