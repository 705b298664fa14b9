package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
)

// twice is a way to a gate that keeps the request which it carries, so that a test can send it again beside.
type twice struct {
	*client.Client
	mu   sync.Mutex
	sent core.Request
}

func (g *twice) Lease(ctx context.Context, r core.Request) ([]byte, error) {
	g.mu.Lock()
	g.sent = r
	g.mu.Unlock()
	return g.Client.Lease(ctx, r)
}

// TestTwinWaitsForTheEvidence: while the evidence of a lease is being written, the same request sent again does not get the lease out of
// the store: it is told to come again.
func TestTwinComesAgain(t *testing.T) {
	s := granttest.New(t)
	var g, beside *twice
	var twin chan error
	var mu sync.Mutex
	calls, early := 0, false
	_, quicAt, _ := serve(t, s, func(c *server.Config) {
		c.Keep = func(grant.Request, grant.Decision) error {
			mu.Lock()
			calls++
			first := calls == 1
			mu.Unlock()
			if !first {
				return nil
			}
			g.mu.Lock()
			r := g.sent
			g.mu.Unlock()
			go func() {
				_, err := beside.Client.Lease(context.Background(), r)
				twin <- err
			}()
			select {
			case err := <-twin:
				mu.Lock()
				early = err == nil
				mu.Unlock()
				twin <- err
			case <-time.After(300 * time.Millisecond):
			}
			return errors.New("no space left on device")
		}
	})
	twin = make(chan error, 1)
	g, beside = &twice{Client: dial(t, s.Core.Key, quicAt, "")}, &twice{Client: dial(t, s.Core.Key, quicAt, "")}
	if err := agent(t, s, s.Core, g).Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-twin; err == nil {
		t.Error("the twin was answered while the first was under way")
	}
	mu.Lock()
	defer mu.Unlock()
	if early {
		t.Error("the twin had the lease before its evidence was written")
	}
}
