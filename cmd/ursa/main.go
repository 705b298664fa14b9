// Command ursa is the whole system in one binary: beacons, cores, the lockgate and the tools of the people who run them.
//
// Each file of this package holds one noun of the command line. It parses, wires, runs and stops; what it runs lives in the
// packages below. Exit status: 0 done, 1 failed, 2 wrong usage, 3 denied (a verdict or a policy said no).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses of the contract.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitDenied = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status. It is main without the process around it, so that tests can call it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return exitStatus(root.ExecuteContext(ctx), errOut)
}

// exitStatus says in one line what went wrong, if anything did, and returns the status to end with.
func exitStatus(err error, errOut io.Writer) int {
	var usage usageError
	var denied deniedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &denied):
		if denied.line != "" {
			fmt.Fprintln(errOut, "ursa: "+oneLine(denied.line))
		}
		return exitDenied
	case errors.As(err, &usage):
		fmt.Fprintln(errOut, "ursa: "+oneLine(err.Error()))
		return exitUsage
	default:
		fmt.Fprintln(errOut, "ursa: "+oneLine(err.Error()))
		return exitFailed
	}
}

// rootCommand builds the tree of commands, each of which is a file of this package.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "ursa",
		Short: "Prove where a running process is, and give compute keys only where they may be",
		Long: "Ursa is a constellation of attested beacons by which a running process proves where on Earth it is,\n" +
			"and a gate that gives compute keys only to cores whose proof lies inside a permitted region.",
		Example:       "  ursa up --once\n  ursa up --core Tokyo --permit EU27\n  ursa verify proof.ursa",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(nouns()...)
	strict(root)
	return root
}

// strict makes every wrong word a usage error of one line: unknown flags, unknown subcommands and wrong arguments.
func strict(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%v: see '%s --help'", err, c.CommandPath())
	})
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%v: use '%s'", err, c.UseLine())
			}
			return nil
		}
	}
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			c.SuggestionsMinimumDistance = 2
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("%s has no command %q: did you mean '%s'?", c.CommandPath(), args[0], near[0])
			}
			return usagef("%s has no command %q: see '%s --help'", c.CommandPath(), args[0], c.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// usageError is a mistake of the person who typed the command; exit status 2.
type usageError struct{ error }

// usagef makes a usage error: one line that says what is wrong and what would be right.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Unwrap gives the cause.
func (e usageError) Unwrap() error { return e.error }

// deniedError ends the program with status 3: a verdict or a policy said no. The line, if any, goes to standard error.
type deniedError struct{ line string }

func (e deniedError) Error() string { return "denied: " + e.line }

// oneLine folds an error to the single line that people read.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
