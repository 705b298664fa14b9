package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/bench"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
	"github.com/ursa-virtual/ursa/topology/earth"
)

type simRunFlags struct {
	simExperiment
	point, core int
	json        bool
}

func simRunCommand() *cobra.Command {
	var o simRunFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run one point of an experiment, or one trial of it again, and print what came out",
		Long: "Runs the first point of the file, or the one of --point, and prints its row; nothing is written. With --core it runs that one\n" +
			"trial: the same core of the same point is the same trial wherever it runs, so a failure that a sweep reports can be seen again.",
		Example: "  ursa sim run docs/experiments/access-delay.yaml\n  ursa sim run access-delay.yaml --set policy.f=2 --json\n" +
			"  ursa sim run access-delay.yaml --point 3 --core 17",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.IntVar(&o.point, "point", 0, "which point, counted from 0")
	flags.IntVar(&o.core, "core", -1, "run only this core, counted from 0")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func (o *simRunFlags) run(cmd *cobra.Command, path string) error {
	e, dir, err := o.read(path)
	if err != nil {
		return err
	}
	if o.point < 0 || o.point >= len(e.Points) {
		return usagef("--point %d: the experiment has the points 0 to %d", o.point, len(e.Points)-1)
	}
	p := e.Points[o.point]
	if cmd.Flags().Changed("core") {
		return o.trial(cmd, dir, p)
	}
	tmp, err := os.MkdirTemp("", "ursa-sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	build, err := simBuild()
	if err != nil {
		return err
	}
	one := *e
	one.Points = []file.Point{p}
	bar := newSimProgress(cmd.ErrOrStderr(), e.Name)
	j, err := experiment.Run(cmd.Context(), &one, experiment.Options{Dir: tmp, Build: build, Bench: bench.Builder(dir), Progress: bar.tell})
	bar.stop()
	if err != nil {
		return err
	}
	set, err := result.Merge(j)
	if err != nil {
		return err
	}
	if o.json {
		return planPrintJSON(cmd.OutOrStdout(), struct {
			Experiment string          `json:"experiment"`
			Hash       string          `json:"hash"`
			Build      string          `json:"build"`
			Point      int             `json:"point"`
			Seed       uint64          `json:"seed"`
			Series     []result.Series `json:"series"`
		}{e.Name, e.Hash, build, o.point, p.Settings.Seed, set.Points[0].Series})
	}
	return simTable(cmd.OutOrStdout(), set)
}

// simTrialJSON is one trial.
type simTrialJSON struct {
	Point       int          `json:"point"`
	Core        int          `json:"core"`
	Seed        uint64       `json:"seed"`
	Stands      earth.LatLon `json:"stands"`
	Claims      earth.LatLon `json:"claims"`
	Cheats      bool         `json:"cheats"`
	Verdict     string       `json:"verdict"`
	FalseAccept bool         `json:"false_accept"`
	FalseReject bool         `json:"false_reject"`
	Holds       bool         `json:"region_holds_core"`
	Detected    string       `json:"detected"`
	RegionKM2   float64      `json:"region_km2"`
	Asked       int          `json:"asked"`
	Answered    int          `json:"answered"`
	ShortestNS  *earth.RTT   `json:"shortest_ns"` // null when nothing was answered
	Proofs      int          `json:"proofs"`
}

func (o *simRunFlags) trial(cmd *cobra.Command, dir string, p file.Point) error {
	if p.Settings.Measure.Estimate {
		return usagef("--core: an estimate is scored over all hosts together; leave it out")
	}
	if o.core < 0 || o.core >= p.Settings.Cores.Count {
		return usagef("--core %d: the point has the cores 0 to %d", o.core, p.Settings.Cores.Count-1)
	}
	v, err := bench.Replay(dir, p.Settings)
	if err != nil {
		return err
	}
	core, r, err := v.Try(o.core)
	if err != nil {
		return err
	}
	out := simTrialJSON{Point: o.point, Core: o.core, Seed: p.Settings.Seed, Stands: core.Stands.At, Claims: core.Claim.At, Cheats: core.Cheats(), Verdict: r.Kind.String(),
		FalseAccept: r.FalseAccept, FalseReject: r.FalseReject, Holds: r.Holds, Detected: string(r.Detected), RegionKM2: r.RegionKM2,
		Asked: r.Asked, Answered: r.Answered, Proofs: r.Proofs}
	if r.Answered > 0 {
		out.ShortestNS = &r.Shortest
	}
	if o.json {
		return planPrintJSON(cmd.OutOrStdout(), out)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "point %d, core %d, seed %d\nstands %v (%s), claims %v\n", out.Point, out.Core, out.Seed, out.Stands, core.Stands, out.Claims)
	fmt.Fprintf(w, "%s: region %.0f km², %d of %d beacons answered, shortest %v, %d proof(s) tried\n", out.Verdict, out.RegionKM2, out.Answered, out.Asked, r.Shortest, out.Proofs)
	fmt.Fprintf(w, "false accept %v, false reject %v, region holds the core %v, alarm %q\n", out.FalseAccept, out.FalseReject, out.Holds, out.Detected)
	return nil
}

// simTable prints the rows of a set, seeds pooled; the columns that say something.
func simTable(out io.Writer, s *result.Set) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := summary.Pooled(s)
	methods := slices.ContainsFunc(rows, func(r summary.Row) bool { return r.Series != "" })
	var titles []string
	for _, k := range summary.Keys(s) {
		titles = append(titles, summary.Short(k))
	}
	if methods {
		titles = append(titles, "method\thosts\tcountry %\terror km, median\tp90")
	} else {
		titles = append(titles, "cores\tproven %\tfalse accepts\talarms at attacks %\tregion km², median")
	}
	fmt.Fprintf(w, "%s, experiment %s, build %s, seeds %s\n", s.Header.Name, s.Header.Hash, s.Header.Build, strings.Join(summary.Distinct(s, summary.SeedKey), " "))
	fmt.Fprintln(w, strings.Join(titles, "\t"))
	for i := range rows {
		r := &rows[i]
		cells := slices.Clone(r.Values)
		if methods {
			cells = append(cells, r.Series, fmt.Sprint(r.Tally.Targets), simShare(r, "country"), simSize(&r.Tally.ErrorKM, 0.5), simSize(&r.Tally.ErrorKM, 0.9))
		} else {
			cells = append(cells, fmt.Sprint(r.Tally.Cores), simShare(r, "proven"), fmt.Sprint(r.Tally.FalseInside), simShare(r, "detected"), simSize(&r.Tally.RegionKM2, 0.5))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// simShare prints a share with its interval, or a dash when nothing was counted.
func simShare(r *summary.Row, name string) string {
	m, _ := summary.ShareOf(name)
	x := r.Interval(m)
	if !x.Known {
		return "-"
	}
	return fmt.Sprintf("%.1f [%.1f, %.1f]", 100*x.Share, 100*x.Low, 100*x.High)
}

func simSize(h *result.Histogram, q float64) string {
	x, ok := h.Quantile(q)
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.0f", x)
}

// simAgain says how to see the first false accept again.
func simAgain(s *result.Set) string {
	for _, r := range summary.Points(s) {
		if len(r.False) > 0 {
			return fmt.Sprintf(" (seed %s); see the first again with 'ursa sim run FILE %s'", r.Seeds[0], r.False[0])
		}
	}
	return ""
}
