package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// A lease is not handed out before its evidence is written; a refusal needs none; what is owed is written as soon as something can be.
func TestKeeper(t *testing.T) {
	full := errors.New("no space left on device")
	var refuse error
	wrote := map[[16]byte]int{}
	k := newKeeper(slog.New(slog.DiscardHandler), func(r grant.Request, d grant.Decision) error {
		if refuse == nil {
			wrote[r.RequestID]++
			if d.Granted && string(d.Lease) == "" {
				t.Error("evidence of a lease without the lease")
			}
		}
		return refuse
	})
	request := func(core, n byte) grant.Request {
		return grant.Request{Core: identity.ID{core}, RequestID: [16]byte{n}}
	}
	granted := grant.Decision{Granted: true, Lease: []byte("lease"), Record: grant.Record{DecidedUnixNS: 1}}
	again := grant.Decision{Granted: true, Repeated: true, Lease: []byte("lease")}
	denied := grant.Decision{RefusedBy: "verdict", Record: grant.Record{DecidedUnixNS: 1}}
	expect := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	expect("granted", k.keep(request(1, 1), granted), nil)
	expect("repeated", k.keep(request(1, 1), again), nil)
	refuse = full
	expect("denied on a full disk", k.keep(request(2, 2), denied), nil)
	expect("granted on a full disk", k.keep(request(1, 3), granted), full)
	expect("asked again on a full disk", k.keep(request(1, 3), again), full)
	expect("an older answer asked for again", k.keep(request(1, 1), again), nil)
	expect("another core's on a full disk", k.keep(request(3, 4), granted), full)
	refuse = nil
	expect("asked again", k.keep(request(1, 3), again), nil)
	expect("somebody else's, with whom the rest is written", k.keep(request(2, 5), granted), nil)
	expect("asked again afterwards", k.keep(request(3, 4), again), nil)
	for n, want := range map[byte]int{1: 1, 2: 0, 3: 1, 4: 1, 5: 1} {
		if got := wrote[[16]byte{n}]; got != want {
			t.Errorf("request %d: written %d times, want %d", n, got, want)
		}
	}
	if written, failed := k.counts(); written != 4 || failed != 4 || len(k.owed) != 0 {
		t.Errorf("%d written, %d failed, %d owed", written, failed, len(k.owed))
	}
}
