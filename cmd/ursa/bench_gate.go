package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/grant/bench"
)

// benchNoun measures on this host what a part of the system can do.
func benchNoun() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "What this host can do: a gate (see also 'beacon bench' and 'calib bench')",
		Example: "  ursa bench gate",
	}
	cmd.AddCommand(benchGateCommand())
	return cmd
}

func benchGateCommand() *cobra.Command {
	var cfg bench.Config
	var asJSON bool
	var pg string
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "Measure on this host how many verified, durable, published grants a gate makes a second",
		Long: "Makes cores with proofs for a gate in this process, and measures how fast it answers them all: verification, the store's\n" +
			"transaction, and the checkpoint that shows the leaf, together and each by itself. The same load goes against SQLite and\n" +
			"against PostgreSQL: a server of its own in a temporary folder where this machine has the programs, or --postgres URL, in\n" +
			"whose database it makes schemas of its own that stay. Only the network is missing.\n\n" +
			"Figures of one run can be compared with each other, not with those of another machine or hour.",
		Example: "  ursa bench gate\n  ursa bench gate --grants 5000 --clients 512 --json > bench.json\n  ursa bench gate --postgres postgres://ursa@db.example.net/bench",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch pg {
			case "auto":
			case "none":
				cfg.Alone = true
			default:
				cfg.Postgres = pg
			}
			progress, done := benchProgress(cmd.ErrOrStderr())
			defer done()
			cfg.Progress = progress
			r, err := bench.Run(cmd.Context(), cfg)
			done()
			if errors.Is(err, bench.ErrConfig) {
				return usagef("%w", err)
			}
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text())
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Grants, "grants", 1000, "grants in each run of the whole gate, 1 to 100000")
	f.IntVar(&cfg.Clients, "clients", 256, "requests under way at once, 1 to 4096")
	f.IntVar(&cfg.Together, "together", 64, "statements of a beacon under one signature, at most")
	f.StringVar(&pg, "postgres", "auto", "data source `URL` of a server; auto: one of its own, if this machine has one; none: leave it out")
	f.StringVar(&cfg.Dir, "dir", "", "existing folder for store and log, on the disk to be measured; what is written stays; default: a temporary one")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
