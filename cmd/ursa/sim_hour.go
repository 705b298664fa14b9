package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/simnet/hour"
)

// simHourCommand lets a constellation of the real programs work in virtual time.
func simHourCommand() *cobra.Command {
	var cfg hour.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "hour",
		Short: "Let real beacons, cores and a gate work for an hour of virtual time, and say how long that took",
		Long: "Starts the real programs in this process over a simulated network, with real QUIC, keys, signatures, store and locks, and lets\n" +
			"every core prove its place at moments drawn from the seed. Time is virtual: it passes when everybody waits. Exit status 3 says\n" +
			"that a core outside the permitted region was granted a lease, or that a statement is shorter than its path.",
		Example: "  ursa sim hour\n  ursa sim hour --beacons 20 --cores 50 --proofs 4 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Beacons < 1 || cfg.Cores < 1 || cfg.Proofs < 1 {
				return usagef("--beacons, --cores and --proofs must be positive")
			}
			return virtually(cmd, func(ctx context.Context) error { return simHour(ctx, cfg, asJSON, cmd.OutOrStdout()) })
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&cfg.Beacons, "beacons", 50, "how many beacons")
	flags.IntVar(&cfg.Cores, "cores", 200, "how many cores")
	flags.IntVar(&cfg.Proofs, "proofs", 1, "how often each core proves its place")
	flags.DurationVar(&cfg.Length, "time", time.Hour, "how long, in virtual time")
	flags.StringVar(&cfg.Permit, "permit", "EU27+GB+CH+NO", "permitted region, an `EXPR` over the atlas")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "of places, moments, delays and losses")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object, and nothing else, on standard output")
	return cmd
}

// hourJSON is the object of `ursa sim hour --json`.
type hourJSON struct {
	hour.Report
	Seed      uint64 `json:"seed"`
	ElapsedMS int64  `json:"elapsed_ms"` // of this machine's time
}

// simHour runs and tells. The machine's own time is read from its raw clock, which goes on while virtual time stands.
func simHour(ctx context.Context, cfg hour.Config, asJSON bool, out io.Writer) error {
	clock, err := timing.HostClock()
	if err != nil {
		return err
	}
	began := clock.RawNS()
	r, err := hour.Run(ctx, cfg)
	if errors.Is(err, hour.ErrConfig) {
		return usagef("%w", err)
	}
	if err != nil {
		return err
	}
	took := time.Duration(clock.RawNS() - began)
	if asJSON {
		if err := json.NewEncoder(out).Encode(hourJSON{r, cfg.Seed, took.Milliseconds()}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%d beacons and %d cores worked for %v: %d proofs granted, %d denied, %d failed; %d statements, %d beacons silent; %d packets, %d lost\n",
			r.Beacons, r.Cores, r.Virtual.Round(time.Second), r.Granted, r.Denied, r.Failed, r.Statements, r.Silent, r.Packets, r.Lost)
		fmt.Fprintf(out, "%.1f s of this machine's time; seed %d\n", took.Seconds(), cfg.Seed)
	}
	if r.FalseAccepts > 0 || r.Impossible > 0 {
		return deniedError{line: fmt.Sprintf("%d leases for cores outside %s, %d statements shorter than their paths", r.FalseAccepts, cfg.Permit, r.Impossible)}
	}
	return nil
}
