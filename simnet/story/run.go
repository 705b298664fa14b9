package story

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Report is how a story ended.
type Report struct {
	Held, Failed int // expectations
	FalseAccepts int // leases of cores that stood outside; those that the story did not expect are among Failed
	Elapsed      time.Duration
}

// play is a story while it runs.
type play struct {
	*Story
	out     io.Writer
	world   *world.World
	region  *atlas.Region
	path    *detour
	stage   *stage.Stage
	tally   adversary.Tally
	rnd     *rand.Rand
	ways    map[string]map[string]net.Addr // core, and address of a beacon, to where the core sends instead
	skipped map[string]map[string]bool     // core, and address of a beacon that it does not ask
	taps    map[tapAt][]fabric.Interceptor
	floods  []func(stop <-chan struct{})
	trusted bool // nobody holds a clock or a key: then no statement may be shorter than its path
	results map[string]*result
	line    int // of the act that happens
	report  Report
}

type tapAt struct {
	at  *fabric.Endpoint
	out bool
}

// result is a core's newest proof.
type result struct {
	stage.Decided
	err         error
	falseAccept bool
	reported    bool     // the story said so
	before      [32]byte // the challenge that the core had answered last
}

// String says what became of it.
func (r *result) String() string {
	switch {
	case r == nil:
		return "nothing was proved"
	case r.err != nil:
		return "no decision: " + r.err.Error()
	}
	how := "denied by " + r.Decision.RefusedBy
	if r.Decision.Granted {
		how = "granted"
	}
	if r.Decision.Finding.Judged {
		how += ", " + r.Decision.Finding.Verdict.Kind().String()
	}
	if r.falseAccept {
		how += ", a false accept"
	}
	if r.Decision.Reason != "" {
		how += ": " + r.Decision.Reason
	}
	return how
}

// Run plays a story and writes one line for each expectation to out. Under testing/synctest it runs in virtual time; it must then be
// called inside the bubble. An error says that the story could not be played; that expectations failed is in the report.
func Run(ctx context.Context, s *Story, out io.Writer) (Report, error) {
	began := time.Now()
	p := &play{Story: s, out: out, rnd: source.New(s.Seed, "story"), ways: map[string]map[string]net.Addr{}, skipped: map[string]map[string]bool{},
		taps: map[tapAt][]fabric.Interceptor{}, trusted: true, results: map[string]*result{}}
	dir, err := os.MkdirTemp("", "ursa-story-")
	if err != nil {
		return Report{}, fmt.Errorf("cannot make a folder for the gate's store: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := p.open(ctx, dir); err != nil {
		return Report{}, err
	}
	defer p.stage.Close()
	for _, a := range s.acts {
		if err := p.act(ctx, a); err != nil {
			return p.report, err
		}
	}
	for _, c := range s.cores {
		p.settle(c.name)
	}
	p.report.Elapsed = time.Since(began)
	return p.report, ctx.Err()
}

// open sets the stage.
func (p *play) open(ctx context.Context, dir string) (err error) {
	if p.world, err = p.Story.world(); err != nil {
		return err
	}
	if p.region, err = atlas.Parse(p.permit, atlas.Options{}); err != nil {
		return err
	}
	gate := p.beacons[0].place
	if p.gate != "" {
		gate = p.gate
	}
	cfg := stage.Config{World: p.world, Seed: p.Seed, Dir: dir, Overtake: p.overtakes(), Gate: p.world.Host(p.places[gate], "gate"),
		Policy: p.gatePolicy, Near: int(p.policy.near), Drawn: int(p.policy.drawn), Budget: 1 << 40, Want: 1000,
		Path: func(n *world.Network) fabric.Path { p.path = newDetour(n, p.world, p.Story); return p.path }}
	for _, b := range p.beacons {
		cfg.Beacons = append(cfg.Beacons, stage.BeaconSpec{Name: b.name, At: p.world.Host(p.places[b.place], b.name), Domain: b.domain})
	}
	for _, c := range p.cores {
		cfg.Cores = append(cfg.Cores, stage.CoreSpec{Name: c.name, Claim: p.world.Host(p.places[c.claims], c.name),
			Stands: p.world.Host(p.places[c.place], c.name), CloneOf: c.clones, Stolen: c.stolen})
		cfg.Lenient = cfg.Lenient || c.stolen
	}
	if p.stage, err = stage.Start(ctx, cfg); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrStory, p.File, err)
	}
	for _, c := range p.stage.Cores {
		c.Prober.Resolve = p.resolver(c.Name)
	}
	return nil
}

// overtakes says whether packets may overtake each other: only where a story is about that.
func (p *play) overtakes() bool {
	for _, a := range p.acts {
		if a.power != nil && a.power.name == string(adversary.Reorder) {
			return true
		}
	}
	return false
}

// resolver is how a core finds a beacon, or whoever the adversary puts in its place.
func (p *play) resolver(core string) func(context.Context, string) (net.Addr, error) {
	return func(ctx context.Context, address string) (net.Addr, error) {
		if p.skipped[core][address] {
			p.tally.Add("skipped", 1)
			return nil, fmt.Errorf("%w: the core does not ask %s", stage.ErrAddress, address)
		}
		if a, ok := p.ways[core][address]; ok {
			return a, nil
		}
		return stage.Resolve(ctx, address)
	}
}

