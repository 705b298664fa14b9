package story

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// power is an adversary of a story.
type power struct {
	name  string
	args  []string
	apply func(p *play, args []string) error
}

// wire is what an adversary of a name takes and does. The form's words are CORE, BEACON, HOST (either), PLACE, NAME (a new core),
// DURATION, SHARE, NUMBER, WHAT (packets or proofs), and BEACONS for one or more.
type wire struct {
	form  string
	apply func(p *play, args []string) error
}

var powers = map[adversary.Name]wire{
	adversary.AddDelayConstant:  {"CORE DURATION", (*play).delayConstant},
	adversary.AddDelaySelective: {"CORE", (*play).delaySelective},
	adversary.AddDelayAdaptive:  {"CORE", (*play).delayAdaptive},
	adversary.Drop:              {"CORE SHARE", (*play).drop},
	adversary.Reorder:           {"CORE DURATION", (*play).reorder},
	adversary.ReplayProof:       {"CORE WHAT", (*play).replay},
	adversary.PreAnswer:         {"CORE", (*play).preAnswer},
	adversary.RelayNear:         {"CORE", (*play).relay},
	adversary.DistanceHijack:    {"CORE", (*play).hijack},
	adversary.FasterLink:        {"CORE", (*play).fasterLink},
	adversary.LyingShort:        {"BEACON CORE", (*play).lyingShort},
	adversary.LyingLong:         {"BEACON DURATION", (*play).lyingLong},
	adversary.LyingMoved:        {"BEACON PLACE", (*play).moved},
	adversary.Colluders:         {"CORE BEACONS", (*play).colluders},
	adversary.StolenKey:         {"BEACON PLACE CORE", (*play).stolenKey},
	adversary.ClonedCore:        {"CORE PLACE NAME", func(*play, []string) error { return nil }},
	adversary.MovedCore:         {"CORE PLACE", (*play).moved},
	adversary.SlowCore:          {"HOST SHARE", (*play).slowClock},
	adversary.PausedVM:          {"BEACON DURATION", (*play).pausedVM},
	adversary.PickyProver:       {"CORE BEACONS", (*play).picky},
	adversary.Flooding:          {"BEACON NUMBER", (*play).flooding},
	optimisticAck:               {"CORE", (*play).optimisticAck},
	stolenIdentity:              {"CORE PLACE NAME", func(*play, []string) error { return nil }},
}

// Two adversaries that only the real programs show.
const (
	optimisticAck  adversary.Name = "optimistic-ack"  // QUIC is acknowledged near the beacon, while answers come from afar
	stolenIdentity adversary.Name = "stolen-identity" // a core's key file and its attestation result, on a machine that nobody attested
)

// Powers lists the adversaries that a story can have, sorted.
func Powers() []string {
	names := make([]string, 0, len(powers))
	for n := range powers {
		names = append(names, string(n))
	}
	slices.Sort(names)
	return names
}

func (p *parser) adversary(args []string) error {
	if len(args) == 0 {
		return p.usage("adversary")
	}
	if args[0] == string(adversary.PoisonedCalibration) {
		return p.errorf("%s touches the estimate, which never grants; it is for ursa sim run", args[0])
	}
	w, ok := powers[adversary.Name(args[0])]
	if !ok {
		return p.errorf("unknown adversary %q; use one of %s", args[0], strings.Join(Powers(), ", "))
	}
	if err := p.form(args[0], strings.Fields(w.form), args[1:]); err != nil {
		return err
	}
	if name := adversary.Name(args[0]); name == adversary.ClonedCore || name == stolenIdentity {
		if err := p.clone(args[1], args[2], args[3], name == stolenIdentity); err != nil {
			return err
		}
	}
	p.act(act{power: &power{name: args[0], args: args[1:], apply: w.apply}})
	return nil
}

