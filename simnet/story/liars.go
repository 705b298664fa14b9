package story

import (
	"strconv"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// leastLie is the shortest round trip that a liar states.
const leastLie = earth.RTT(400_000)

func (p *play) lyingShort(args []string) error { return p.colluders([]string{args[1], args[0]}) }

// colluders lets the clocks of beacons and of a core run slow, so that the true round trips between them read like those from the
// claimed place. The core has one clock for all of them: the slowest that it needs.
func (p *play) colluders(args []string) error {
	p.trusted = false
	c := p.stage.Core(args[0])
	part, truth := int64(1), int64(1)
	for _, name := range args[1:] {
		b := p.stage.Beacon(name)
		there, ok1 := p.path.oneWay(b.At, c.Stands)
		back, ok2 := p.path.oneWay(c.Stands, b.At)
		lie, ok3 := p.world.MinRTT(b.At, c.Claim)
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		is := int64(there + back)
		says := min(int64(max(lie, leastLie)), max(is-1, 1))
		b.Clock.Slow(says, is)
		if float64(says)*float64(truth) < float64(part)*float64(is) {
			part, truth = says, is
		}
	}
	c.Clock.Slow(part, truth)
	return nil
}

// lyingLong lets a beacon add delay of its own.
func (p *play) lyingLong(args []string) error {
	p.tap(p.stage.Beacon(args[0]).Conn, true, adversary.HoldRounds(&p.tally, func(fabric.Packet) time.Duration { return duration(args[1]) }))
	return nil
}

// moved puts a beacon or a core where the directory or its claim does not say.
func (p *play) moved(args []string) error {
	p.moveTo(args[0], args[1])
	return nil
}

// stolenKey runs a beacon's key a second time, at a place of the thief's; the core goes there.
func (p *play) stolenKey(args []string) error {
	b := p.stage.Beacon(args[0])
	e, _, err := p.stage.Impostor(b, p.world.Host(p.places[args[1]], "impostor"))
	if err != nil {
		return err
	}
	p.tap(e, false, p.counting("stolen"))
	p.detourTo(args[2], b, e.LocalAddr())
	return nil
}

func (p *play) slowClock(args []string) error {
	p.trusted = false
	const whole = 1_000_000
	part := max(int64(share(args[1])*whole), 1)
	if c := p.stage.Core(args[0]); c != nil {
		c.Clock.Slow(part, whole)
	} else {
		p.stage.Beacon(args[0]).Clock.Slow(part, whole)
	}
	return nil
}

// pausedVM pauses a beacon's machine for a while after each challenge: its clocks lose that time.
func (p *play) pausedVM(args []string) error {
	p.trusted = false
	b := p.stage.Beacon(args[0])
	p.tap(b.Conn, true, fabric.InterceptorFunc(func(_ time.Time, q fabric.Packet) []fabric.Packet {
		if len(q.Data) == exchange.PacketSize && q.Data[0] == exchange.CH {
			b.Clock.Lose(duration(args[1]))
			p.tally.Add("paused", 1)
		}
		return []fabric.Packet{q}
	}))
	return nil
}

// picky lets a core ask none but the beacons that it likes.
func (p *play) picky(args []string) error {
	skip := map[string]bool{}
	for _, b := range p.stage.Beacons {
		skip[b.Conn.AddrPort().String()] = true
	}
	for _, name := range args[1:] {
		skip[p.stage.Beacon(name).Conn.AddrPort().String()] = false
	}
	p.skipped[args[0]] = skip
	return nil
}

// flooding sends so many packets a second to a beacon for as long as anybody proves.
func (p *play) flooding(args []string) error {
	b := p.stage.Beacon(args[0])
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	at, err := p.stage.Listen("flood of "+b.Name, p.world.Host(b.At, "flood"))
	if err != nil {
		return err
	}
	rnd := source.New(p.Seed, "flood", args[0])
	p.floods = append(p.floods, func(stop <-chan struct{}) { adversary.FloodWith(at, b.Conn.AddrPort(), n, &p.tally, rnd, stop) })
	return nil
}

// optimisticAck puts the core's QUIC at the claimed place, where it acknowledges at once, and lets the packets of rounds go on to
// where the key is, and back. The core's own clock helps with the lie.
func (p *play) optimisticAck(args []string) error {
	p.trusted = false
	c := p.stage.Core(args[0])
	front := p.world.Host(c.Claim, "front")
	there, _ := p.path.oneWay(front, c.Stands)
	back, _ := p.path.oneWay(c.Stands, front)
	p.stage.Ground.Place(c.Probe.AddrPort().Addr(), front)
	for out, d := range map[bool]time.Duration{true: back, false: there} {
		p.tap(c.Probe, out, p.fronted(d))
	}
	c.Clock.Slow(int64(leastLie), max(int64(there+back), int64(leastLie)))
	return nil
}

func (p *play) fronted(d time.Duration) fabric.Interceptor {
	return adversary.HoldRounds(&p.tally, func(fabric.Packet) time.Duration {
		p.tally.Add("fronted", 1)
		return d
	})
}
