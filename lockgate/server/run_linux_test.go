package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
)

// TestWorkloadRunsFreezesAndThaws is the whole off-switch with nothing
// pretended but the round trips: a real busy command under a real hold, a gate
// on HTTP/3, leases in a real store. Switched off, it comes to stand still and
// stays so; switched on again, it goes on. (That it takes no longer than T_off is
// shown in virtual time, in package core.)
func TestWorkloadRunsFreezesAndThaws(t *testing.T) {
	s := granttest.New(t)
	begun := time.Now()
	if d := s.Grant(s.Core, 10); !d.Granted {
		t.Fatal(d.RefusedBy, d.Reason)
	}
	// A lease lives for T_off from its question; on a slow machine the way to it
	// alone takes long.
	tOff := max(time.Second, 10*time.Since(begun))
	next := s.Policy
	next.Version, next.TOffMS = 2, new(uint64(tOff.Milliseconds()))
	if err := s.Gate.SetPolicy(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	_, quicAt, _ := serve(t, s, nil)
	c := s.NewCore(granttest.Middle, [32]byte{0xab})
	s.Enrol(c, 1_000_000)
	p, err := workload.Start(workload.Config{Command: []string{"sh", "-c", "while :; do :; done"}})
	if errors.Is(err, workload.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var granted, denied int
	var runs bool
	a, err := core.New(core.Config{Key: c.Key, TimedKey: c.Timed, GateKey: s.GateKey.Public(), Gate: dial(t, c.Key, quicAt, ""), Prover: prover{s, c},
		Memory: &core.Forgetful{}, Want: 300, Retry: 50 * time.Millisecond, Events: func(e core.Event) {
			mu.Lock()
			defer mu.Unlock()
			switch e.Kind {
			case core.Granted:
				granted += int(e.Units)
			case core.DeniedKind:
				denied++
			case core.Running, core.Frozen:
				runs = e.Kind == core.Running
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx, p) }()
	used := func() time.Duration {
		d, err := p.Used()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain: %s", what)
			}
		}
	}
	until("it runs", func() bool { return used() > 100*time.Millisecond })
	if err := s.Store.Enable(t.Context(), c.Key.ID(), false); err != nil {
		t.Fatal(err)
	}
	// A denial says that no lease is under way any more. What the lock holds then
	// runs out, and nothing follows.
	until("it stands still", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return denied > 0 && !runs
	})
	stopped := used()
	time.Sleep(300 * time.Millisecond)
	if after := used(); after != stopped {
		t.Errorf("switched off and frozen, and yet it used %v more", after-stopped)
	}
	if err := s.Store.Enable(t.Context(), c.Key.ID(), true); err != nil {
		t.Fatal(err)
	}
	until("it runs again", func() bool { return used() > stopped+50*time.Millisecond })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	e, ended := p.Exit()
	if !ended {
		t.Fatal("the command outlives its agent")
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%s: %v of CPU time, %d units granted", p.Hold(), e.CPU, granted)
	if over := e.CPU - time.Duration(granted)*core.Unit; over > 50*time.Millisecond {
		t.Errorf("it ran %v more than was granted", over)
	}
}
