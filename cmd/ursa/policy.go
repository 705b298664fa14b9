package main

import "github.com/spf13/cobra"

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Policies as files: where cores may run, and what a proof must show",
		Long: "A policy is data: a YAML file that says which region is permitted and what a proof must show. Nothing in it has a silent default, and\n" +
			"what it does not say denies. It carries its own examples, which 'test' decides. Authors sign it; gates take only what enough of\n" +
			"them signed.",
		Example: "  ursa policy init authors --keys 3 --threshold 2\n  ursa policy check europe.yaml\n" +
			"  ursa policy sign europe.yaml --key authors/author-1.key --out europe.ursa",
	}
	cmd.AddCommand(policyInitCommand(), policySignCommand())
	return cmd
}
