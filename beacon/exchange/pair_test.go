package exchange

import (
	"container/heap"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// TestMain keeps the rapid checks few unless their number is asked for: each runs a whole exchange with all its signatures.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		_ = flag.Set("rapid.checks", "25")
	}
	os.Exit(m.Run())
}

// pair runs both machines against each other in simulated time, with hooks for whoever stands between them.
type pair struct {
	t          exchangetest.TB
	world      *exchangetest.World
	coreKey    *identity.Private
	challenge  []byte
	beaconCfg  BeaconConfig
	coreCfg    CoreConfig
	beacon     *Beacon
	core       *Core
	oneWay     time.Duration
	now        int64 // simulated truth, ns
	queue      happenings
	order      int
	clockB     *fakeClock
	clockC     *fakeClock
	errB, errC error
	doneB      bool
	doneC      bool
	refusedB   []error
	refusedC   []error
	stamped    bool        // the last step asked for the arrival
	sent       []sentThing // everything that the beacon sent, in order

	// packet sees every packet on its way and returns what arrives instead, and how much later than the truth.
	packet func(toCore bool, p Packet) []arriving
	// message may change a message; nil drops it.
	message func(toCore bool, msg []byte) []byte
}

type sentThing struct {
	bytes  []byte
	packet bool
}

type arriving struct {
	p     Packet
	delay time.Duration // beside the one-way delay; negative means that the sender stands nearer
}

