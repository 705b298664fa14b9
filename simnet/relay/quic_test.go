package relay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/relay"
)

// QUIC over real sockets with segmentation offload passes the relay, loss and reordering included, and takes at least the
// distance.
func TestQUICThroughTheRelay(t *testing.T) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, priv)
	if err != nil {
		t.Fatal(err)
	}
	protocols := []string{"relay-test"}
	serverTLS := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: priv}}, NextProtos: protocols}
	server := &quic.Transport{Conn: loopbackSocket(t)}
	defer server.Close()
	ln, err := server.Listen(serverTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	way := relay.Direction{Link: fabric.Link{OneWay: 2 * time.Millisecond, Jitter: fabric.Exponential{Mean: 300 * time.Microsecond}, Loss: 0.01}, Overtake: true}
	r, err := relay.Listen("127.0.0.1:0", server.Conn.LocalAddr().String(), relay.Config{Seed: 1, Up: way, Down: way})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	go func() {
		if c, err := ln.Accept(ctx); err == nil {
			if s, err := c.AcceptStream(ctx); err == nil {
				_, _ = io.Copy(s, s)
				_ = s.Close()
			}
		}
	}()
	client := &quic.Transport{Conn: loopbackSocket(t)}
	defer client.Close()
	start := time.Now()
	c, err := client.Dial(ctx, r.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}, nil)
	if err != nil {
		t.Fatal(err, r.Stats())
	}
	if took := time.Since(start); took < 4*time.Millisecond {
		t.Errorf("a handshake in %v over 4 ms", took)
	}
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = s.Write(make([]byte, 100_000))
		_ = s.Close()
	}()
	if back, err := io.ReadAll(s); err != nil || len(back) != 100_000 {
		t.Errorf("%d bytes came back, %v; %v", len(back), err, r.Stats())
	}
	_ = c.CloseWithError(0, "done")
}
