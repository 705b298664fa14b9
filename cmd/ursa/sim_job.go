package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/experiment/job"
)

func simJobCommand() *cobra.Command {
	var f simExperiment
	o := job.Job{Shards: 8, Image: "ursa:latest", Claim: "ursa-experiment"}
	kind := "k8s"
	cmd := &cobra.Command{
		Use:   "job FILE",
		Short: "Print what runs an experiment's shards on a cluster: a Kubernetes indexed Job or a Slurm array line",
		Long: "Prints a manifest for 'kubectl apply -f -', or a line for a shell of a Slurm cluster. FILE and --out are paths as the machines\n" +
			"see them; on Kubernetes relative ones are below the volume of --claim. FILE is read here too, so that a mistake in it is\n" +
			"seen before a hundred machines see it.",
		Example: "  ursa sim job access-delay.yaml --shards 64 --for k8s --image registry.example.net/ursa:1 | kubectl apply -f -\n" +
			"  ursa sim job access-delay.yaml --shards 64 --for slurm",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, _, err := f.read(args[0])
			if err != nil {
				return err
			}
			o.Name, o.File = e.Name, args[0]
			if o.Dir == "" {
				o.Dir = e.Name
			}
			var text []byte
			switch kind {
			case "k8s":
				text, err = o.Kubernetes()
			case "slurm":
				var line string
				line, err = o.Slurm()
				text = []byte(line)
			default:
				return usagef("--for %q: say k8s or slurm", kind)
			}
			if errors.Is(err, job.ErrShards) || errors.Is(err, job.ErrWord) {
				return usagef("%w", err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s", text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "for", kind, "k8s or slurm")
	flags.IntVar(&o.Shards, "shards", o.Shards, "in how many parts")
	flags.StringVar(&o.Dir, "out", "", "folder of the journals (default: the experiment's name)")
	flags.StringVar(&o.Image, "image", o.Image, "Kubernetes: container image with the program")
	flags.StringVar(&o.Claim, "claim", o.Claim, "Kubernetes: persistent volume claim that holds FILE and --out")
	return cmd
}
