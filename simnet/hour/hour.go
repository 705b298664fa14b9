// Package hour lets a whole constellation work for a while, in virtual time: real beacons, cores and a gate, real QUIC, keys and
// signatures, store and locks. It answers how long that takes on this machine, and whether anything goes wrong on the way.
//
// What it believes: the built-in world, for delays, jitter and loss. Half of the beacons stand far from one another, half in the largest
// towns of the permitted region; every second core stands in the town of a beacon, the others in any town, inside or outside; all tell the
// truth. Each core proves its place the same number of times, at moments drawn
// from the seed, so that proofs overlap.
//
// What it promises: every proof is counted as granted, denied or failed. A lease for a core outside the permitted region, or a
// statement shorter than its path, is counted too, and must not be.
package hour

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Config says what works for how long. Zero fields take the defaults of the goal: 50 beacons, 200 cores, one proof each in an hour,
// permitted in Europe.
type Config struct {
	Beacons, Cores int
	Proofs         int // of each core
	Length         time.Duration
	Permit         string
	Seed           uint64
	Near, Drawn    int // of a committee; 0: 8 and 4
}

// Report is what happened.
type Report struct {
	Beacons      int           `json:"beacons"`
	Cores        int           `json:"cores"`
	Virtual      time.Duration `json:"virtual_ns"`
	Granted      int           `json:"granted"`
	Denied       int           `json:"denied"`
	Failed       int           `json:"failed"`        // proofs that did not come to a decision
	Statements   int           `json:"statements"`    // exchanges that ended with one
	Silent       int           `json:"silent"`        // exchanges that did not: their paths are longer than a round waits
	FalseAccepts int           `json:"false_accepts"` // leases of cores that stood outside
	Impossible   int           `json:"impossible"`    // statements shorter than their path
	Packets      uint64        `json:"packets"`
	Lost         uint64        `json:"lost"`
}

// ErrConfig reports numbers that cannot be run.
var ErrConfig = errors.New("hour")

func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Beacons, 50}, {&c.Cores, 200}, {&c.Proofs, 1}, {&c.Near, 8}, {&c.Drawn, 4}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Length == 0 {
		c.Length = time.Hour
	}
	if c.Permit == "" {
		c.Permit = "EU27+GB+CH+NO"
	}
	if c.Beacons < 1 || c.Cores < 1 || c.Proofs < 1 || c.Near < 0 || c.Drawn < 0 || c.Length < time.Minute || c.Length > 20*time.Hour {
		return c, fmt.Errorf("%w: beacons, cores and proofs must be positive, and the time 1m to 20h", ErrConfig)
	}
	return c, nil
}

// hour is a run.
type hour struct {
	Config
	world  *world.World
	region *atlas.Region
	stage  *stage.Stage

	mu     sync.Mutex // guards report
	report Report
}

// Run lets the constellation work. Under testing/synctest it must be called inside the bubble.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Report{}, err
	}
	h := &hour{Config: cfg, report: Report{Beacons: cfg.Beacons, Cores: cfg.Cores}}
	dir, err := os.MkdirTemp("", "ursa-hour-")
	if err != nil {
		return Report{}, fmt.Errorf("cannot make a folder for the gate's store: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := h.open(ctx, dir); err != nil {
		return Report{}, err
	}
	defer h.stage.Close()
	began := time.Now()
	var all sync.WaitGroup
	for _, c := range h.stage.Cores {
		all.Go(func() { h.work(ctx, c, began) })
	}
	all.Wait()
	if rest := h.Length - time.Since(began); rest > 0 {
		pause(ctx, rest)
	}
	h.report.Virtual = time.Since(began)
	s := h.stage.Net.Stats()
	h.report.Packets, h.report.Lost = s.Sent, s.Lost
	return h.report, ctx.Err()
}

