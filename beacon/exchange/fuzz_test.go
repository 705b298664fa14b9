package exchange

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// FuzzPacket: whatever parses is the bytes that came, and nothing panics.
func FuzzPacket(f *testing.F) {
	var v roundVectors
	readSeeds(f, &v)
	for _, r := range v.Rounds {
		f.Add([]byte(r.CH))
		f.Add([]byte(r.RS))
		f.Add([]byte(r.FN))
		for _, forged := range r.Forged {
			f.Add([]byte(forged.Packet))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var p Packet
		if err := ParsePacket(&p, payload); err != nil {
			return
		}
		if !bytes.Equal(p[:], payload) || !IsRoundPacket(payload[0]) {
			t.Fatalf("%x parsed as %x", payload, p)
		}
	})
}

// FuzzMessage hands one message to machines in every state: each either takes it or ends, and neither ever signs a statement by it.
func FuzzMessage(f *testing.F) {
	recorded := recordMessages(f)
	for _, m := range recorded {
		f.Add(m)
		f.Add(m[:HeadSize])
	}
	f.Add(Refusal(ErrBusy))
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, state := range []beaconState{beaconInit, beaconReady, beaconTiming, beaconTimes, beaconCountersign} {
			p := newPair(t)
			p.make()
			p.beacon.state = state
			p.beacon.core = p.coreKey.Public()
			p.beacon.caller = newCaller(DefaultLimits(), p.beacon.session, p.beacon.seed, roundKeys{}, 1)
			_, err := p.beacon.Step(0, GotMessage(msg))
			mustEnd(t, p.beacon.Step, err)
			if _, signed := p.beacon.Result(); signed {
				t.Fatal("a statement without rounds")
			}
		}
		for _, state := range []coreState{coreStart, coreAccept, coreTiming, coreResult} {
			p := newPair(t)
			p.make()
			p.core.state = state
			p.core.answerer = newAnswerer(64, Session{}, p.core.seed, roundKeys{}, 1)
			_, err := p.core.Step(0, GotMessage(msg))
			mustEnd(t, p.core.Step, err)
			if _, done := p.core.Result(); done {
				t.Fatal("a countersignature without rounds")
			}
		}
	})
}

// mustEnd requires that a machine that refused stays over.
func mustEnd(t *testing.T, step func(stamp.Instant, Event) (Output, error), err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, again := step(0, Tick()); !errors.Is(again, ErrOver) {
		t.Fatalf("after %v the machine goes on: %v", err, again)
	}
}

// recordMessages runs one honest exchange and returns its messages.
func recordMessages(t testing.TB) [][]byte {
	t.Helper()
	p := newPair(t)
	var all [][]byte
	p.message = func(_ bool, msg []byte) []byte {
		all = append(all, append([]byte(nil), msg...))
		return msg
	}
	p.run()
	p.bothDone()
	return all
}

// readSeeds reads the vectors for fuzzing, where no *testing.T exists.
func readSeeds(f *testing.F, v *roundVectors) {
	f.Helper()
	if err := loadJSON(roundFile, v); err != nil {
		f.Fatal(err)
	}
}

// FuzzOrder lets the fuzzer decide the order in which everything in flight arrives, what is lost, repeated, changed or swapped,
// and when time passes. Whatever it does: no panic, never two challenges outstanding, no index answered twice, no round without
// both verified packets, no statement with fewer than eight rounds.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0, 1, 2}, 60))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 3}, 60))
	f.Add(bytes.Repeat([]byte{1, 4, 0, 5, 2, 6, 7}, 40))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 2000 {
			script = script[:2000]
		}
		newDisorder(t).play(script)
	})
}

// disorder holds what is in flight between two machines in their timed phase and lets a script choose what happens.
type disorder struct {
	t        *testing.T
	p        *pair
	caller   *caller
	answerer *answerer
	toCore   []Packet
	toBeacon []Packet
	answered map[uint16]bool
}

func newDisorder(t *testing.T) *disorder {
	keys := roundKeys{ch: [32]byte{1}, rs: [32]byte{2}, fn: [32]byte{3}}
	d := &disorder{t: t, p: &pair{t: t}, answered: map[uint16]bool{}}
	d.p.clockB = &fakeClock{truth: &d.p.now, q: fine, real: truthful, raw: truthful}
	d.p.clockC = &fakeClock{truth: &d.p.now, q: fine, real: truthful, raw: truthful}
	d.caller = newCaller(DefaultLimits(), Session{1}, Seed{1}, keys, 1)
	d.answerer = newAnswerer(64, Session{1}, Seed{2}, keys, 1)
	d.caller.start(0)
	return d
}

