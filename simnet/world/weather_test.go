package world_test

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/world"
)

const evening = `
ursa_world: 1
name: evening
seed: 3
start: 2026-03-01T00:00:00Z
places: {builtin: true, access: wifi}
access: [{class: wifi, loss: 0.01}]
congestion:
  - access: [wifi]
    clock: local
    hours: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 4, 2, 1]
    loss: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1]
`

// Queues follow the sun where the clock is local, and Greenwich where it is not.
func TestCongestionFollowsTheHour(t *testing.T) {
	w := load(t, evening)
	london, tokyo := find(t, w, "London"), find(t, w, "Tokyo") // 139.7 degrees east: 9.31 hours ahead
	for _, c := range []struct {
		place  world.Place
		at     time.Duration
		factor float64
		loss   float64
	}{
		{london, 0, 1, 0.01},
		{london, 20*time.Hour + 30*time.Second, 5, 0.03},
		{london, 18*time.Hour + 30*time.Minute, 3.5, 0.01},
		{london, 44 * time.Hour, 5, 0.03},
		{london, -4 * time.Hour, 5, 0.03},
		{tokyo, 20*time.Hour - time.Duration(139.69/15*float64(time.Hour)), 5, 0.03},
		{tokyo, 20 * time.Hour, 1, 0.01},
	} {
		x := w.WaitAt(c.place, c.at)
		if math.Abs(x.Factor-c.factor) > 0.03 || math.Abs(x.Loss-c.loss) > 0.0003 {
			t.Errorf("%s at %v: factor %.3f, loss %.4f; want %v and %v", c.place, c.at, x.Factor, x.Loss, c.factor, c.loss)
		}
	}
	if w.IsSteady() || !builtin(t, 1, world.Public).IsSteady() {
		t.Error("which world is steady?")
	}
}

