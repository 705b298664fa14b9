package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/trial"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

type simAdversariesFlags struct {
	permit, only string
	cores        uint64
	seed         uint64
	list         bool
	csv, json    bool
}

func simAdversariesCommand() *cobra.Command {
	var o simAdversariesFlags
	cmd := &cobra.Command{
		Use:   "adversaries",
		Short: "Set every adversary of the library against every defence and count who gets in",
		Long: "For each adversary and each defence so many honest cores, which stand inside the permitted region, and as many cheats, which stand\n" +
			"outside and claim a place inside, are tried by the real judge. The built-in world has a beacon in every second town.\n" +
			"A cell is false accepts / false rejects / detected, in per cent; bold where the adversary breaks what the verdict assumes.",
		Example: "  ursa sim adversaries --cores 200\n  ursa sim adversaries --only colluders --permit DE --json\n  ursa sim adversaries --list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.permit, "permit", "EU27", "permitted region, an `EXPR` over the atlas such as EU27+CH")
	flags.StringVar(&o.only, "only", "", "only the adversary of this `NAME`")
	flags.Uint64Var(&o.cores, "cores", 100, "honest cores, and as many cheats, for each adversary and defence, 1 to 100000")
	flags.Uint64Var(&o.seed, "seed", 1, "of the world and of everything that is drawn")
	flags.BoolVar(&o.list, "list", false, "describe the adversaries and try nothing")
	flags.BoolVar(&o.csv, "csv", false, "print every count as CSV")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func (o *simAdversariesFlags) run(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	if o.list {
		return o.describe(out)
	}
	if o.csv && o.json {
		return usagef("--csv and --json are two ways to print one table: choose one")
	}
	if o.cores < 1 || o.cores > 100_000 {
		return usagef("--cores %d is not within 1..100000", o.cores)
	}
	adversaries, err := o.adversaries()
	if err != nil {
		return err
	}
	base, err := o.base()
	if err != nil {
		return err
	}
	bar := newSimProgress(cmd.ErrOrStderr(), "adversaries")
	rows, err := trial.Tabulate(cmd.Context(), base, adversaries, trial.Defences(), o.cores, func(done, total int) {
		bar.tell(experiment.Progress{Done: int64(done) * 2 * int64(o.cores), Total: int64(total) * 2 * int64(o.cores)})
	})
	bar.stop()
	if err != nil {
		return err
	}
	switch {
	case o.csv:
		return trial.WriteCSV(out, rows)
	case o.json:
		return planPrintJSON(out, struct {
			Permit  string      `json:"permit"`
			Seed    uint64      `json:"seed"`
			Cores   uint64      `json:"cores"`
			Beacons int         `json:"beacons"`
			Rows    []trial.Row `json:"rows"`
		}{base.Permit.String(), o.seed, o.cores, len(base.Beacons), rows})
	}
	fmt.Fprintf(out, "Permit %s, seed %d, %d beacons; %d honest cores and %d cheats in each cell.\n\n", base.Permit, o.seed, len(base.Beacons), o.cores, o.cores)
	return trial.WriteTable(out, rows)
}

// adversaries returns the rows that were asked for.
func (o *simAdversariesFlags) adversaries() ([]adversary.Adversary, error) {
	if o.only == "" {
		return trial.Adversaries(), nil
	}
	if _, err := adversary.Find(adversary.Name(o.only)); err != nil {
		return nil, usagef("--only: %v", err)
	}
	var out []adversary.Adversary
	for _, a := range trial.Adversaries() {
		if a.Name == adversary.Name(o.only) {
			out = append(out, a)
		}
	}
	return out, nil
}

// base is the world with a beacon in every second town.
func (o *simAdversariesFlags) base() (trial.Setup, error) {
	w, err := world.Builtin(world.Config{Seed: o.seed})
	if err != nil {
		return trial.Setup{}, err
	}
	permit, err := atlas.Parse(o.permit, atlas.Options{})
	if err != nil {
		return trial.Setup{}, usagef("--permit: %v", err)
	}
	var towns []world.Place
	for i, p := range w.Places() {
		if i%2 == 0 {
			towns = append(towns, p)
		}
	}
	return trial.Setup{World: w, Beacons: trial.Constellation(w, towns), Permit: permit, Class: earth.Vacuum, Seed: o.seed}, nil
}

// describe prints the library.
func (o *simAdversariesFlags) describe(out io.Writer) error {
	if o.json {
		return planPrintJSON(out, struct {
			Adversaries []adversary.Kind `json:"adversaries"`
		}{adversary.Library()})
	}
	for _, k := range adversary.Library() {
		fmt.Fprintf(out, "%s\n  owns     %s\n  tries    %s\n", k.Name, k.Owns, k.Tries)
		if k.Means != "" {
			fmt.Fprintf(out, "  strength %s: %g, from %g to %g\n", k.Means, k.Default, k.Least, k.Most)
		}
		if k.Breaks != "" {
			fmt.Fprintf(out, "  breaks   %s\n", k.Breaks)
		}
		fmt.Fprintf(out, "  refused  by %s\n", k.Refused)
	}
	return nil
}