func (d *disorder) now() stamp.Instant { return stamp.Instant(d.p.now) }

func (d *disorder) play(script []byte) {
	for i, op := range script {
		d.p.now += int64(op)*10_000 + 1
		switch op % 8 {
		case 0:
			d.challenge()
		case 1:
			d.arriveAtCore(int(op)+i, false)
		case 2:
			d.arriveAtBeacon(int(op)+i, false)
		case 3:
			d.p.now += 500e6
		case 4:
			d.arriveAtCore(int(op)+i, true)
		case 5:
			d.arriveAtBeacon(int(op)+i, true)
		case 6: // lost, all of it
			d.toCore, d.toBeacon = nil, nil
		case 7: // a packet of one direction turns up in the other
			d.toCore, d.toBeacon = append(d.toCore, d.toBeacon...), append(d.toBeacon, d.toCore...)
		}
		d.check()
		if len(d.toCore)+len(d.toBeacon) > 64 {
			d.toCore, d.toBeacon = nil, nil
		}
	}
}

func (d *disorder) challenge() {
	sent := d.caller.sent
	if ch := d.caller.tick(d.now()); ch != nil {
		if d.caller.sent != sent+1 {
			d.t.Fatal("a challenge that does not count")
		}
		d.toCore = append(d.toCore, *ch)
		d.caller.departed(departNow(d.t, d.p.clockB))
	}
}

// pick takes one packet out of a list, or copies it when it shall come again, and perhaps changes it.
func pick(list *[]Packet, at int, damage bool) (Packet, bool) {
	if len(*list) == 0 {
		return Packet{}, false
	}
	i := at % len(*list)
	p := (*list)[i]
	if at%3 != 0 {
		*list = append((*list)[:i:i], (*list)[i+1:]...)
	}
	if damage {
		p[at%PacketSize] ^= byte(at | 1)
	}
	return p, true
}

func (d *disorder) arriveAtCore(at int, damage bool) {
	packet, ok := pick(&d.toCore, at, damage)
	if !ok || packet.check() != nil {
		return
	}
	switch packet.Kind() {
	case CH:
		rs, err := d.answerer.answer(&packet)
		if err != nil {
			return
		}
		if damage {
			d.t.Fatal("a damaged challenge was answered")
		}
		if d.answered[packet.Index()] {
			d.t.Fatalf("round %d answered twice", packet.Index())
		}
		d.answered[packet.Index()] = true
		d.toBeacon = append(d.toBeacon, *rs)
		d.answerer.departed(departNow(d.t, d.p.clockC))
	case FN:
		if err := d.answerer.finish(&packet); err != nil {
			return
		}
		if damage {
			d.t.Fatal("a damaged FN was taken")
		}
		d.answerer.arrived(arrivalNow(d.t, d.p.clockC))
	}
}

func (d *disorder) arriveAtBeacon(at int, damage bool) {
	packet, ok := pick(&d.toBeacon, at, damage)
	if !ok || packet.check() != nil {
		return
	}
	fn, err := d.caller.answer(&packet)
	if err != nil {
		return
	}
	if at%5 != 0 { // else the report is lost and the time-out must end the round
		d.caller.arrived(d.now(), arrivalNow(d.t, d.p.clockB))
	}
	if damage {
		d.t.Fatal("a damaged answer was taken")
	}
	d.toCore = append(d.toCore, *fn)
}

func (d *disorder) check() {
	c := d.caller
	if c.valid > int(c.sent) || int(c.sent) > MaxRoundsEver || d.answerer.valid > int(d.answerer.next) {
		d.t.Fatalf("%d valid of %d sent, core %d of %d", c.valid, c.sent, d.answerer.valid, d.answerer.next)
	}
	for i, r := range c.rounds[:c.valid] {
		if !d.answered[r.Index] || r.NS <= 0 || i > 0 && c.rounds[i-1].Index >= r.Index {
			d.t.Fatalf("round %+v counts, answered: %v", r, d.answered[r.Index])
		}
	}
}