// Over the fabric the same evening is seen: the network hands its time to the world.
func TestNetworkKnowsTheHour(t *testing.T) {
	least := func(begin time.Duration) (sum time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := load(t, evening)
			_, n, ends := stage(t, w, find(t, w, "London"), find(t, w, "Paris"))
			n.StartAt(begin)
			for range 200 {
				if rtt, ok := ping(t, ends[0], ends[1], 1); ok {
					sum += rtt
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		return sum / 200
	}
	night, busy := least(3*time.Hour), least(20*time.Hour)
	if busy < night+10*time.Millisecond {
		t.Errorf("a round trip takes %v at night and %v in the evening", night, busy)
	}
}

func TestRouteChanges(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: changes
seed: 3
places: {builtin: true}
changes:
  - {between: [london, paris], at: 1h, until: 2h, adds: 10ms}
  - {between: [paris, rome], at: 1h, adds: 7ms, one_way: true}
  - {between: [oslo, "*"], at: 1h, adds: -5s}
`)
	london, paris, rome, oslo := find(t, w, "London"), find(t, w, "Paris"), find(t, w, "Rome"), find(t, w, "Oslo")
	adds := func(a, b world.Place, at time.Duration) time.Duration {
		before, _ := w.OneWay(a, b)
		then, ok := w.OneWayAt(a, b, at)
		if !ok {
			t.Fatal("no way")
		}
		return then - before
	}
	for _, c := range []struct {
		a, b world.Place
		at   time.Duration
		want time.Duration
	}{
		{london, paris, 0, 0}, {london, paris, time.Hour - 1, 0}, {london, paris, time.Hour, 5 * time.Millisecond}, {paris, london, time.Hour, 5 * time.Millisecond},
		{w.Host(paris, "core"), london, time.Hour, 5 * time.Millisecond}, {london, paris, 2 * time.Hour, 0},
		{paris, rome, time.Hour, 7 * time.Millisecond}, {rome, paris, 1000 * time.Hour, 0}, {london, rome, time.Hour, 0},
	} {
		if got := adds(c.a, c.b, c.at); got != c.want {
			t.Errorf("%s to %s after %v: %v more, want %v", c.a, c.b, c.at, got, c.want)
		}
	}
	rtt, _ := w.MinRTTAt(oslo, rome, time.Hour)
	if want := 2 * math.Ceil(light(oslo, rome)/2); float64(rtt) != want {
		t.Errorf("a change that takes away all leaves %v, light needs %.0f ns", rtt, want)
	}
}

// A network sees a change at its moment, though it remembers delays.
func TestNetworkForgetsOldRoutes(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: changes
seed: 3
places: {builtin: true}
changes: [{between: [london, paris], at: 1h, until: 2h, adds: 100ms}]
`)
	n := w.Network()
	a, b := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	n.Place(a.Addr(), find(t, w, "London"))
	n.Place(b.Addr(), find(t, w, "Paris"))
	rnd := rand.New(rand.NewPCG(1, 1))
	var _ fabric.TimedPath = n
	for _, c := range []struct {
		now  time.Duration
		slow bool
	}{{0, false}, {time.Hour - 1, false}, {time.Hour, true}, {2*time.Hour - 1, true}, {2 * time.Hour, false}, {time.Hour, true}, {0, false}} {
		d, lost := n.DelayAt(c.now, a, b, 100, rnd)
		if lost || d > 50*time.Millisecond != c.slow {
			t.Errorf("after %v: %v, %v", c.now, d, lost)
		}
	}
}

// Routes wander as often and as far as the file says, alike in both directions.
func TestWander(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: wander
seed: 3
places: {builtin: true}
wander: {every: 1h, share: 0.3, median_ms: 8, sigma: 0.5}
`)
	a, b := find(t, w, "London"), find(t, w, "Tokyo")
	usual, _ := w.MinRTT(a, b)
	var longer []float64
	const epochs = 4000
	for i := range epochs {
		at := time.Duration(i)*time.Hour + time.Minute
		x, _ := w.MinRTTAt(a, b, at)
		if y, _ := w.MinRTTAt(b, a, at+50*time.Minute); y != x {
			t.Fatalf("in one hour %v and %v", x, y)
		}
		if x != usual {
			longer = append(longer, (x - usual).Millis())
		}
	}
	slices.Sort(longer)
	if share := float64(len(longer)) / epochs; share < 0.27 || share > 0.33 {
		t.Errorf("%.3f of the hours on another route", share)
	}
	if m := longer[len(longer)/2]; m < 7.4 || m > 8.6 {
		t.Errorf("median of %.2f ms more", m)
	}
}

func TestAccessLaws(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: access
seed: 3
places: {builtin: true}
access:
  - class: cellular
    excess_ms: {least_of_100: 10, least_of_30: 10, least_of_10: 10, least_of_3: 10, p50: 10, p90: 10, p99: 10}
    delay: 20ms
  - {class: wired, scatter: 0.5, loss: 0.5}
`)
	london, paris := find(t, w, "London"), find(t, w, "Paris")
	phone, home := w.Host(london, "phone"), w.Host(london, "home")
	phone.Access, home.Access = world.Cellular, world.Wired
	with, _ := w.MinRTT(phone, paris)
	plain := builtin(t, 3, world.Public)
	without, _ := plain.MinRTT(phone, paris)
	if with-without != 40e6 {
		t.Errorf("a delay of 20 ms makes %v more", with-without)
	}
	if q := w.WaitAt(phone, 0).Quantile(0.7); q != 10*time.Millisecond {
		t.Errorf("a queue of 10 ms takes %v", q)
	}
	factors := make([]float64, 0, 300)
	for _, p := range w.Places()[:300] {
		p.Access = world.Wired
		factors = append(factors, math.Log(w.WaitAt(p, 0).Factor))
	}
	slices.Sort(factors)
	if sd := (quantile(factors, 0.84) - quantile(factors, 0.16)) / 2; sd < 0.4 || sd > 0.6 {
		t.Errorf("hosts scatter by %.2f, want 0.5", sd)
	}
	lost, rnd := 0, rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		if _, l := w.WaitAt(home, 0).Draw(rnd); l {
			lost++
		}
	}
	if lost < 4800 || lost > 5200 {
		t.Errorf("%d of 10,000 lost, want half", lost)
	}
	if x := (world.Place{}); w.WaitAt(x, 0).Quantile(0.5) != 0 {
		t.Error("a host without access waits")
	}
}

