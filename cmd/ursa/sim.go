package main

import "github.com/spf13/cobra"

// simCommand is the noun of simnet: worlds to try a constellation in before anybody rents a rack.
func simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "The Internet in a box, with liars in it: try a constellation before anybody rents a rack",
		Long: "A world is data, an experiment is a file, and the same file, seed and build give the same bytes on any number of\n" +
			"processors. So an answer comes with its error bars and can be had twice.",
		Example: "  ursa sim sweep docs/experiments/access-delay.yaml --out access-delay\n  ursa sim run access-delay.yaml --point 3 --core 17\n" +
			"  ursa sim report part-1 part-2",
	}
	cmd.AddCommand(simVerbs()...)
	return cmd
}

// simVerbs lists the verbs of the noun, in the order of the help.
func simVerbs() []*cobra.Command {
	return []*cobra.Command{simRunCommand(), simSweepCommand(), simReportCommand(), simFitCommand(), simAdversariesCommand(), simStoryCommand(), simHourCommand(), simJobCommand()}
}
