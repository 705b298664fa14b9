package main

import (
	"crypto/sha256"
	"time"

	"github.com/spf13/cobra"
)

// spinName is the hidden command that `ursa up` runs as its workload.
const spinName = "spin"

// spinCommand computes until it is stopped: something for the lock to hold still.
func spinCommand() *cobra.Command {
	return &cobra.Command{
		Use:    spinName,
		Short:  "Use a processor until stopped: the workload of ursa up",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sum := sha256.Sum256(nil)
			for cmd.Context().Err() == nil {
				for until := time.Now().Add(10 * time.Millisecond); time.Now().Before(until); {
					sum = sha256.Sum256(sum[:])
				}
			}
			return nil
		},
	}
}
