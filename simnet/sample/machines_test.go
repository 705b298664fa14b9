package sample_test

import (
	"container/heap"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// machines runs the real state machines of one exchange, with their keys and signatures, over two lanes of a fabric, in virtual
// time. Everything that it draws follows from a number.
type machines struct {
	t       testing.TB
	path    fabric.Path
	ends    [2]netip.AddrPort // beacon, core
	lanes   [2]fabric.Lane    // of the packets that leave the beacon, and the core
	machine [2]interface {
		Step(stamp.Instant, exchange.Event) (exchange.Output, error)
	}
	over  [2]bool
	now   time.Duration
	queue []*happening
	order int
}

type happening struct {
	at    time.Duration
	order int
	do    func()
}

func (m *machines) Len() int { return len(m.queue) }
func (m *machines) Less(i, j int) bool {
	a, b := m.queue[i], m.queue[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
func (m *machines) Swap(i, j int) { m.queue[i], m.queue[j] = m.queue[j], m.queue[i] }
func (m *machines) Push(x any)    { m.queue = append(m.queue, x.(*happening)) }
func (m *machines) Pop() any {
	last := m.queue[len(m.queue)-1]
	m.queue = m.queue[:len(m.queue)-1]
	return last
}

// RealNS, RawNS and Quality make the virtual time a stamp.Clock.
func (m *machines) RealNS() int64          { return epochNS + int64(m.now) }
func (m *machines) RawNS() int64           { return int64(m.now) }
func (m *machines) Quality() stamp.Quality { return stamp.Quality{GranularityNS: 1, ErrPPB: 1} }

const epochNS = int64(1_800_000_000_000_000_000)

// cast is what all exchanges share.
type cast struct {
	world     *exchangetest.World
	core      *identity.Private
	challenge []byte
	asked     statement.Asked
}

func newCast(t testing.TB) *cast {
	c := &cast{core: exchangetest.Key(t, identity.RoleCore, "core")}
	c.world = exchangetest.New(t, time.Unix(0, epochNS), exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: "192.0.2.1:4433"})
	c.challenge = c.world.Challenge(t, c.core.ID(), nil)
	c.asked = c.world.Asked(t, c.challenge)
	return c
}

// exchange number n between a beacon and a core of a world.
func (c *cast) exchange(t testing.TB, w *world.World, beacon, core world.Place, limits exchange.Limits, n uint64) *machines {
	t.Helper()
	m := &machines{t: t, ends: [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:4433"), netip.MustParseAddrPort("10.0.0.2:4433")}}
	net := w.Network()
	for i, p := range []world.Place{beacon, core} {
		net.Place(m.ends[i].Addr(), p)
		m.lanes[i].Rnd = source.New(n, "lane", fmt.Sprint(i))
	}
	m.path = net
	b, err := exchange.NewBeacon(exchange.BeaconConfig{Key: c.world.Beacons[0], Limits: limits, Quality: m.Quality(), Path: exchange.PathWrapped,
		Binding: [32]byte{1}, ChannelKey: [32]byte{2}, Random: exchangetest.NewRandom(2 * n), Directory: c.world.Directory, UnixNS: epochNS,
		Attestation: []byte("beacon result"), Validity: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	k, err := exchange.NewCore(exchange.CoreConfig{Key: c.core, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: c.world.Directory, Beacon: c.world.Beacons[0].ID(), UnixNS: epochNS,
		Quality: m.Quality(), Mode: exchange.ModeBlocking, Carrier: exchange.CarrierPackets, Challenge: c.challenge, Asked: c.asked, Step: time.Minute,
		Previous: [32]byte{3}, Attestation: []byte("core result"), Binding: [32]byte{1}, ChannelKey: [32]byte{2}, Random: exchangetest.NewRandom(2*n + 1)})
	if err != nil {
		t.Fatal(err)
	}
	m.machine[0], m.machine[1] = b, k
	return m
}

// run plays to the end and returns what both sides measured; false when there is no statement.
func (m *machines) run() (beaconNS, coreNS int64, ok bool) {
	m.after(0, func() { m.step(0, exchange.Start()) })
	m.after(0, func() { m.step(1, exchange.Start()) })
	for events := 0; len(m.queue) > 0; events++ {
		if events > 10_000 {
			m.t.Fatal("an exchange does not end")
		}
		next := heap.Pop(m).(*happening)
		m.now = next.at
		next.do()
	}
	b, okB := m.machine[0].(*exchange.Beacon).Result()
	c, okC := m.machine[1].(*exchange.Core).Result()
	return b.Statement.RTTBeaconMinNS, c.RTTNS, okB && okC
}

func (m *machines) after(d time.Duration, do func()) {
	m.order++
	heap.Push(m, &happening{m.now + d, m.order, do})
}

func (m *machines) instant() stamp.Instant { return stamp.Instant(m.now) }

// step hands an event to a side, as its shell does.
func (m *machines) step(side int, ev exchange.Event) (stamped bool) {
	if m.over[side] {
		return false
	}
	out, err := m.machine[side].Step(m.instant(), ev)
	if err != nil {
		m.over[side] = true
		m.send(side, exchange.Refusal(err))
		return false
	}
	m.over[side] = out.Done
	if out.Packet != nil {
		out.Wake = m.emit(side, out)
	}
	if out.Message != nil {
		m.send(side, out.Message)
	}
	if out.Wake != stamp.Never && !m.over[side] {
		m.after(max(0, out.Wake.Sub(m.instant())), func() { m.step(side, exchange.Tick()) })
	}
	return out.Stamped
}

// emit sends a round packet through the lane and returns when the side wants to be woken.
func (m *machines) emit(side int, out exchange.Output) stamp.Instant {
	packet := *out.Packet
	d, err := stamp.Send(m, func() error {
		fate := m.lanes[side].Send(m.now, m.path, m.ends[side], m.ends[1-side], len(packet))
		for _, due := range fate.Due() {
			m.after(due-m.now, func() { m.arrive(1-side, packet) })
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if !out.Timed {
		return out.Wake
	}
	after, err := m.machine[side].Step(m.instant(), exchange.Departed(d))
	if err != nil {
		m.t.Fatal(err)
	}
	return after.Wake
}

func (m *machines) arrive(side int, packet exchange.Packet) {
	if !m.step(side, exchange.GotPacket(&packet)) {
		return
	}
	look, err := stamp.Receive(m, func() error { return nil })
	if err != nil {
		m.t.Fatal(err)
	}
	at, err := look.Arrival()
	if err != nil {
		m.t.Fatal(err)
	}
	m.step(side, exchange.Arrived(at))
}

// send takes a message over the stream, which loses nothing: it travels behind whatever left before it.
func (m *machines) send(side int, message []byte) {
	m.after(400*time.Millisecond, func() { m.step(1-side, exchange.GotMessage(message)) })
}
