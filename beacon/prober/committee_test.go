package prober_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// TestCommitteeMakesProofs: a proof names the one before, is made with what Prepare says at that time, and its hash is the
// one that the next has to name.
func TestCommitteeMakesProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, map[string]fabric.Link{"a": {OneWay: time.Millisecond}, "b": {OneWay: 2 * time.Millisecond}}, nil)
		defer stop()
		prepared := 0
		p := &prober.Committee{Prepare: func(context.Context) (prober.Config, error) {
			prepared++
			return prober.Config{Key: c.core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: c.Directory, Conn: c.socket, Attestation: []byte("core result"), Clock: virtual}, nil
		}}
		previous := statement.FirstProof(c.core.ID())
		for range 2 {
			b, hash, err := p.Prove(t.Context(), c.Challenge(t, c.core.ID(), nil), previous)
			if err != nil {
				t.Fatal(err)
			}
			claim, err := statement.DecodeProof(b)
			if err != nil || claim.PreviousProof != previous || len(claim.Statements) != 2 || claim.MadeUnixNS != time.Now().UnixNano() {
				t.Fatalf("%+v, %v", claim, err)
			}
			if hash == previous || len(p.Last().Answers) != 2 {
				t.Errorf("hash %x, %d answers", hash, len(p.Last().Answers))
			}
			previous = hash
		}
		if prepared != 2 {
			t.Errorf("prepared %d times for two proofs", prepared)
		}
	})
}

// TestCommitteeOfTheSilent: a proof that nobody answered is none, and says who was asked first.
func TestCommitteeOfTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := build(t, map[string]fabric.Link{"far": {OneWay: time.Minute}}, nil)
		defer stop()
		broken := errors.New("no directory")
		var trouble error
		p := &prober.Committee{Prepare: func(context.Context) (prober.Config, error) {
			return prober.Config{Key: c.core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: c.Directory, Conn: c.socket, Attestation: []byte("core result"), Clock: virtual, Timeout: time.Second}, trouble
		}}
		if _, _, err := p.Prove(t.Context(), c.Challenge(t, c.core.ID(), nil), [32]byte{1}); !errors.Is(err, prober.ErrNoAnswer) || !errors.Is(err, prober.ErrDial) {
			t.Error(err)
		}
		trouble = broken
		if _, _, err := p.Prove(t.Context(), c.Challenge(t, c.core.ID(), nil), [32]byte{1}); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
}
