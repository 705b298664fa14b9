package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/eval"
	"github.com/ursa-virtual/ursa/locator/eval/chart"
)

type evalFlags struct {
	data, plot string
	beacons    int
	seed       uint64
	apartKM    float64
	json       bool
}

func evalCommand() *cobra.Command {
	var o evalFlags
	cmd := &cobra.Command{
		Use:   "eval --data DIR",
		Short: "Score the locator and published methods on measured round trips",
		Long: "Each node with at least ten measured others is in turn the core, the others are the beacons. The estimate, shortest ping,\n" +
			"CBG, CBG++ and Spotter answer from the same round trips; nothing that a target took part in reaches any fit. The proof\n" +
			"is scored beside them. Nodes that the audit convicts are dropped first.\n\n" +
			"DIR holds nodes.csv (id,name,country_iso2,lat,lon,source) and rtt.csv or rtt.csv.gz\n" +
			"(src_id,dst_id,min_ms,median_ms,samples).",
		Example: "  ursa eval --data ../shared/data/wonderproxy-2020\n" +
			"  ursa eval --data measured --beacons 30 --seed 7 --json\n" +
			"  ursa eval --data measured --apart 300 --plot charts",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.IntVar(&o.beacons, "beacons", 0, "so many random beacons for each target (default: all others)")
	flags.Uint64Var(&o.seed, "seed", 1, "seed that draws the beacons and the folds")
	flags.Float64Var(&o.apartKM, "apart", 0, "leave out beacons nearer to the target than this, in km: leave-one-metro-out")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	flags.StringVar(&o.plot, "plot", "", "draw error distribution, reliability and map as SVG into this folder")
	return cmd
}

func (o *evalFlags) run(cmd *cobra.Command) error {
	if o.data == "" {
		return usagef("no data: say --data DIR, a folder with nodes.csv and rtt.csv")
	}
	if o.beacons == 0 && cmd.Flags().Changed("beacons") {
		return usagef("--beacons 0: say at least 1, or leave it out for all others")
	}
	set, err := dataset.Load(o.data)
	if err != nil {
		if errors.Is(err, dataset.ErrMissing) {
			return usagef("--data: %w", err)
		}
		return err
	}
	show, done := evalProgress(cmd.ErrOrStderr())
	report, err := eval.Run(cmd.Context(), set, eval.Options{Beacons: o.beacons, Seed: o.seed, ApartKM: o.apartKM, Progress: show, Clock: time.Now})
	done()
	if err != nil {
		if errors.Is(err, eval.ErrBeacons) || errors.Is(err, eval.ErrApart) {
			return usagef("%w", err)
		}
		return err
	}
	if o.plot != "" {
		if err := chart.Write(o.plot, report); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
	}
	if o.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	return report.WriteTable(cmd.OutOrStdout())
}

// evalProgress shows steps on standard error: a bar on a terminal, else a plain line for each tenth after the first second.
func evalProgress(errOut io.Writer) (show func(done, total int), finish func()) {
	if file, ok := errOut.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return evalBar(errOut)
		}
	}
	begin, tenths := time.Now(), 0
	var mu sync.Mutex
	show = func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if at := done * 10 / max(1, total); at > tenths && time.Since(begin) > time.Second {
			tenths = at
			fmt.Fprintf(errOut, "eval: %d %% of %d steps\n", at*10, total)
		}
	}
	return show, func() {}
}

func evalBar(errOut io.Writer) (show func(done, total int), finish func()) {
	p := mpb.New(mpb.WithOutput(errOut), mpb.WithWidth(60))
	bar := p.AddBar(0, mpb.PrependDecorators(decor.Name("eval "), decor.CountersNoUnit("%d / %d")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)), mpb.BarRemoveOnComplete())
	show = func(done, total int) {
		bar.SetTotal(int64(total), false)
		bar.SetCurrent(int64(done))
	}
	finish = func() {
		bar.Abort(true)
		p.Wait()
	}
	return show, finish
}
