package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/ursa-virtual/ursa/beacon/bench"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/relay"
)

// benchPeerName is the hidden command that a bench starts as its other end.
const benchPeerName = "peer"

// beaconBenchCommand measures on this host what a beacon costs.
func beaconBenchCommand() *cobra.Command {
	return benchCommand(func() (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find this program to run the other end: %w", err)
		}
		cmd := exec.Command(self, "beacon", "bench", benchPeerName)
		cmd.Stderr = os.Stderr
		return cmd, nil
	})
}

// benchFlags are the words of the command line.
type benchFlags struct {
	duration    time.Duration
	cpus        string
	seed        uint64
	json, goals bool
}

func benchCommand(otherEnd func() (*exec.Cmd, error)) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure on this host what a round, an answer, a handshake and a session cost",
		Long: "Runs both ends of the real protocol in two processes on loopback and measures, in short blocks in random order: bare UDP\n" +
			"echoes, rounds over every path that this host has, with the kilometres that each loses against the echo, and the processor\n" +
			"time of signed answers, handshakes and whole sessions. Figures of one run can be compared with each other, not with those\n" +
			"of another machine or hour.\n\n" +
			"With --cpu one (the default) both ends share a processor: the length of the path, also when the machine is busy. With --cpu\n" +
			"two each has its own and the core spins: meaningful on a quiet host with processors to spare.\n\n" +
			"With --goals it measures both ways and through a relay, twice as long, and says which performance goals are met.",
		Example: "  ursa beacon bench\n  ursa beacon bench --cpu two --duration 30s\n  ursa beacon bench --json > bench.json\n  ursa beacon bench --goals --duration 20s",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, f, otherEnd) },
	}
	cmd.Flags().DurationVar(&f.duration, "duration", 15*time.Second, "how long to measure, 1s to 10m")
	cmd.Flags().StringVar(&f.cpus, "cpu", "one", "on how many processors the two ends run: one or two")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "of the order of the blocks")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&f.goals, "goals", false, "judge the performance goals")
	cmd.AddCommand(&cobra.Command{
		Use: benchPeerName, Short: "The other end of a bench", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return bench.Peer(cmd.InOrStdin(), cmd.OutOrStdout()) },
	})
	return cmd
}

func runBench(cmd *cobra.Command, f benchFlags, otherEnd func() (*exec.Cmd, error)) error {
	cpus, err := bench.ParseCPUs(f.cpus)
	if err != nil {
		return usagef("--cpu: %w", err)
	}
	if f.duration < time.Second || f.duration > 10*time.Minute {
		return usagef("--duration %v: use 1s to 10m", f.duration)
	}
	if f.goals && cmd.Flags().Changed("cpu") {
		return usagef("--goals measures on one processor and on two: leave --cpu out")
	}
	if _, err := otherEnd(); err != nil {
		return err
	}
	progress, done := benchProgress(cmd.ErrOrStderr())
	defer done()
	cfg := bench.Config{
		Duration: f.duration, CPUs: cpus, Seed: f.seed, Relay: benchRelay, Progress: progress,
		Peer: func() *exec.Cmd { c, _ := otherEnd(); return c },
	}
	measure := bench.Run
	if f.goals {
		measure = bench.Goals
	}
	report, err := measure(cmd.Context(), cfg)
	done()
	if err != nil {
		return err
	}
	if f.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), report.Text())
	return err
}

// benchRelay puts distance between the ends of the goals' star.
func benchRelay(server string, oneWay time.Duration, halfEmpty bool) (string, func(), error) {
	way := relay.Direction{Link: fabric.Link{OneWay: oneWay}, Overtake: true} // each packet has its own delay
	if halfEmpty {
		way.Link.Jitter = fabric.Mixture{Clean: 0.5, Else: fabric.Exponential{Mean: 2 * time.Millisecond}}
	}
	r, err := relay.Listen("127.0.0.1:0", server, relay.Config{Seed: 1, Up: way, Down: way})
	if err != nil {
		return "", nil, err
	}
	return r.Addr().String(), func() { _ = r.Close() }, nil
}

// benchProgress shows a bar on a terminal and nothing elsewhere. It is drawn seldom: who draws uses the processor that is being measured.
func benchProgress(out io.Writer) (tell func(what string, share float64), done func()) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	const whole = 1000
	var stage atomic.Value
	stage.Store("starting")
	pool := mpb.New(mpb.WithOutput(file), mpb.WithWidth(40), mpb.WithRefreshRate(400*time.Millisecond))
	bar := pool.AddBar(whole, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprintf("%-16s", stage.Load()) })),
		mpb.AppendDecorators(decor.Percentage()))
	over := false
	return func(what string, share float64) {
			stage.Store(what)
			bar.SetCurrent(int64(share * (whole - 1)))
		}, func() {
			if !over {
				over = true
				bar.SetCurrent(whole)
				pool.Wait()
			}
		}
}
