package main

import "github.com/spf13/cobra"

// nouns lists the commands, in the order of the help.
func nouns() []*cobra.Command {
	return []*cobra.Command{upCommand(), verifyCommand(), evalCommand(), planCommand(), calibCommand(), atlasCommand(), directoryCommand(), beaconCommand(), coreCommand(), gateCommand(), policyCommand(), monitorCommand(), attestCommand(), simCommand(), benchNoun(), spinCommand()}
}
