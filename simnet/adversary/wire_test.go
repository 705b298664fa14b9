package adversary_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// handClock is a clock that a test turns.
type handClock struct{ real, raw int64 }

func (c *handClock) RealNS() int64 { return c.real }
func (c *handClock) RawNS() int64  { return c.raw }
func (c *handClock) Quality() stamp.Quality {
	return stamp.Quality{GranularityNS: 1, ErrPPB: stamp.QuartzPPB}
}
func (c *handClock) pass(d time.Duration) { c.real, c.raw = c.real+int64(d), c.raw+int64(d) }

// TestLever turns a clock at random and wants what a person would reckon: honest time at first, a share of it after Slow, less after
// Lose, no jump where the hand is laid on, and both clocks alike.
func TestLever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := &handClock{real: 1_700_000_000_000_000_000, raw: 5}
		l := adversary.NewLever(of)
		want, part, truth := int64(0), int64(1), int64(1)
		for range rapid.IntRange(1, 20).Draw(t, "acts") {
			switch rapid.IntRange(0, 2).Draw(t, "act") {
			case 0:
				d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "passes"))
				before := l.RawNS()
				of.pass(d)
				gained := l.RawNS() - before
				if exact := float64(d) * float64(part) / float64(truth); float64(gained) > exact+2 || float64(gained) < exact-2 {
					t.Fatalf("%v read as %d ns at %d/%d", d, gained, part, truth)
				}
				want += gained
			case 1:
				part = rapid.Int64Range(1, 1_000_000).Draw(t, "part")
				truth = rapid.Int64Range(part, 1_000_000).Draw(t, "truth")
				l.Slow(part, truth)
			case 2:
				d := rapid.Int64Range(0, int64(time.Second)).Draw(t, "loses")
				l.Lose(time.Duration(d))
				want -= d
			}
			if raw, real := l.RawNS()-5, l.RealNS()-1_700_000_000_000_000_000; raw != want || real != want {
				t.Fatalf("raw shows %d, real %d, want %d", raw, real, want)
			}
		}
		if l.Quality() != of.Quality() {
			t.Fatal("it confesses")
		}
	})
}

func TestChain(t *testing.T) {
	var tally adversary.Tally
	hold := adversary.HoldRounds(&tally, func(fabric.Packet) time.Duration { return 3 * time.Millisecond })
	twice := fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet { return []fabric.Packet{p, p} })
	none := fabric.InterceptorFunc(func(time.Time, fabric.Packet) []fabric.Packet { return nil })
	round := make([]byte, exchange.PacketSize)
	round[0], round[1] = exchange.CH, exchange.Suite
	p := fabric.Packet{From: netip.MustParseAddrPort("10.0.0.1:1"), To: netip.MustParseAddrPort("10.0.0.2:1"), Data: round}
	out := adversary.Chain(hold, twice, hold).Intercept(time.Time{}, p)
	if len(out) != 2 || out[0].Hold != 6*time.Millisecond || out[1].Hold != 6*time.Millisecond || tally.Count("held") != 3 {
		t.Errorf("%d packets, held %v, counted %d", len(out), out, tally.Count("held"))
	}
	if out := adversary.Chain(hold, none, twice).Intercept(time.Time{}, p); len(out) != 0 {
		t.Errorf("%d packets came out of nothing", len(out))
	}
	p.Data = []byte{0xc0, 1, 2}
	if out := adversary.Chain(hold).Intercept(time.Time{}, p); len(out) != 1 || out[0].Hold != 0 {
		t.Errorf("a packet of QUIC was held: %v", out)
	}
}

// TestReorder wants every third FN held, and counted only when a later challenge overtook it.
func TestReorder(t *testing.T) {
	var tally adversary.Tally
	i := adversary.ReorderRounds(&tally, 50*time.Millisecond)
	at := time.Unix(1000, 0)
	send := func(kind byte, index byte, after time.Duration) time.Duration {
		at = at.Add(after)
		b := make([]byte, exchange.PacketSize)
		b[0], b[1], b[3] = kind, exchange.Suite, index
		return i.Intercept(at, fabric.Packet{Data: b})[0].Hold
	}
	for index := range byte(9) {
		late := index >= 6 // by then it has come
		wait := 10 * time.Millisecond
		if late {
			wait = 60 * time.Millisecond
		}
		send(exchange.CH, index, wait)
		if held := send(exchange.FN, index, time.Millisecond); (held > 0) != (index%3 == 2) {
			t.Errorf("FN %d held for %v", index, held)
		}
	}
	if n := tally.Count("reordered"); n != 1 {
		t.Errorf("%d reordered; the second was held and its successor came too late", n)
	}
}

func TestStuck(t *testing.T) {
	a, b := make([]byte, 40), make([]byte, 40)
	if n, err := adversary.Stuck(9).Read(a); n != 40 || err != nil {
		t.Fatal(n, err)
	}
	_, _ = adversary.Stuck(9).Read(b)
	seed := adversary.Stuck(9).Seed()
	if !bytes.Equal(a, b) || !bytes.Equal(seed[:], a[:32]) {
		t.Error("it moves")
	}
}
