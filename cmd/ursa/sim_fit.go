package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/chart"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/fit"
	"github.com/ursa-virtual/ursa/simnet/world"
)

type simFitFlags struct {
	data, out, chart string
	places, split    string
	seed             uint64
	score            []string
	json             bool
}

func simFitCommand() *cobra.Command {
	var o simFitFlags
	cmd := &cobra.Command{
		Use:   "fit --data DIR",
		Short: "Fit a world to measured round trips, and say how far it lies from those that were held out",
		Long: "Fits the least round trips by distance, what hosts and countries have in common, the difference of the two directions and\n" +
			"the waiting of packets to one half of a measured set, and compares worlds drawn from the fit with the other half: Kolmogorov\n" +
			"and Smirnov's distance in each distance bin, the worst first, beside the built-in law and beside what chance makes of so few\n" +
			"pairs. With --out the fitted world is written as a file. A folder with series.csv.gz in place of nodes.csv gives the law of\n" +
			"waiting, and the min-of-k curve.",
		Example: "  ursa sim fit --data ../shared/data/wonderproxy-2020\n" +
			"  ursa sim fit --data measured --split nodes --out world.yaml --chart fit.svg\n" +
			"  ursa sim fit --data ../shared/data/jitter-atlas-2016 --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.StringVar(&o.out, "out", "", "write the fitted world into this `FILE` (YAML)")
	flags.StringVar(&o.places, "places", "cities", "of the written world: cities (the built-in ones) or set (the measured nodes)")
	flags.StringVar(&o.split, "split", string(fit.ByPairs), "what is held out: half of the pairs, or half of the nodes")
	flags.Uint64Var(&o.seed, "seed", 1, "of the split and of the written world")
	flags.StringArrayVar(&o.score, "score", nil, "folder of another measured set to hold the fit against; may be repeated")
	flags.StringVar(&o.chart, "chart", "", "draw the distributions into this `FILE`, .svg or .png")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func (o *simFitFlags) run(cmd *cobra.Command) error {
	switch {
	case o.data == "":
		return usagef("no data: say --data DIR, a folder with nodes.csv and rtt.csv")
	case o.places != "cities" && o.places != "set":
		return usagef("--places %q: use cities or set", o.places)
	case o.split != string(fit.ByPairs) && o.split != string(fit.ByNodes):
		return usagef("--split %q: use %s or %s", o.split, fit.ByPairs, fit.ByNodes)
	}
	if o.chart != "" {
		if _, err := chart.FormatOf(o.chart); err != nil {
			return usagef("--chart: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Join(o.data, dataset.NodesFile)); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(o.data, fit.SeriesFile)); err == nil {
			return o.series(cmd)
		}
	}
	return o.matrix(cmd)
}

// matrix fits a set of round trips between places.
func (o *simFitFlags) matrix(cmd *cobra.Command) error {
	data, err := fit.Load(o.data)
	if err != nil {
		return fmt.Errorf("--data %s: %w", o.data, err)
	}
	others := make([]*fit.Data, len(o.score)) // read first: a mistake costs no fit
	for i, dir := range o.score {
		if others[i], err = fit.Load(dir); err != nil {
			return fmt.Errorf("--score %s: %w", dir, err)
		}
	}
	progress := newSimProgress(cmd.ErrOrStderr(), "fit")
	defer progress.stop()
	r, err := fit.Run(data, fit.Options{Seed: o.seed, Split: fit.Split(o.split), Progress: func(done, total int) {
		progress.tell(experiment.Progress{Done: int64(done), Total: int64(total)})
	}})
	if err != nil {
		return err
	}
	for i, other := range others {
		e, err := r.Elsewhere(other, fit.Options{})
		if err != nil {
			return fmt.Errorf("--score %s: %w", o.score[i], err)
		}
		r.Others = append(r.Others, e)
	}
	progress.stop()
	f := r.File
	if o.places == "cities" {
		f = fit.Cities(f)
	}
	if err := o.write(f); err != nil {
		return err
	}
	if o.chart != "" {
		format, _ := chart.FormatOf(o.chart) // read above
		if err := calibWrite(o.chart, func(w io.Writer) error { return r.Chart(w, string(format)) }); err != nil {
			return fmt.Errorf("--chart: %w", err)
		}
	}
	if o.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	return r.Text(cmd.OutOrStdout())
}

// series fits traces of single round trips.
func (o *simFitFlags) series(cmd *cobra.Command) error {
	if o.chart != "" || len(o.score) > 0 {
		return usagef("--chart and --score are about distances, and a series has no places")
	}
	s, err := fit.LoadSeries(o.data)
	if err != nil {
		return err
	}
	r, err := fit.RunSeries(s, fit.Options{Seed: o.seed})
	if err != nil {
		return err
	}
	if err := o.write(r.File); err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	return r.Text(cmd.OutOrStdout())
}

// write writes the fitted world and reads it back, since a world that does not load is none.
func (o *simFitFlags) write(f world.File) error {
	if o.out == "" {
		return nil
	}
	text, err := f.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, text, 0o644); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = world.Load(o.out)
	return err
}
