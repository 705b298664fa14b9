package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/bench"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/page"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
)

// simExperiment are the flags of whatever reads an experiment.
type simExperiment struct{ set []string }

func (f *simExperiment) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "replace a value of the file, such as policy.f=2 or seeds=[4]; may be repeated")
}

// read parses an experiment; what it names is relative to its folder.
func (f *simExperiment) read(path string) (*file.Experiment, string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", usagef("%w: name an experiment file", err)
	}
	dir := filepath.Dir(path)
	e, err := file.Parse(filepath.Base(path), text, file.Options{Set: f.set, ReadFile: func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return os.ReadFile(name)
	}})
	if err != nil {
		return nil, "", usagef("%w", err)
	}
	return e, dir, nil
}

type simSweepFlags struct {
	simExperiment
	out, shard    string
	index, shards int
	workers       int
}

func simSweepCommand() *cobra.Command {
	var o simSweepFlags
	cmd := &cobra.Command{
		Use:   "sweep FILE",
		Short: "Run every point of an experiment on all processors, and write tables, drawings and one page",
		Long: "Runs the product of what the file varies and of its seeds. Finished work stands in a journal in the folder --out: after a kill\n" +
			"the same command goes on where it stopped. Tables (CSV, Parquet), drawings (SVG, PNG) and report.html follow when all is done.\n" +
			"The same file, seeds and build give the same bytes on any number of processors, in one piece or in shards.\n\n" +
			"For more than one machine give each a shard, then merge: ursa sim report OUT... ('ursa sim job' prints what a cluster needs).\n" +
			"The exit status is 1 when the experiment expects something else than what came out.",
		Example: "  ursa sim sweep docs/experiments/access-delay.yaml --out access-delay\n" +
			"  ursa sim sweep access-delay.yaml --out part --shard 2/8\n  ursa sim sweep access-delay.yaml --set cores.count=100 --out quick",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.out, "out", "", "folder for journal and results (default: the experiment's name)")
	flags.StringVar(&o.shard, "shard", "", "run only one of several equal parts: `I/N`, I from 1")
	flags.IntVar(&o.index, "index", -1, "run only one of --shards parts, counted from 0 as clusters count")
	flags.IntVar(&o.shards, "shards", 0, "how many parts --index counts")
	flags.IntVar(&o.workers, "workers", 0, "trials at a time (default: one for each processor)")
	return cmd
}

// part reads which shard is to be run, from 0, of how many.
func (o *simSweepFlags) part() (shard, of int, err error) {
	switch {
	case o.shard != "" && (o.index >= 0 || o.shards > 0):
		return 0, 0, usagef("--shard and --index say the same: give one of them")
	case o.shard != "":
		i, n, ok := strings.Cut(o.shard, "/")
		a, errA := strconv.Atoi(i)
		b, errB := strconv.Atoi(n)
		if !ok || errA != nil || errB != nil || a < 1 || a > b {
			return 0, 0, usagef("--shard %q: say I/N with I from 1 to N, such as 2/8", o.shard)
		}
		return a - 1, b, nil
	case o.index < 0 && o.shards == 0:
		return 0, 1, nil
	case o.index < 0 || o.index >= o.shards:
		return 0, 0, usagef("--index %d --shards %d: say an index from 0 to shards - 1", o.index, o.shards)
	}
	return o.index, o.shards, nil
}

func (o *simSweepFlags) run(cmd *cobra.Command, path string) error {
	shard, of, err := o.part()
	if err != nil {
		return err
	}
	if o.workers < 0 {
		return usagef("--workers %d: say at least 1, or leave it out", o.workers)
	}
	e, dir, err := o.read(path)
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = e.Name
	}
	build, err := simBuild()
	if err != nil {
		return err
	}
	bar := newSimProgress(cmd.ErrOrStderr(), e.Name)
	_, err = experiment.Run(cmd.Context(), e, experiment.Options{Dir: o.out, Shard: shard, Of: of, Workers: o.workers, Build: build, Bench: bench.Builder(dir), Progress: bar.tell})
	bar.stop()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted; run the same command to go on from %s", filepath.Join(o.out, experiment.JournalName(shard, of)))
		}
		return err
	}
	if of > 1 {
		fmt.Fprintf(cmd.OutOrStdout(), "shard %d of %d is done: %s\nwhen all are: ursa sim report %s\n", shard+1, of, filepath.Join(o.out, experiment.JournalName(shard, of)), o.out)
		return nil
	}
	return simFinish(cmd, o.out, filepath.Join(o.out, experiment.JournalName(shard, of)))
}

// simFinish merges journals, writes the results and says whether they are as expected.
func simFinish(cmd *cobra.Command, out string, journals ...string) error {
	set, err := experiment.Load(journals...)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, result.ErrShards) {
			return usagef("%w", err)
		}
		return err
	}
	names, err := experiment.Write(out, set)
	if err != nil {
		return err
	}
	if err := simTable(cmd.OutOrStdout(), set); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\n%s: %s\n", out, strings.Join(names, " "))
	met, words := page.Expected(set)
	if !met {
		return fmt.Errorf("%s: %s%s", set.Header.Name, words, simAgain(set))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", words)
	return nil
}

func simReportCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report DIR...",
		Short: "Merge the journals of an experiment's shards and write its tables, drawings and page",
		Long: "Reads every *.journal of the folders, which must together be one whole experiment of one build, and writes the bytes that an\n" +
			"unsharded run would have written. Nothing is run.",
		Example: "  ursa sim report access-delay\n  ursa sim report part-1 part-2 part-3 --out access-delay",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				out = args[0]
			}
			return simFinish(cmd, out, args...)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder for the results (default: the first folder)")
	return cmd
}
