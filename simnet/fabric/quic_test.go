package fabric_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

const alpn = "fabric-test"

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "beacon"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, priv)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: priv}}, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
}

// The channel is checked by what the programs sign over it, as in the protocol; here it only has to work.
func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
}

var quicConfig = &quic.Config{EnableDatagrams: true}

// serveEcho answers streams, datagrams and non-QUIC packets with what they hold, until the endpoint's transport is closed.
func serveEcho(t testing.TB, conn net.PacketConn, conf *tls.Config) (stop func()) {
	t.Helper()
	tr := &quic.Transport{Conn: conn}
	ln, err := tr.Listen(conf, quicConfig)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := tr.ReadNonQUICPacket(ctx, buf)
			if err != nil {
				return
			}
			_, _ = tr.WriteTo(buf[:n], from)
		}
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() { echoStream(c) })
			wg.Go(func() { echoDatagrams(c) })
		}
	})
	return func() {
		cancel()
		_ = ln.Close()
		_ = tr.Close()
		_ = conn.Close()
		wg.Wait()
	}
}

func echoStream(c *quic.Conn) {
	s, err := c.AcceptStream(c.Context())
	if err != nil {
		return
	}
	if _, err := io.Copy(s, s); err == nil {
		_ = s.Close()
	}
}

func echoDatagrams(c *quic.Conn) {
	for {
		d, err := c.ReceiveDatagram(c.Context())
		if err != nil {
			return
		}
		_ = c.SendDatagram(d)
	}
}

// talk runs everything that the protocol needs of QUIC against one server and returns the round trip of a non-QUIC packet, the
// smallest of three.
func talk(conn net.PacketConn, to net.Addr) (rtt time.Duration, err error) {
	tr := &quic.Transport{Conn: conn}
	defer conn.Close()
	defer tr.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := tr.Dial(ctx, to, clientTLS(), quicConfig)
	if err != nil {
		return 0, fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = c.CloseWithError(0, "done") }()
	if err := talkStream(ctx, c); err != nil {
		return 0, fmt.Errorf("stream: %w", err)
	}
	if err := talkDatagram(ctx, c); err != nil {
		return 0, fmt.Errorf("datagram: %w", err)
	}
	// Nothing is delivered before the first call of ReadNonQUICPacket, which creates the queue.
	first, end := context.WithCancel(ctx)
	end()
	if _, _, err := tr.ReadNonQUICPacket(first, nil); !errors.Is(err, context.Canceled) {
		return 0, err
	}
	buf := make([]byte, 100)
	for i := range 3 {
		packet := append([]byte{0x04, byte(i)}, "challenge"...)
		before := time.Now()
		if _, err := tr.WriteTo(packet, to); err != nil {
			return 0, fmt.Errorf("non-QUIC: %w", err)
		}
		n, from, err := tr.ReadNonQUICPacket(ctx, buf)
		for err == nil && n > 1 && buf[1] < byte(i) { // the duplicate of an earlier one
			n, from, err = tr.ReadNonQUICPacket(ctx, buf)
		}
		took := time.Since(before)
		if err != nil || !bytes.Equal(buf[:n], packet) || from.String() != to.String() {
			return 0, fmt.Errorf("non-QUIC: %x from %v: %w", buf[:n], from, err)
		}
		if rtt == 0 || took < rtt {
			rtt = took
		}
	}
	return rtt, nil
}

// talkDatagram repeats, since nobody else does that for a lost datagram.
func talkDatagram(ctx context.Context, c *quic.Conn) error {
	for {
		if err := c.SendDatagram([]byte("datagram")); err != nil {
			return err
		}
		once, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		d, err := c.ReceiveDatagram(once)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue
		}
		if err == nil && string(d) != "datagram" {
			err = fmt.Errorf("%q came back", d)
		}
		return err
	}
}

func talkStream(ctx context.Context, c *quic.Conn) error {
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	sent := bytes.Repeat([]byte("ursa"), 20_000) // more than a congestion window
	go func() {
		_, _ = s.Write(sent)
		_ = s.Close()
	}()
	got, err := io.ReadAll(s)
	if err == nil && !bytes.Equal(got, sent) {
		err = fmt.Errorf("%d bytes came back changed", len(got))
	}
	return err
}

func TestQUICInVirtualTime(t *testing.T) {
	conf := serverTLS(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: 17 * time.Millisecond}})
		server := listen(t, f, "server")
		defer serveEcho(t, server, conf)()
		rtt, err := talk(listen(t, f, "client"), server.LocalAddr())
		if err != nil || rtt != 34*time.Millisecond {
			t.Errorf("round trip of %v, %v; want 34 ms exactly", rtt, err)
		}
	})
}

func TestQUICInRealTime(t *testing.T) {
	f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: 2 * time.Millisecond}})
	server := listen(t, f, "server")
	defer serveEcho(t, server, serverTLS(t))()
	rtt, err := talk(listen(t, f, "client"), server.LocalAddr())
	if err != nil || rtt < 4*time.Millisecond {
		t.Errorf("round trip of %v, %v; the way takes 4 ms", rtt, err)
	}
	t.Logf("round trip of %v over 4 ms; %v", rtt, f.Stats().Lateness)
}

// A bad network: QUIC gets through loss, duplicates and reordering, and a timed round that gets through is no shorter.
func TestQUICOverABadNetwork(t *testing.T) {
	conf := serverTLS(t)
	synctest.Test(t, func(t *testing.T) {
		path := fabric.Link{OneWay: 5 * time.Millisecond, Jitter: fabric.Exponential{Mean: 3 * time.Millisecond}}
		f := newFabric(t, fabric.Config{Seed: 1, Path: path, Overtake: true, Duplicate: 0.05})
		server, client := listen(t, f, "server"), listen(t, f, "client")
		n := 0 // every tenth QUIC packet is lost
		lose := fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
			if n++; n%10 == 0 && p.Data[0]&0xc0 != 0 {
				return nil
			}
			return []fabric.Packet{p}
		})
		client.InterceptOut(lose)
		defer serveEcho(t, server, conf)()
		rtt, err := talk(client, server.LocalAddr())
		if err != nil || rtt < 10*time.Millisecond {
			t.Errorf("round trip of %v, %v", rtt, err)
		}
		if s := f.Stats(); s.Duplicated == 0 || s.Intercepted < 50 {
			t.Errorf("the bad network was none: %+v", s)
		}
	})
}

// A constellation: 200 servers, one client at each, all at once; every round trip is its own path's.
func TestTwoHundredEndpoints(t *testing.T) {
	conf := serverTLS(t)
	synctest.Test(t, func(t *testing.T) {
		path := distances{fabric.Uniform{}}
		f := newFabric(t, fabric.Config{Path: lossless{path}})
		var wg sync.WaitGroup
		for i := range 100 {
			server, client := listen(t, f, fmt.Sprint("server", i)), listen(t, f, fmt.Sprint("client", i))
			defer serveEcho(t, server, conf)()
			wg.Go(func() {
				a, b := client.AddrPort(), server.AddrPort()
				rtt, err := talk(client, server.LocalAddr())
				if want := path.least(a, b) + path.least(b, a); err != nil || rtt != want {
					t.Errorf("%v to %v: %v, %v; want %v", a, b, rtt, err, want)
				}
			})
		}
		wg.Wait()
	})
}
