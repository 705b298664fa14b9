package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/mesh"
	"github.com/ursa-virtual/ursa/calib/mesh/local"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

type calibBenchFlags struct {
	beacons, liars, cores int
	seed                  uint64
	serving               time.Duration
	json                  bool
}

func calibBenchCommand() *cobra.Command {
	var o calibBenchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "How long schedule, audit and fit of a large constellation take here, and what measuring costs a beacon that serves",
		Long: "Makes up a constellation with liars, and times the schedule of its day, the audit and the fit of all its pairs. With\n" +
			"--serving it runs a real beacon over loopback and counts how many exchanges it serves to cores while its receiver rests,\n" +
			"while it measures at the usual budget, and while it measures without pause, in turns.",
		Example: "  ursa calib bench\n  ursa calib bench --beacons 200 --serving 20s --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.beacons, "beacons", 1000, "number of beacons")
	flags.IntVar(&o.liars, "liars", 30, "how many of them stand elsewhere than they claim")
	flags.IntVar(&o.cores, "cores", 4, "cores that ask the serving beacon at once")
	flags.Uint64Var(&o.seed, "seed", 1, "of places, delays and liars")
	flags.DurationVar(&o.serving, "serving", 0, "how long to count for each of the three states")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// calibBench is what the command prints.
type calibBench struct {
	Beacons    int            `json:"beacons"`
	Tasks      int            `json:"scheduled_exchanges"`
	ScheduleMS float64        `json:"schedule_ms"`
	Pairs      int            `json:"directed_pairs"`
	AuditMS    float64        `json:"audit_ms"`
	FitMS      float64        `json:"fit_ms"`
	Liars      int            `json:"liars"`
	Convicted  int            `json:"convicted_liars"`
	Wronged    int            `json:"convicted_honest"`
	PeakMB     float64        `json:"peak_resident_mb"` // of this process, making up the set included
	Processors int            `json:"processors"`
	Serving    []calibServing `json:"serving,omitempty"`
}

// calibServing is one state of the serving beacon's receiver.
type calibServing struct {
	Receiver   string  `json:"receiver"`
	Seconds    float64 `json:"seconds"`
	Served     int     `json:"exchanges_served"`
	RateHZ     float64 `json:"exchanges_per_s"`
	LeastRTTNS int64   `json:"least_rtt_ns"`
	Measured   int     `json:"exchanges_measured"` // by the receiver
}

func (o *calibBenchFlags) run(cmd *cobra.Command) error {
	switch {
	case o.beacons < 20 || o.beacons > dataset.MaxNodes:
		return usagef("--beacons %d is not within 20..%d", o.beacons, dataset.MaxNodes)
	case o.liars < 0 || o.liars > o.beacons:
		return usagef("--liars %d is not within 0..%d", o.liars, o.beacons)
	case o.serving < 0 || o.cores < 1 || o.cores > calibMaxBeacons-2:
		return usagef("--serving %v --cores %d: say a duration of at least 0, and 1 to %d cores", o.serving, o.cores, calibMaxBeacons-2)
	}
	b := calibBench{Beacons: o.beacons, Liars: o.liars, Processors: runtime.GOMAXPROCS(0)}
	if err := o.measure(cmd.ErrOrStderr(), &b); err != nil {
		return err
	}
	if o.serving > 0 {
		var err error
		if b.Serving, err = o.serve(cmd.Context(), cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	if o.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
	}
	return b.print(cmd.OutOrStdout())
}

// measure times the three.
func (o *calibBenchFlags) measure(progress io.Writer, b *calibBench) error {
	began := time.Now()
	lap := func() float64 {
		ms := float64(time.Since(began).Microseconds()) / 1000
		began = time.Now()
		return ms
	}
	plan, err := mesh.New(mesh.Config{Beacons: o.beacons, Period: 24 * time.Hour, Exchange: 5 * time.Second, PerMinute: calibPerMinute, Seed: [32]byte{byte(o.seed)}})
	if err != nil {
		return err
	}
	for range plan.All() {
		b.Tasks++
	}
	b.ScheduleMS = lap()
	fmt.Fprintf(progress, "making up %d beacons\n", o.beacons)
	set, liar, err := o.world()
	if err != nil {
		return err
	}
	b.Pairs = 2 * set.Pairs()
	lap()
	fmt.Fprintln(progress, "auditing")
	r, err := audit.Run(set, audit.Options{})
	if err != nil {
		return err
	}
	b.AuditMS = lap()
	for _, a := range r.Convicted {
		if liar[a.Index] {
			b.Convicted++
		} else {
			b.Wronged++
		}
	}
	fmt.Fprintln(progress, "fitting")
	clean, err := audit.Clean(set, r)
	if err != nil {
		return err
	}
	if _, err := model.Fit(calibNodes(clean), clean, model.Options{Name: "bench", Issued: time.Unix(0, 0), Expires: time.Unix(1, 0)}); err != nil {
		return err
	}
	b.FitMS = lap()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	b.PeakMB = float64(usage.Maxrss) / 1024
	return nil
}

// world makes up places and round trips in both directions: light in fibre, stretched as in measured public sets (2.15, log-sd 0.38,
// never below 1.1), and about a millisecond of access. Liars claim the place of another.
func (o *calibBenchFlags) world() (*dataset.Set, []bool, error) {
	rng := rand.New(rand.NewPCG(o.seed, 0xbe9c4))
	truth := make([]earth.LatLon, o.beacons)
	nodes := make([]dataset.Node, o.beacons)
	for i := range truth {
		truth[i] = earth.LatLon{Lat: math.Asin(rng.Float64()*1.6-0.7) * 180 / math.Pi, Lon: rng.Float64()*360 - 180}
		nodes[i] = dataset.Node{ID: fmt.Sprintf("b%d", i), At: truth[i]}
	}
	liar := make([]bool, o.beacons)
	for _, i := range rng.Perm(o.beacons)[:o.liars] {
		liar[i], nodes[i].At = true, truth[rng.IntN(o.beacons)]
	}
	set, err := dataset.New("bench", nodes)
	if err != nil {
		return nil, nil, err
	}
	for i := range truth {
		for j := range i {
			fibre := 2 * earth.GreatCircle(truth[i], truth[j]).Kilometres() * model.GroupIndex / 299.792458
			ms := fibre*max(1.1, 2.15*math.Exp(0.38*rng.NormFloat64())) + 0.2 + rng.ExpFloat64()
			for _, way := range [][2]int{{i, j}, {j, i}} {
				if err := set.Add(way[0], way[1], earth.RTTFromMillis(ms+0.1*rng.ExpFloat64()), false); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	return set, liar, nil
}

// slices is how often the three states take turns, so that what else the machine does falls on all alike.
const calibSlices = 5

// serve counts what a beacon serves while its receiver rests and while it measures.
func (o *calibBenchFlags) serve(ctx context.Context, progress io.Writer) ([]calibServing, error) {
	cfg := local.Config{Secret: [32]byte{1}, Epoch: 1, Now: time.Now().Add(-time.Second)}
	for i := range o.cores + 2 { // the one that is counted, its peer, and machines whose receivers play the cores
		site := local.Site{Place: fmt.Sprintf("loopback %d", i), Claims: earth.LatLon{Lat: 50, Lon: 8}}
		for _, socket := range []*net.PacketConn{&site.Beacon, &site.Receiver} {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return nil, err
			}
			defer c.Close()
			*socket = c
		}
		cfg.Sites = append(cfg.Sites, site)
	}
	c, err := local.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	every := time.Minute / calibPerMinute
	states := []calibServing{{Receiver: "rests"}, {Receiver: fmt.Sprintf("measures every %v", every)}, {Receiver: "measures without pause"}}
	for turn := range calibSlices {
		for i := range states {
			fmt.Fprintf(progress, "serving, turn %d of %d: receiver %s\n", turn+1, calibSlices, states[i].Receiver)
			pause := []time.Duration{-1, every, 0}[i]
			if err := o.slice(ctx, c, &states[i], pause); err != nil {
				return nil, err
			}
		}
	}
	for i := range states {
		states[i].RateHZ = math.Round(float64(states[i].Served)/states[i].Seconds*100) / 100
	}
	return states, ctx.Err()
}

// slice lets all cores ask the first beacon without pause, and its receiver measure the second with the given pause, negative for never.
func (o *calibBenchFlags) slice(ctx context.Context, c *local.Constellation, s *calibServing, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, o.serving/calibSlices)
	defer cancel()
	var served, measured atomic.Int64
	var least atomic.Int64
	least.Store(math.MaxInt64)
	var running sync.WaitGroup
	began := time.Now()
	for i := range o.cores {
		running.Go(func() {
			for ctx.Err() == nil {
				if rtt, err := calibAsk(ctx, c, 2+i, 0); err == nil {
					served.Add(1)
					for old := least.Load(); int64(rtt) < old && !least.CompareAndSwap(old, int64(rtt)); old = least.Load() {
					}
				}
			}
		})
	}
	if pause >= 0 {
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := calibAsk(ctx, c, 0, 1); err == nil {
					measured.Add(1)
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	running.Wait()
	s.Seconds += time.Since(began).Seconds()
	s.Served, s.Measured = s.Served+int(served.Load()), s.Measured+int(measured.Load())
	if rtt := least.Load(); rtt < math.MaxInt64 && (s.LeastRTTNS == 0 || rtt < s.LeastRTTNS) {
		s.LeastRTTNS = rtt
	}
	return nil
}

// calibAsk lets a member's receiver measure another member's beacon, and verifies what it brings.
func calibAsk(ctx context.Context, c *local.Constellation, from, to int) (earth.RTT, error) {
	var nonce [32]byte
	for i := range 4 {
		v := rand.Uint64()
		for j := range 8 {
			nonce[8*i+j] = byte(v >> (8 * j))
		}
	}
	ask := statement.Challenge{Core: c.Members[from].Receiver.ID(), NonceG: nonce, PolicyHash: identity.Hash("calibration bench"),
		DirectoryEpoch: c.Directory.Epoch, DirectoryHash: c.Directory.Hash(), Committee: []identity.ID{c.Members[to].Beacon},
		IssuedUnixNS: time.Now().UnixNano(), TTLNS: int64(time.Minute), RoundsMin: 8, RoundsMax: 32}
	e, err := ask.Seal(c.Gate)
	if err != nil {
		return 0, err
	}
	encoded, err := e.Encode()
	if err != nil {
		return 0, err
	}
	proof, err := c.Measure(ctx, c.Members[from], encoded)
	if err != nil {
		return 0, err
	}
	return calibLeast(proof, c.Directory)
}

func calibLeast(proof []byte, d *directory.Directory) (earth.RTT, error) {
	now := time.Now().UnixNano()
	x, err := statement.Expecting(proof, d, now)
	if err != nil {
		return 0, err
	}
	v, err := statement.VerifyProof(proof, x)
	if err != nil {
		return 0, err
	}
	return v.Facts[0].RTTBeacon, nil
}

func (b calibBench) print(w io.Writer) error {
	fmt.Fprintf(w, "schedule  a day of %d beacons, %d exchanges: %.0f ms\n", b.Beacons, b.Tasks, b.ScheduleMS)
	fmt.Fprintf(w, "audit     %d directed pairs: %.1f s; %d of %d liars convicted, %d honest\n", b.Pairs, b.AuditMS/1000, b.Convicted, b.Liars, b.Wronged)
	fmt.Fprintf(w, "fit       what the audit left: %.1f s\n", b.FitMS/1000)
	_, err := fmt.Fprintf(w, "memory    %.0f MB at most, %d processors\n", b.PeakMB, b.Processors)
	for _, s := range b.Serving {
		_, err = fmt.Fprintf(w, "serving   receiver %-22s %6.1f exchanges/s (%3.0f %%), least round trip %.1f µs, measured %d itself\n", s.Receiver, s.RateHZ,
			100*s.RateHZ/b.Serving[0].RateHZ, float64(s.LeastRTTNS)/1000, s.Measured)
	}
	return err
}
