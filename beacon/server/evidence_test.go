package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// look lets a core of that name ask the beacon, and returns what the beacon showed.
func (r *rig) look(name string, judge func(prober.Presented) error) (prober.Presented, error) {
	r.t.Helper()
	var seen prober.Presented
	core := exchangetest.Key(r.t, identity.RoleCore, name)
	out, err := prober.Run(context.Background(), prober.Config{Key: core, TimedKey: exchangetest.TimedKey(r.t, "timed"), Directory: r.world.Directory, Conn: r.socket(name), Attestation: []byte("core result"), Clock: virtual,
		Timeout: time.Minute, Appraise: func(_ context.Context, p prober.Presented) error {
			seen = p
			return judge(p)
		}}, r.world.Challenge(r.t, core.ID(), nil))
	if err == nil && len(out.Failures) > 0 {
		err = out.Failures[0].Err
	}
	return seen, err
}

func agree(prober.Presented) error { return nil }

// A slow TPM answers everybody who asked while it was busy by one quote, and nobody by another's.
func TestOneQuoteForManyAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var quotes atomic.Int64
		r := newRig(t, func(c *server.Config) {
			c.MaxPerPrefix = 100
			c.Evidence = func(_ context.Context, nonce [32]byte) ([]byte, error) {
				quotes.Add(1)
				time.Sleep(2 * time.Second)
				return nonce[:], nil
			}
		})
		defer r.close()
		var all sync.WaitGroup
		const askers = 20
		for i := range askers {
			all.Go(func() {
				p, err := r.look(string(rune('a'+i)), agree)
				if err != nil || string(p.Evidence) != string(p.Nonce[:]) {
					t.Errorf("asker %d: %x for %x: %v", i, p.Evidence, p.Nonce, err)
				}
			})
		}
		all.Wait()
		if n := quotes.Load(); n > 3 {
			t.Errorf("%d quotes for %d askers at once", n, askers)
		}
	})
}

func TestResultsAreRenewedInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		p, err := r.look("first", agree)
		if err != nil || string(p.Result) != "beacon result" || len(p.Evidence) != 0 {
			t.Fatalf("%s %v", p.Result, err)
		}
		if err := r.server.SetAttestation([]byte("fresh result"), true); err != nil {
			t.Fatal(err)
		}
		if p, err = r.look("second", agree); err != nil || string(p.Result) != "fresh result" {
			t.Errorf("%s %v", p.Result, err)
		}
		if err := r.server.SetAttestation(nil, false); !errors.Is(err, server.ErrConfig) {
			t.Error("no result at all:", err)
		}
		if err := r.probe("one that does not ask", r.socket("core")); err != nil {
			t.Error(err)
		}
	})
}

// What the core refuses it refuses before the exchange; the beacon signs nothing.
func TestRefusedBeforeTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *server.Config) {
			c.Evidence = func(context.Context, [32]byte) ([]byte, error) { return nil, errors.New("the TPM is gone") }
		})
		defer r.close()
		no := errors.New("not to my taste")
		p, err := r.look("core", func(prober.Presented) error { return no })
		if !errors.Is(err, no) || !errors.Is(err, prober.ErrAppraisal) || len(p.Evidence) != 0 {
			t.Errorf("%x %v", p.Evidence, err)
		}
		if n := r.server.Stats().Statements; n != 0 {
			t.Errorf("%d statements", n)
		}
	})
}

// A host reads in the beacon's log and counts that cores do not accept its evidence, whatever it is that they do not like.
func TestHostSeesThatItsEvidenceIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *server.Config) {
			c.Evidence = func(_ context.Context, nonce [32]byte) ([]byte, error) { return nonce[:], nil }
		})
		if _, err := r.look("core", func(prober.Presented) error { return errors.New("not to my taste") }); !errors.Is(err, prober.ErrAppraisal) {
			t.Error(err)
		}
		r.close() // its exchanges are over
		if n := r.server.Stats().RefusedReasons[exchange.ErrMistrusted.Error()]; n != 1 {
			t.Errorf("%d counted: %v", n, r.server.Stats().RefusedReasons)
		}
		if log := r.log.String(); !strings.Contains(log, exchange.ErrMistrusted.Error()) || !strings.Contains(log, "peer refused: code 26") {
			t.Error(log)
		}
	})
}
