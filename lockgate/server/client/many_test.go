package client_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
)

// gate serves a scene over HTTP/2 and returns its address.
func gate(t *testing.T, s *granttest.Scene) (address string, stop func()) {
	t.Helper()
	srv, err := server.New(server.Config{Gate: s.Gate})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTCP(l) }()
	stop = func() {
		_ = srv.Close()
		<-done
	}
	return l.Addr().String(), stop
}

func dial(t *testing.T, s *granttest.Scene, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Key: s.Core.Key, Claim: granttest.Middle, Address: address, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestManyGoToTheNext: a gate that does not answer is passed over, a gate that says no is believed.
func TestManyGoToTheNext(t *testing.T) {
	s := granttest.New(t)
	first, stopFirst := gate(t, s)
	second, stopSecond := gate(t, s)
	m, err := client.NewMany(dial(t, s, first), dial(t, s, second))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(seq uint64) error {
		_, err := m.Challenge(context.Background(), core.Question{LockNonce: [32]byte{byte(seq)}, LockSeq: seq, Want: 1})
		return err
	}
	if err := ask(1); err != nil {
		t.Fatal(err)
	}
	var no *core.Denied
	if err := m.Burn(context.Background(), [16]byte{1}, 1<<60); !errors.As(err, &no) || no.RefusedBy != "budget" {
		t.Errorf("a definite no: %v", err)
	}
	stopFirst()
	if err := ask(2); err != nil {
		t.Errorf("the second gate: %v", err)
	}
	stopSecond()
	if err := ask(3); err == nil || errors.As(err, &no) {
		t.Errorf("no gate at all: %v", err)
	}
	if _, err := client.NewMany(); !errors.Is(err, client.ErrConfig) {
		t.Error(err)
	}
}