type happening struct {
	at    int64
	order int
	do    func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// fakeClock shows the truth unless told otherwise.
type fakeClock struct {
	truth *int64
	q     stamp.Quality
	real  func(truth int64) int64
	raw   func(truth int64) int64
}

const epochNS = int64(1_800_000_000_000_000_000)

func (c *fakeClock) RealNS() int64          { return epochNS + c.real(*c.truth) }
func (c *fakeClock) RawNS() int64           { return c.raw(*c.truth) }
func (c *fakeClock) Quality() stamp.Quality { return c.q }

func truthful(t int64) int64 { return t }

var fine = stamp.Quality{GranularityNS: 1, ErrPPB: 1}

// stage is what all pairs share: signing it anew for each would be most of the tests' time.
type stage struct {
	world     *exchangetest.World
	challenge []byte
	asked     statement.Asked
}

var (
	stageOnce sync.Once
	theStage  stage
)

func setting(t exchangetest.TB) stage {
	t.Helper()
	stageOnce.Do(func() {
		w := exchangetest.New(t, time.Unix(0, epochNS),
			exchangetest.Place{Name: "Here", At: earth.LatLon{Lat: 50, Lon: 8}, Address: "192.0.2.1:4433"},
			exchangetest.Place{Name: "There", At: earth.LatLon{Lat: 40, Lon: -74}, Address: "192.0.2.2:4433"})
		challenge := w.Challenge(t, exchangetest.Key(t, identity.RoleCore, "core").ID(), nil)
		theStage = stage{world: w, challenge: challenge, asked: w.Asked(t, challenge)}
	})
	return theStage
}

// newPair makes two honest machines 20 ms of round trip apart.
func newPair(t exchangetest.TB) *pair {
	t.Helper()
	p := &pair{t: t, oneWay: 10 * time.Millisecond}
	p.clockB = &fakeClock{truth: &p.now, q: fine, real: truthful, raw: truthful}
	p.clockC = &fakeClock{truth: &p.now, q: fine, real: truthful, raw: truthful}
	shared := setting(t)
	p.world, p.challenge = shared.world, shared.challenge
	p.coreKey = exchangetest.Key(t, identity.RoleCore, "core")
	p.beaconCfg = BeaconConfig{
		Key: p.world.Beacons[0], Limits: DefaultLimits(), Quality: fine, Path: PathWrapped,
		Binding: [32]byte{1}, ChannelKey: [32]byte{2}, Random: exchangetest.NewRandom(1),
		Directory: p.world.Directory, UnixNS: epochNS, Attestation: []byte("beacon result"), Validity: time.Hour,
	}
	p.coreCfg = CoreConfig{
		Key: p.coreKey, TimedKey: exchangetest.TimedKey(t, "core"), Directory: p.world.Directory, Beacon: p.world.Beacons[0].ID(), UnixNS: epochNS,
		Quality: fine, Mode: ModeBlocking, Carrier: CarrierPackets,
		Challenge: p.challenge, Asked: shared.asked, Previous: [32]byte{3}, Attestation: []byte(coreResultText),
		Binding: [32]byte{1}, ChannelKey: [32]byte{2}, Random: exchangetest.NewRandom(2),
	}
	return p
}

// make builds the machines from their configurations.
func (p *pair) make() {
	p.t.Helper()
	var err error
	p.beaconCfg.Quality, p.coreCfg.Quality = p.clockB.q, p.clockC.q
	if p.beacon, err = NewBeacon(p.beaconCfg); err != nil {
		p.t.Fatal(err)
	}
	if p.core, err = NewCore(p.coreCfg); err != nil {
		p.t.Fatal(err)
	}
}

// run lets the exchange run to its end and fails the test if it does not end.
func (p *pair) run() {
	p.t.Helper()
	if p.beacon == nil {
		p.make()
	}
	p.after(0, func() { p.stepB(Start()) })
	p.after(0, func() { p.stepC(Start()) })
	for events := 0; p.queue.Len() > 0; events++ {
		if events > 100_000 {
			p.t.Fatal("exchange does not end")
		}
		next := heap.Pop(&p.queue).(happening)
		p.now = max(p.now, next.at)
		next.do()
	}
}

func (p *pair) after(d time.Duration, do func()) {
	p.order++
	heap.Push(&p.queue, happening{at: p.now + int64(d), order: p.order, do: do})
}

func (p *pair) stepB(ev Event) {
	if p.errB != nil || p.doneB {
		return
	}
	out, err := p.beacon.Step(stamp.Instant(p.now), ev)
	if err != nil {
		p.errB = err
		p.carry(true, Refusal(err))
		return
	}
	p.doneB, p.stamped = out.Done, out.Stamped
	if out.Refused != nil {
		p.refusedB = append(p.refusedB, out.Refused)
	}
	if out.Packet != nil {
		p.sent = append(p.sent, sentThing{bytes: append([]byte(nil), out.Packet[:]...), packet: true})
		out = p.emit(p.clockB, true, out, p.beacon.Step)
	}
	if out.Message != nil {
		p.sent = append(p.sent, sentThing{bytes: out.Message})
		p.carry(true, out.Message)
	}
	p.wake(out.Wake, func() { p.stepB(Tick()) })
}

func (p *pair) stepC(ev Event) {
	if p.errC != nil || p.doneC {
		return
	}
	out, err := p.core.Step(stamp.Instant(p.now), ev)
	if err != nil {
		p.errC = err
		p.carry(false, Refusal(err))
		return
	}
	p.doneC, p.stamped = out.Done, out.Stamped
	if out.Refused != nil {
		p.refusedC = append(p.refusedC, out.Refused)
	}
	if out.Packet != nil {
		out = p.emit(p.clockC, false, out, p.core.Step)
	}
	if out.Message != nil {
		p.carry(false, out.Message)
	}
	p.wake(out.Wake, func() { p.stepC(Tick()) })
}

// emit sends a packet and reports its departure, as the shell does.
func (p *pair) emit(c *fakeClock, toCore bool, out Output, step func(stamp.Instant, Event) (Output, error)) Output {
	d, err := stamp.Send(c, func() error {
		flights := []arriving{{p: *out.Packet}}
		if p.packet != nil {
			flights = p.packet(toCore, *out.Packet)
		}
		for _, f := range flights {
			p.after(max(0, p.oneWay+f.delay), func() { p.deliver(toCore, f.p) })
		}
		return nil
	})
	if err != nil || !out.Timed {
		return out
	}
	after, err := step(stamp.Instant(p.now), Departed(d))
	if err != nil {
		p.t.Fatal(err)
	}
	out.Wake = after.Wake
	return out
}

func (p *pair) deliver(toCore bool, packet Packet) {
	clock, step := p.clockB, p.stepB
	if toCore {
		clock, step = p.clockC, p.stepC
	}
	p.stamped = false
	step(GotPacket(&packet))
	if p.stamped {
		step(Arrived(arrivalNow(p.t, clock)))
	}
}

func arrivalNow(t exchangetest.TB, c stamp.Clock) stamp.Arrival {
	look, err := stamp.Receive(c, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	at, err := look.Arrival()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (p *pair) carry(toCore bool, msg []byte) {
	if p.message != nil {
		msg = p.message(toCore, msg)
	}
	if msg == nil {
		return
	}
	step := p.stepB
	if toCore {
		step = p.stepC
	}
	p.after(p.oneWay, func() { step(GotMessage(msg)) })
}

func (p *pair) wake(at stamp.Instant, tick func()) {
	if at != stamp.Never {
		p.after(max(0, at.Sub(stamp.Instant(p.now))), tick)
	}
}

// bothDone fails the test unless the exchange ended well on both sides.
func (p *pair) bothDone() (BeaconResult, CoreResult) {
	p.t.Helper()
	if p.errB != nil || p.errC != nil || !p.doneB || !p.doneC {
		p.t.Fatal("exchange failed: beacon:", p.errB, "core:", p.errC)
	}
	b, okB := p.beacon.Result()
	c, okC := p.core.Result()
	if !okB || !okC {
		p.t.Fatal("no result")
	}
	return b, c
}

// refusedFor fails the test unless the given side refused for the reason; no statement may exist then.
func refusedFor(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("refused for %v, want %v", err, want)
	}
}

func TestHonestExchange(t *testing.T) {
	p := newPair(t)
	p.run()
	b, c := p.bothDone()
	s := c.Statement
	if s.RTTBeaconMinNS != 20e6 || c.RTTNS != 20e6 {
		t.Errorf("beacon %d ns, core %d ns, want 20 ms", s.RTTBeaconMinNS, c.RTTNS)
	}
	if want := int64(20e6) + fine.Cost(20e6); s.RTTCoreMinNS != want {
		t.Errorf("statement's core minimum %d ns, want %d: the core's own clock error belongs in it", s.RTTCoreMinNS, want)
	}
	if s.RoundsOK != 8 || s.RoundsSent != 8 {
		t.Errorf("%d of %d rounds, want 8 of 8", s.RoundsOK, s.RoundsSent)
	}
	if err := p.coreKey.Public().Verify(identity.TypeCountersign, c.Signed.Payload, b.Countersignature); err != nil {
		t.Error("countersignature did not come back:", err)
	}
	if s.TimedKey != p.coreCfg.TimedKey.ID() {
		t.Error("the statement names another timed key than the one that was timed")
	}
	if len(p.refusedB)+len(p.refusedC) > 0 {
		t.Errorf("honest packets refused: %v, %v", p.refusedB, p.refusedC)
	}
}

func newKey(t exchangetest.TB, role identity.Role, name string) *identity.Private {
	return exchangetest.Key(t, role, name)
}

func departNow(t exchangetest.TB, c stamp.Clock) stamp.Departure {
	d, err := stamp.Send(c, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// forgedAtBeacon and forgedAtCore hand a payload from outside to one side's timed phase, as its machine does.
func forgedAtBeacon(c *caller, f forgedPacket) error {
	var p Packet
	if err := ParsePacket(&p, f.Packet); err != nil {
		return err
	}
	_, err := c.answer(&p)
	return err
}

func forgedAtCore(a *answerer, f forgedPacket) error {
	var p Packet
	if err := ParsePacket(&p, f.Packet); err != nil {
		return err
	}
	if p.Kind() == FN {
		return a.finish(&p)
	}
	_, err := a.answer(&p)
	return err
}

func encodeJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	if err := os.WriteFile(file, encodeJSON(t, v), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readJSON decodes a file and returns its bytes.
func readJSON(t *testing.T, file string, v any) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = loadJSON(file, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

func loadJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