// Some paths are busy: both directions alike, hosts of one town on the same path, none within a town.
func TestPathQueues(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: queues
seed: 3
places: {builtin: true}
routes: {queues: {scatter: 0.4, scatter_tail: 3}}
`)
	var logs []float64
	places := w.Places()[:120]
	for i, a := range places {
		for _, b := range places[:i] {
			there, back := w.WaitBetween(a, b, 0), w.WaitBetween(w.Host(b, "x"), w.Host(a, "y"), time.Hour)
			if there.Factor != back.Factor || there.Factor <= 0 || there.Quantile(0.5) < w.WaitAt(a, 0).Quantile(0.5)/10 {
				t.Fatalf("%s to %s: %v there, %v back", a, b, there.Factor, back.Factor)
			}
			logs = append(logs, math.Log(there.Factor))
		}
	}
	slices.Sort(logs)
	if lo, hi := -quantile(logs, 0.16), quantile(logs, 0.84); lo < 0.37 || lo > 0.43 || hi < 1.1 || hi > 1.3 {
		t.Errorf("paths scatter by %.2f below and %.2f above the median", lo, hi)
	}
	if f := w.QueueFactor(places[0], w.Host(places[0], "x")); f != 1 {
		t.Errorf("within a town a factor of %v", f)
	}
	if f := builtin(t, 1, world.Public).QueueFactor(places[0], places[1]); f != 1 {
		t.Errorf("in the built-in world a factor of %v", f)
	}
	// The network draws with it: the same packets, on a busy path and on a quiet one.
	n := w.Network()
	a := netip.MustParseAddrPort("10.0.0.1:1")
	n.Place(a.Addr(), places[0])
	for i, p := range places[1:4] {
		b := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 1)
		n.Place(b.Addr(), p)
		d, _ := n.Delay(a, b, 100, rand.New(rand.NewPCG(1, 1)))
		least, _ := w.OneWay(places[0], p)
		want, _ := w.WaitBetween(places[0], p, 0).Draw(rand.New(rand.NewPCG(1, 1)))
		if d != least+want {
			t.Errorf("to %s: %v, want %v and %v", p, d, least, want)
		}
	}
}

func TestClocks(t *testing.T) {
	w := load(t, `
ursa_world: 1
name: clocks
seed: 3
places: {builtin: true}
clocks:
  offset_ms: 10
  drift_ppm: 50
  hosts: [{host: core, offset: -2s, drift_ppm: 100, steps: [{at: 1h, by: 3s}, {at: 2h, by: -1s}]}]
`)
	core := w.Clock("core")
	for _, c := range []struct{ at, want time.Duration }{
		{0, -2 * time.Second}, {10_000 * time.Second, -2*time.Second + time.Second + 3*time.Second - time.Second},
		{time.Hour, -2*time.Second + 360*time.Millisecond + 3*time.Second},
	} {
		if got := core.Error(c.at); got != c.want || core.Reading(c.at) != c.at+c.want {
			t.Errorf("after %v the clock is %v ahead, want %v", c.at, got, c.want)
		}
	}
	if w.Clock("x").Offset == w.Clock("y").Offset {
		t.Error("clocks are not drawn from their host's name")
	}
	if c := builtin(t, 1, world.Public).Clock("x"); c.Error(time.Hour) != 0 {
		t.Error("a clock of the built-in world is wrong")
	}
}