// open places everybody and starts the programs.
func (h *hour) open(ctx context.Context, dir string) (err error) {
	if h.world, err = world.Builtin(world.Config{Seed: h.Seed}); err != nil {
		return err
	}
	if h.region, err = atlas.Parse(h.Permit, atlas.Options{}); err != nil {
		return fmt.Errorf("%w: permitted region: %w", ErrConfig, err)
	}
	rnd := source.New(h.Seed, "hour")
	places := h.world.Places()
	towns, err := h.spread(places)
	if err != nil {
		return err
	}
	cfg := stage.Config{World: h.world, Seed: h.Seed, Dir: dir, Gate: h.world.Host(towns[0], "gate"), Policy: h.policy, Near: h.Near,
		Drawn: h.Drawn, Budget: 1 << 40, Want: 1000}
	for i, town := range towns {
		name := fmt.Sprintf("b%d", i+1)
		cfg.Beacons = append(cfg.Beacons, stage.BeaconSpec{Name: name, At: h.world.Host(town, name), Domain: "operator:" + name})
	}
	for i := range h.Cores {
		name := fmt.Sprintf("c%d", i+1)
		from := places
		if i%2 == 0 {
			from = towns
		}
		at := h.world.Host(from[rnd.IntN(len(from))], name)
		cfg.Cores = append(cfg.Cores, stage.CoreSpec{Name: name, Claim: at, Stands: at})
	}
	h.stage, err = stage.Start(ctx, cfg)
	return err
}

// spread takes for the first half the place that is farthest from all before it, and then the most populous towns of the permitted
// region that remain, so that a core there has a beacon near.
func (h *hour) spread(places []world.Place) ([]world.Place, error) {
	least := make([]earth.Metres, len(places))
	for i := range least {
		least[i] = 3 * earth.SemiMajor
	}
	var taken []world.Place
	for len(taken) < h.Beacons {
		best := -1
		for i, p := range places {
			if least[i] > 0 && (best < 0 || h.better(len(taken), p, places[best], least[i], least[best])) {
				best = i
			}
		}
		if best < 0 {
			return nil, fmt.Errorf("%w: %d beacons, but the world has %d towns apart from one another", ErrConfig, h.Beacons, len(taken))
		}
		taken = append(taken, places[best])
		for k, p := range places {
			least[k] = min(least[k], earth.Chord(p.ECEF(), places[best].ECEF()))
		}
	}
	return taken, nil
}

// better says whether town a is the better next one than town b, given how far they are from those taken.
func (h *hour) better(taken int, a, b world.Place, aApart, bApart earth.Metres) bool {
	if taken < h.Beacons/2 {
		return aApart > bApart
	}
	if inA, inB := h.inside(a), h.inside(b); inA != inB {
		return inA
	}
	return a.Population > b.Population
}

// inside says whether a place lies in the permitted region, or so near its border that nobody can tell.
func (h *hour) inside(p world.Place) bool {
	return h.region.Class(s2.CellFromPoint(p.At.Point()).ID()) != atlas.Out
}

func (h *hour) policy(attested []directory.Expectation) policy.Policy {
	now, n := time.Now(), func(v uint64) *uint64 { return &v }
	return policy.Policy{Name: "hour", Version: 1, Permit: h.Permit, Speed: "vacuum", F: n(0), MinDomains: n(1), MinStatements: n(1),
		MaxAgeMS: n(60_000), VMaxMMPS: n(350_000), Timing: policy.TimingBoth, Attest: attested, Audience: stage.Audience, MaxUnits: n(1000),
		TOffMS: n(15_000), LeaseTTLMS: n(30_000), NotBeforeUnixNS: new(now.Add(-time.Minute).UnixNano()), NotAfterUnixNS: new(now.Add(23 * time.Hour).UnixNano())}
}

// work is what one core does: it proves at moments of its own, one in each equal part of the time.
func (h *hour) work(ctx context.Context, c *stage.Core, began time.Time) {
	rnd := source.New(h.Seed, "hour core", c.Name)
	part := h.Length / time.Duration(h.Proofs)
	for i := range h.Proofs {
		pause(ctx, time.Until(began.Add(time.Duration(i)*part+moment(rnd, part-part/20))))
		if ctx.Err() != nil {
			return
		}
		d, err := c.Prove(ctx)
		h.count(c, d, err)
	}
}

// moment is a time before the end of a part.
func moment(rnd *rand.Rand, part time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(part)))
}

// count files one proof.
func (h *hour) count(c *stage.Core, d stage.Decided, err error) {
	out := c.Honest.Last()
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &h.report
	switch {
	case err != nil:
		r.Failed++
		return
	case d.Decision.Granted:
		r.Granted++
		if !h.inside(c.Stands) {
			r.FalseAccepts++
		}
	default:
		r.Denied++
	}
	r.Statements += len(out.Answers)
	r.Silent += len(out.Failures)
	for _, a := range out.Answers {
		b := h.stage.Beacon(a.Beacon.Place)
		if least, ok := h.world.MinRTT(b.At, c.Stands); ok && min(a.Statement.RTTBeaconMinNS, a.Statement.RTTCoreMinNS) < int64(least) {
			r.Impossible++
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
