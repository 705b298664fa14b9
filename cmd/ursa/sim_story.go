package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/simnet/fabric/delayline"
	scenario "github.com/ursa-virtual/ursa/simnet/story" // up has a story of its own
)

// storyFlags are the words of the command line.
type storyFlags struct {
	seed   uint64
	seeded bool
	json   bool
}

// simStoryCommand plays stories over the real programs.
func simStoryCommand() *cobra.Command {
	var f storyFlags
	cmd := &cobra.Command{
		Use:   "story FILE...",
		Short: "Play attacks that are written as stories, over the real programs in virtual time",
		Long: "Each file is a story of a dozen words, one command a line: places, beacons and cores, adversaries, proofs, and what is\n" +
			"expected of them. Real beacons, cores and gate play it over a simulated network, with real QUIC and crypto, in virtual time:\n" +
			"how busy this machine is changes nothing. Exit status 3 says that an expectation failed. docs/STORIES.md is the language.",
		Example: "  ursa sim story simnet/testdata/relay.txt\n  ursa sim story --json simnet/testdata/*.txt",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			f.seeded = cmd.Flags().Changed("seed")
			stories, err := f.read(files)
			if err != nil {
				return err
			}
			return virtually(cmd, func(ctx context.Context) error { return f.play(ctx, stories, cmd.OutOrStdout()) })
		},
	}
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "play with this seed in place of the stories' own")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object for each story, and nothing else, on standard output")
	return cmd
}

// virtually runs what a command does in virtual time, and then ends the process with its status. A test has its own bubble.
func virtually(cmd *cobra.Command, do func(context.Context) error) error {
	if delayline.Virtual() || testing.Testing() {
		return do(cmd.Context())
	}
	stop := context.AfterFunc(cmd.Context(), func() { os.Exit(exitFailed) }) // what comes from outside must not be waited for inside
	defer stop()
	scenario.Virtually(func() int { return exitStatus(do(context.Background()), cmd.ErrOrStderr()) })
	return nil
}

// read parses every story before the first is played.
func (f storyFlags) read(files []string) ([]*scenario.Story, error) {
	var all []*scenario.Story
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read the story: %w", err)
		}
		s, err := scenario.Parse(name, text)
		if err != nil {
			return nil, err
		}
		if f.seeded {
			s.Seed = f.seed
		}
		all = append(all, s)
	}
	return all, nil
}

// storyJSON is the object of `ursa sim story --json`.
type storyJSON struct {
	File         string   `json:"file"`
	Title        string   `json:"title"`
	Seed         uint64   `json:"seed"`
	Held         int      `json:"held"`
	Failed       int      `json:"failed"`
	FalseAccepts int      `json:"false_accepts"`
	VirtualMS    int64    `json:"virtual_ms"`
	Lines        []string `json:"lines"`
}

// play plays the stories one after the other.
func (f storyFlags) play(ctx context.Context, stories []*scenario.Story, out io.Writer) error {
	failed := 0
	for _, s := range stories {
		var lines lineWriter
		to := out
		if f.json {
			to = &lines
		} else {
			fmt.Fprintf(out, "%s: %s (seed %d)\n", s.File, s.Title, s.Seed)
		}
		r, err := scenario.Run(ctx, s, to)
		if err != nil {
			return err
		}
		failed += r.Failed
		if !f.json {
			fmt.Fprintf(out, "%s: %d held, %d failed, %d false accepts, %.1f s of virtual time\n\n", s.File, r.Held, r.Failed, r.FalseAccepts, r.Elapsed.Seconds())
			continue
		}
		if err := json.NewEncoder(out).Encode(storyJSON{s.File, s.Title, s.Seed, r.Held, r.Failed, r.FalseAccepts, r.Elapsed.Milliseconds(), lines.all}); err != nil {
			return err
		}
	}
	if failed > 0 {
		return deniedError{line: fmt.Sprintf("%d expectations failed", failed)}
	}
	return nil
}

// lineWriter keeps what is written, line by line; stories write whole lines.
type lineWriter struct{ all []string }

// Write implements io.Writer.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.all = append(w.all, oneLine(string(b)))
	return len(b), nil
}
