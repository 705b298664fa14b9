package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"time"

	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// Config says what to measure and for how long. Peer must be given.
type Config struct {
	// Peer makes the process of the other end, not yet started: it must call Peer with its standard input and output.
	Peer func() *exec.Cmd
	// Duration is how long is measured, without the second that setting up takes; 0.1 s to 10 min, 0 means 15 s. Each variant is measured at
	// least twice, however short that is.
	Duration time.Duration
	// CPUs says on how many processors the two ends run; 0 means One.
	CPUs CPUs
	// Seed decides the order of the blocks.
	Seed uint64
	// Only restricts the run to round trips or to costs; 0 is both.
	Only Part
	// Relay puts distance between two sockets, for the star of the goals; nil leaves the star out.
	Relay Relay
	// Progress is told from one goroutine what is being measured and which share of everything is over; nil means nobody.
	Progress func(what string, share float64)

	turns int // how often each variant is measured at least; 0 means fewestTurns
}

// Part is a part of a run.
type Part uint8

// The parts.
const (
	RoundTrips Part = iota + 1
	Costs
)

const (
	defaultDuration = 15 * time.Second
	minDuration     = 100 * time.Millisecond
	maxDuration     = 10 * time.Minute
	fewestTurns     = 2
)

func (c Config) withDefaults() (Config, error) {
	if c.Peer == nil {
		return c, fmt.Errorf("%w: Peer is missing", ErrConfig)
	}
	if c.Duration == 0 {
		c.Duration = defaultDuration
	}
	if c.Duration < minDuration || c.Duration > maxDuration {
		return c, fmt.Errorf("%w: a duration of %v is not within %v..%v", ErrConfig, c.Duration, minDuration, maxDuration)
	}
	if c.turns == 0 {
		c.turns = fewestTurns
	}
	if c.CPUs == 0 {
		c.CPUs = One
	}
	if c.CPUs > anywhere || c.Only > Costs || c.CPUs == anywhere && c.Relay == nil {
		return c, fmt.Errorf("%w: %v processors, part %d", ErrConfig, c.CPUs, c.Only)
	}
	if c.Progress == nil {
		c.Progress = func(string, float64) {}
	}
	return c, nil
}

// near is this end of a run.
type near struct {
	cfg     Config
	seat    seat
	clock   stamp.Clock
	world   *world
	far     *peer
	rnd     *rand.Rand
	report  *Report
	closers []func()
}

// anywhere is a run that leaves it to the kernel where the two ends run.
const anywhere CPUs = 3

// Run measures. It moves this process to the chosen processors and back, so nothing else should run in it meanwhile.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &near{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0))}
	defer n.close()
	if err := n.open(); err != nil {
		return nil, err
	}
	if err := n.measureAll(ctx); err != nil {
		return nil, err
	}
	n.report.LoadAfter, _ = load()
	return n.report, nil
}

func (n *near) measureAll(ctx context.Context) error {
	cfg := n.cfg
	if cfg.CPUs == anywhere {
		return n.star(ctx, cfg.Duration)
	}
	share := cfg.Duration
	if cfg.Only == 0 {
		share = cfg.Duration / 2
	}
	if cfg.Only != Costs {
		if err := n.roundTrips(ctx, share); err != nil {
			return err
		}
	}
	if cfg.Only != RoundTrips {
		return n.costs(ctx, share)
	}
	return nil
}

// open sits down, starts the other end and makes the world.
func (n *near) open() error {
	var err error
	if n.clock, err = timing.HostClock(); err != nil {
		return err
	}
	if n.cfg.CPUs != anywhere {
		if n.seat, err = n.cfg.CPUs.choose(); err != nil {
			return err
		}
	}
	q := n.clock.Quality()
	n.report = &Report{
		CPUs: n.cfg.CPUs.String(), Near: n.seat.near, Far: n.seat.far, Processors: runtime.NumCPU(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Seed: n.cfg.Seed, GranularityNS: q.GranularityNS, PauseNS: int64(pause), BlockRounds: blockRounds,
	}
	n.report.LoadBefore, n.report.LoadKnown = load()
	if n.far, err = startPeer(n.cfg.Peer()); err != nil {
		return err
	}
	n.onClose(n.far.close)
	if n.cfg.CPUs != anywhere {
		if err := n.sitDown(); err != nil {
			return err
		}
	}
	if n.world, err = found(time.Now()); err != nil {
		return err
	}
	_, err = n.far.call(request{Do: doLetter, Letter: &n.world.letter})
	return err
}

// sitDown moves both ends to their processors.
func (n *near) sitDown() error {
	leave, err := sit(n.seat.near, n.seat.procs)
	if err != nil {
		return err
	}
	n.onClose(leave)
	_, err = n.far.call(request{Do: doSit, CPU: n.seat.far, Procs: n.seat.procs})
	return err
}

func (n *near) onClose(f func()) { n.closers = append(n.closers, f) }

func (n *near) close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
}

func (n *near) note(format string, args ...any) {
	n.report.Notes = append(n.report.Notes, fmt.Sprintf(format, args...))
}