// act lets one line happen.
func (p *play) act(ctx context.Context, a act) error {
	p.line = a.line
	switch {
	case a.power != nil:
		if err := a.power.apply(p, a.power.args); err != nil {
			return fmt.Errorf("%w: %s:%d: %w", ErrStory, p.File, a.line, err)
		}
	case a.prove != nil:
		return p.proveAll(ctx, a.prove)
	case a.wait != "":
		d, err := time.ParseDuration(a.wait)
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	case a.holds != nil:
		holds, got := a.holds(p)
		p.say(holds, a.line, a.text, got)
	default:
		p.moveTo(a.move[0], a.move[1])
	}
	return ctx.Err()
}

// say tells of an expectation.
func (p *play) say(holds bool, line int, text, got string) {
	word := "ok    "
	if holds {
		p.report.Held++
	} else {
		p.report.Failed++
		word = "FAILED"
	}
	fmt.Fprintf(p.out, "%s:%d: %s %s (%s)\n", p.File, line, word, text, got)
}

// moveTo puts a machine somewhere else.
func (p *play) moveTo(who, place string) {
	p.tally.Add("moved", 1)
	to := p.world.Host(p.places[place], who)
	if c := p.stage.Core(who); c != nil {
		c.Move(to)
		return
	}
	p.stage.Ground.Place(p.stage.Beacon(who).Conn.AddrPort().Addr(), to)
}

// proveAll lets cores prove at the same time, while floods run.
func (p *play) proveAll(ctx context.Context, names []string) error {
	stop := make(chan struct{})
	var around, proving sync.WaitGroup
	for _, flood := range p.floods {
		around.Go(func() { flood(stop) })
	}
	results := make([]*result, len(names))
	for i, name := range names {
		p.settle(name)
		c := p.stage.Core(name)
		results[i] = &result{before: answered(c).Asked.Hash()}
		proving.Go(func() { results[i].Decided, results[i].err = c.Prove(ctx) })
	}
	proving.Wait()
	close(stop)
	around.Wait()
	for i, name := range names {
		p.results[name] = results[i]
		p.look(name)
	}
	return ctx.Err()
}

// settle fails the story for a false accept that it did not expect.
func (p *play) settle(name string) {
	if r := p.results[name]; r != nil && r.falseAccept && !r.reported {
		r.reported = true
		p.say(false, p.line, "no false accept of "+name, r.String())
	}
}

// look holds a new result against the truth: where the key's machines stand, and what the paths allow.
func (p *play) look(name string) {
	r, c := p.results[name], p.stage.Core(name)
	if r.err == nil && r.Decision.Granted && p.outside(c) {
		r.falseAccept = true
		p.report.FalseAccepts++
	}
	out := answered(c)
	if out.Asked.Hash() == r.before {
		return // it did not come to a new proof
	}
	p.tally.Add("silent", int64(len(out.Failures)))
	p.tally.Add("statements", int64(len(out.Answers)))
	for _, a := range out.Answers {
		least, ok := p.least(c, a.Beacon.Address)
		if st := a.Statement; ok && min(st.RTTBeaconMinNS, st.RTTCoreMinNS) < int64(least) {
			p.tally.Add("lies", 1)
			if p.trusted {
				p.say(false, p.line, "no round trip is shorter than its path", fmt.Sprintf("%s and %s: %d ns, light and fibre need %d",
					a.Beacon.Place, name, min(st.RTTBeaconMinNS, st.RTTCoreMinNS), int64(least)))
			}
		}
	}
}

// answered is what the committee of a core's newest proof answered.
func answered(c *stage.Core) prober.Outcome {
	if shows, ok := c.Prover.(interface{ Last() prober.Outcome }); ok {
		return shows.Last()
	}
	return prober.Outcome{}
}

// outside says whether a machine with the core's key stands outside the permitted region.
func (p *play) outside(c *stage.Core) bool {
	for _, other := range p.stage.Cores {
		if other.Key.ID() == c.Key.ID() && p.region.Class(s2.CellFromPoint(other.Stands.At.Point()).ID()) == atlas.Out {
			return true
		}
	}
	return false
}

// least is the true least round trip between a core and whoever answers at a beacon's address.
func (p *play) least(c *stage.Core, address string) (time.Duration, bool) {
	if way, ok := p.ways[c.Name][address]; ok {
		address = way.String()
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, false
	}
	at, ok := p.stage.Ground.At(to.Addr())
	if own, joined := p.path.own(c.Probe.AddrPort().Addr(), to.Addr()); joined || !ok {
		return 2 * own, joined
	}
	there, ok1 := p.path.oneWay(c.Stands, at)
	back, ok2 := p.path.oneWay(at, c.Stands)
	return there + back, ok1 && ok2
}

// outcome is the expectation of granted, denied, failed or false-accept.
func (p *play) outcome(who, what, by string) (bool, string) {
	r := p.results[who]
	if r == nil {
		return false, r.String()
	}
	switch what {
	case "granted":
		return r.err == nil && r.Decision.Granted, r.String()
	case "failed":
		return r.err != nil, r.String()
	case "false-accept":
		r.reported = true
		return r.falseAccept, r.String()
	}
	return r.err == nil && !r.Decision.Granted && (by == "" || strings.EqualFold(by, r.Decision.RefusedBy)), r.String()
}