// form checks an adversary's arguments.
func (p *parser) form(name string, form, args []string) error {
	many := form[len(form)-1] == "BEACONS"
	if len(args) < len(form) || len(args) > len(form) && !many {
		return p.errorf("cannot read %q; write adversary %s %s", p.text, name, strings.Join(form, " "))
	}
	for i, a := range args {
		if err := p.argument(form[min(i, len(form)-1)], a); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) argument(kind, a string) error {
	switch kind {
	case "CORE":
		return p.isCore(a)
	case "BEACON", "BEACONS":
		return p.isBeacon(a)
	case "HOST":
		return p.isHost(a)
	case "PLACE":
		return p.known(a)
	case "NAME":
		return p.name(a)
	case "DURATION":
		if d, err := time.ParseDuration(a); err != nil || d <= 0 || d > time.Minute {
			return p.errorf("%q is no delay; write a duration up to 1m, such as 20ms", a)
		}
	case "SHARE":
		if s, err := strconv.ParseFloat(a, 64); err != nil || !(s > 0 && s <= 1) {
			return p.errorf("%q is no share; write a number above 0 and up to 1", a)
		}
	case "NUMBER":
		if n, err := strconv.ParseUint(a, 10, 32); err != nil || n == 0 || n > 1_000_000 {
			return p.errorf("%q is no number of packets a second; write 1 to 1000000", a)
		}
	case "WHAT":
		if a != "packets" && a != "proofs" {
			return p.errorf("%q cannot be replayed; write packets or proofs", a)
		}
	}
	return nil
}

// clone adds a second core with the key of another; stolen is only what lies on its disk, without the timed key.
func (p *parser) clone(of, place, name string, stolen bool) error {
	c := coreLine{name: name, place: place, claims: place, clones: of, stolen: stolen}
	if of := p.coreOf(of); of.clones != "" {
		return p.errorf("%s is a clone itself; clone %s", of.name, of.clones)
	}
	return p.addCore(c)
}

// tap adds an interceptor to those of an endpoint.
func (p *play) tap(at *fabric.Endpoint, out bool, i fabric.Interceptor) {
	k := tapAt{at, out}
	p.taps[k] = append(p.taps[k], i)
	if all := adversary.Chain(p.taps[k]...); out {
		at.InterceptOut(all)
	} else {
		at.InterceptIn(all)
	}
}

func duration(s string) time.Duration {
	d, _ := time.ParseDuration(s) // the parser has seen it parse
	return d
}

func share(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64) // the parser has seen it parse
	return f
}

func (p *play) delayConstant(args []string) error {
	p.tap(p.stage.Core(args[0]).Probe, true, adversary.HoldRounds(&p.tally, func(fabric.Packet) time.Duration { return duration(args[1]) }))
	return nil
}

// delaySelective holds each beacon's answers until the round trip looks like the one from the claimed place.
func (p *play) delaySelective(args []string) error {
	return p.shape(args[0], func(b *stage.Beacon, c *stage.Core) earth.RTT {
		rtt, _ := p.world.MinRTT(b.At, c.Claim)
		return rtt
	})
}

// delayAdaptive knows how a region is made: it adds exactly what lets every bound hold the claimed place, and not a nanosecond more.
func (p *play) delayAdaptive(args []string) error {
	return p.shape(args[0], func(b *stage.Beacon, c *stage.Core) earth.RTT {
		return earth.RTTFromMillis(lightMS(b.At, c.Claim))
	})
}

// shape holds the answers to each beacon until its round trip takes as long as wanted.
func (p *play) shape(name string, wanted func(*stage.Beacon, *stage.Core) earth.RTT) error {
	c := p.stage.Core(name)
	holds := map[string]time.Duration{}
	for _, b := range p.stage.Beacons {
		if truth, ok := p.world.MinRTT(b.At, c.Stands); ok {
			holds[b.Conn.AddrPort().String()] = (wanted(b, c) - truth).Duration()
		}
	}
	p.tap(c.Probe, true, adversary.HoldRounds(&p.tally, func(q fabric.Packet) time.Duration { return holds[q.To.String()] }))
	return nil
}

func (p *play) drop(args []string) error {
	c := p.stage.Core(args[0])
	p.tap(c.Probe, true, adversary.LoseRounds(&p.tally, share(args[1]), source.New(p.Seed, "drop out", args[0])))
	p.tap(c.Probe, false, adversary.LoseRounds(&p.tally, share(args[1]), source.New(p.Seed, "drop in", args[0])))
	return nil
}

func (p *play) reorder(args []string) error {
	p.tap(p.stage.Core(args[0]).Probe, false, adversary.ReorderRounds(&p.tally, duration(args[1])))
	return nil
}

