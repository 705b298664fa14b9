package exchange

import (
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"pgregory.net/rapid"
)

// TestNoRoundBelowTheDelay: under any loss, jitter, duplication and reordering, a round is never shorter than the two one-way
// delays, the minimum is the shortest round that passed, and the exchange either ends well or says that too few rounds passed.
func TestNoRoundBelowTheDelay(t *testing.T) {
	ended := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t)
		p.oneWay = time.Duration(rapid.Int64Range(0, 100e6).Draw(t, "one way"))
		p.beaconCfg.Random = exchangetest.NewRandom(rapid.Uint64().Draw(t, "seed"))
		loss := rapid.IntRange(0, 60).Draw(t, "loss percent")
		jitter := rapid.Int64Range(0, 30e6).Draw(t, "jitter")
		copies := rapid.IntRange(1, 3).Draw(t, "copies")
		p.packet = func(_ bool, packet Packet) []arriving {
			var out []arriving
			for range copies {
				if rapid.IntRange(0, 99).Draw(t, "lost") >= loss {
					out = append(out, arriving{p: packet, delay: time.Duration(rapid.Int64Range(0, jitter).Draw(t, "delay"))})
				}
			}
			return out
		}
		p.run()
		for _, r := range p.beacon.caller.rounds[:p.beacon.caller.valid] {
			if r.NS < 2*int64(p.oneWay) {
				t.Fatalf("beacon's round of %d ns over a path of %d", r.NS, 2*int64(p.oneWay))
			}
		}
		for _, r := range p.core.answerer.rounds[:p.core.answerer.valid] {
			if r.NS < 2*int64(p.oneWay) {
				t.Fatalf("core's round of %d ns over a path of %d", r.NS, 2*int64(p.oneWay))
			}
		}
		switch {
		case p.doneB && p.doneC:
			ended["well"]++
			if s := p.beacon.result.Statement; s.RoundsOK < 8 || s.RoundsSent > 64 || s.RTTBeaconMinNS < 2*int64(p.oneWay) {
				t.Fatalf("statement: %+v", s)
			}
		case errors.Is(p.errB, ErrTooFewRounds) || errors.Is(p.errC, ErrTooFewRounds):
			ended["too few rounds"]++
		default:
			t.Fatalf("beacon: %v, core: %v", p.errB, p.errC)
		}
	})
	p := newPair(t) // and it can end well: few checks may all draw a path of too much loss
	if p.run(); !p.doneB || !p.doneC {
		t.Errorf("%v, but over a plain path beacon: %v, core: %v", ended, p.errB, p.errC)
	}
}

// TestAdaptiveRounds: two minima that agree end the exchange at eight rounds; noise makes it go on until they do, the budget is spent
// or 64 are sent.
func TestAdaptiveRounds(t *testing.T) {
	for _, c := range []struct {
		name    string
		oneWay  time.Duration
		noise   func(i int) time.Duration
		atLeast uint64
		atMost  uint64
	}{
		{"quiet path", 5 * time.Millisecond, func(int) time.Duration { return 0 }, 8, 8},
		{"minima never agree", time.Millisecond, func(i int) time.Duration { return time.Duration(i) * 50 * time.Microsecond }, 64, 64},
		{"agree at round 20", time.Millisecond, func(i int) time.Duration {
			if i >= 18 {
				return 0
			}
			return time.Duration(100-i) * 50 * time.Microsecond
		}, 20, 20},
		{"far away", 75 * time.Millisecond, func(i int) time.Duration { return time.Duration(i) * 50 * time.Microsecond }, 8, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.oneWay = c.oneWay
			i := 0
			p.packet = func(toCore bool, packet Packet) []arriving {
				a := arriving{p: packet}
				if packet.Kind() == CH {
					a.delay = c.noise(i)
					i++
				}
				return []arriving{a}
			}
			p.run()
			b, _ := p.bothDone()
			if n := b.Statement.RoundsSent; n < c.atLeast || n > c.atMost {
				t.Errorf("%d rounds, want %d to %d", n, c.atLeast, c.atMost)
			}
		})
	}
}

// TestSlowPhaseDeadlines: whoever falls silent is given up after the step's time, in every state.
func TestSlowPhaseDeadlines(t *testing.T) {
	for _, c := range []struct {
		silent   Kind
		atBeacon bool
	}{{KindInit, true}, {KindAccept, false}, {KindReady, true}, {KindStop, false}, {KindTimes, true}, {KindResult, false}, {KindCountersign, true}} {
		p := newPair(t)
		p.message = func(_ bool, msg []byte) []byte {
			if Kind(msg[0]) == c.silent {
				return nil
			}
			return msg
		}
		p.run()
		err := p.errC
		if c.atBeacon {
			err = p.errB
		}
		refusedFor(t, err, ErrDeadline)
		if limit := int64(p.beaconCfg.Limits.Step*4 + p.beaconCfg.Limits.Deadline); p.now > limit {
			t.Errorf("silent about kind %d: over after %v", c.silent, time.Duration(p.now))
		}
	}
}

// TestTimedPhaseAllocatesNothing: from one challenge to the next, neither side allocates.
func TestTimedPhaseAllocatesNothing(t *testing.T) {
	p := newPair(t)
	p.make()
	keys := roundKeys{ch: [32]byte{1}, rs: [32]byte{2}, fn: [32]byte{3}}
	limits := DefaultLimits()
	limits.Agree, limits.Spread = 0, 0
	session := Session{1}
	caller := newCaller(limits, session, Seed{1}, keys, 1)
	answerer := newAnswerer(64, session, Seed{2}, keys, 1)
	caller.start(0)
	allocated := testing.AllocsPerRun(40, func() {
		ch := caller.tick(0)
		rs, err := answerer.answer(ch)
		if err != nil {
			t.Fatal(err)
		}
		p.now += 1000
		caller.departed(departNow(t, p.clockB))
		answerer.departed(departNow(t, p.clockC))
		p.now += 1000
		if _, err := caller.answer(rs); err != nil {
			t.Fatal(err)
		}
		caller.arrived(0, arrivalNow(t, p.clockB))
		if err := answerer.finish(&caller.finish); err != nil {
			t.Fatal(err)
		}
		answerer.arrived(arrivalNow(t, p.clockC))
	})
	if allocated != 0 {
		t.Errorf("%v allocations a round, want none", allocated)
	}
}
