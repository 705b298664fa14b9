package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/relay"
)

// relayFlags are a relay as words of the command line; both directions are alike.
type relayFlags struct {
	listen, to      string
	delay, jitter   time.Duration
	loss, duplicate float64
	overtake        bool
	seed            uint64
}

func beaconRelayCommand() *cobra.Command {
	var f relayFlags
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Put distance before a beacon: forward UDP after a delay, with jitter and loss if wanted",
		Long: "Forwards UDP between cores and one beacon after a delay in each direction, never early: for experiments and tests where the kernel\n" +
			"cannot delay packets itself. The directory has to name the relay's address as the beacon's. Ends with its counts on standard error.",
		Example: "  ursa beacon relay --listen 127.0.0.1:5433 --to 127.0.0.1:4433 --delay 5ms --jitter 200us --loss 0.01",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "to", "delay"); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:5433", "UDP `ADDRESS` at which cores knock")
	flags.StringVar(&f.to, "to", "", "UDP `ADDRESS` of the beacon")
	flags.DurationVar(&f.delay, "delay", 0, "one-way delay of each direction")
	flags.DurationVar(&f.jitter, "jitter", 0, "mean of an exponential delay on top")
	flags.Float64Var(&f.loss, "loss", 0, "share of packets that are lost, 0 to 1")
	flags.Float64Var(&f.duplicate, "duplicate", 0, "share of packets that come twice, 0 to 1")
	flags.BoolVar(&f.overtake, "overtake", false, "let packets overtake one another")
	flags.Uint64Var(&f.seed, "seed", 1, "of jitter, loss and duplication")
	return cmd
}

// run relays until the command's context ends.
func (f relayFlags) run(cmd *cobra.Command) error {
	d := relay.Direction{Link: fabric.Link{OneWay: f.delay, Loss: f.loss}, Overtake: f.overtake, Duplicate: f.duplicate}
	if f.jitter < 0 {
		return usagef("--jitter %s: use a duration of 0 or more", f.jitter)
	}
	if f.jitter > 0 {
		d.Link.Jitter = fabric.Exponential{Mean: f.jitter}
	}
	r, err := relay.Listen(f.listen, f.to, relay.Config{Up: d, Down: d, Seed: f.seed})
	if errors.Is(err, relay.ErrConfig) {
		return usagef("%w", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "relay   %s to %s, %s each way, seed %d\n", r.Addr(), f.to, f.delay, f.seed)
	<-cmd.Context().Done()
	fmt.Fprintf(cmd.ErrOrStderr(), "relay   %s\n", r.Stats())
	return r.Close()
}