// replay sends old answers next to every beacon, or the first proof again and again.
func (p *play) replay(args []string) error {
	c := p.stage.Core(args[0])
	if args[1] == "proofs" {
		c.Prover = &replayer{of: c.Prover, tally: &p.tally}
		return nil
	}
	return p.beside(func(b *stage.Beacon, at *fabric.Endpoint) {
		r := &adversary.Replayer{At: at, Tally: &p.tally}
		p.tap(b.Conn, false, r.In())
		p.tap(b.Conn, true, r.Out())
	})
}

// beside opens a socket next to every beacon.
func (p *play) beside(each func(b *stage.Beacon, at *fabric.Endpoint)) error {
	for _, b := range p.stage.Beacons {
		at, err := p.stage.Listen(fmt.Sprintf("accomplice %d beside %s", len(p.taps), b.Name), p.world.Host(b.At, "accomplice"))
		if err != nil {
			return err
		}
		each(b, at)
	}
	return nil
}

func (p *play) preAnswer(args []string) error {
	c := p.stage.Core(args[0])
	c.Prover = &adversary.Hasty{Config: c.Prober, Tally: &p.tally}
	return nil
}

// bridge stands a relay at the claimed place before every beacon.
func (p *play) bridge(name string) (relays []*fabric.Endpoint, err error) {
	c := p.stage.Core(name)
	for _, b := range p.stage.Beacons {
		e, err := p.stage.Listen("relay of "+name+" to "+b.Name, p.world.Host(c.Claim, "relay"))
		if err != nil {
			return nil, err
		}
		p.tap(e, false, p.counting("relayed"))
		p.tap(e, false, adversary.Bridge(e, c.Probe.AddrPort(), b.Conn.AddrPort()))
		p.detourTo(name, b, e.LocalAddr())
		relays = append(relays, e)
	}
	return relays, nil
}

// detourTo lets a core send to somebody else in a beacon's place.
func (p *play) detourTo(core string, b *stage.Beacon, to net.Addr) {
	if p.ways[core] == nil {
		p.ways[core] = map[string]net.Addr{}
	}
	p.ways[core][b.Conn.AddrPort().String()] = to
}

// counting lets everything pass and counts it.
func (p *play) counting(as string) fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, q fabric.Packet) []fabric.Packet {
		p.tally.Add(as, 1)
		return []fabric.Packet{q}
	})
}

func (p *play) relay(args []string) error {
	_, err := p.bridge(args[0])
	return err
}

// fasterLink is a relay whose way to the core is a straight line at the speed of light.
func (p *play) fasterLink(args []string) error {
	c := p.stage.Core(args[0])
	relays, err := p.bridge(args[0])
	for _, e := range relays {
		p.path.join(e.AddrPort().Addr(), c.Probe.AddrPort().Addr(), link{medium: "vacuum"}.oneWay(c.Claim, c.Stands))
	}
	return err
}

// hijack answers in the core's name next to every beacon. The core's source of randomness is stuck, so that its values are known.
func (p *play) hijack(args []string) error {
	const stuck = adversary.Stuck(42)
	c := p.stage.Core(args[0])
	c.Prober.Random = stuck
	return p.beside(func(b *stage.Beacon, at *fabric.Endpoint) {
		h := &adversary.Hijacker{At: at, Core: c.Probe.AddrPort().String(), Knows: stuck.Seed(), Tally: &p.tally}
		p.tap(b.Conn, true, h.Out())
		p.tap(b.Conn, false, h.In())
	})
}

// replayer answers every challenge after the first with the first proof.
type replayer struct {
	of    core.Prover
	tally *adversary.Tally
	proof []byte
	hash  [32]byte
}

// Prove implements core.Prover.
func (r *replayer) Prove(ctx context.Context, challenge []byte, previous [32]byte) (_ []byte, _ [32]byte, err error) {
	if r.proof != nil {
		r.tally.Add("proofs-replayed", 1)
		return r.proof, r.hash, nil
	}
	r.proof, r.hash, err = r.of.Prove(ctx, challenge, previous)
	return r.proof, r.hash, err
}

// Last implements what a result is looked at by.
func (r *replayer) Last() prober.Outcome {
	if shows, ok := r.of.(interface{ Last() prober.Outcome }); ok {
		return shows.Last()
	}
	return prober.Outcome{}
}
