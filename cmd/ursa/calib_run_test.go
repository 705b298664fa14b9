package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/calib/mesh/book"
)

// TestAsProgram is no test: it is the program, where another test starts this binary as a process of its own.
func TestAsProgram(t *testing.T) {
	args := os.Getenv("URSA_TEST_ARGUMENTS")
	if args == "" {
		t.Skip("runs only as a process that another test starts")
	}
	os.Exit(run(context.Background(), strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
}

// process starts the program as a process of its own, which dies with the test, and returns the lines of its standard error.
func process(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestAsProgram$")
	cmd.Env = append(os.Environ(), "URSA_TEST_ARGUMENTS="+strings.Join(args, "\n"))
	errOut, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(errOut)
}

// await reads lines until one has the words.
func await(t *testing.T, lines *bufio.Scanner, words string) {
	t.Helper()
	var seen []string
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if strings.Contains(lines.Text(), words) {
			return
		}
	}
	t.Fatalf("the process never said %q, but\n%s", words, strings.Join(seen, "\n"))
}

// Beacons as processes of their own measure each other over real sockets, on instructions that a gate signs. The collector is killed by
// the system in the middle; started again it goes on, and no finished pair is lost or measured twice.
func TestCalibRunSurvivesAKill(t *testing.T) {
	const beacons = 3
	s := newSite(t, beacons)
	run := s.withPass("calib", "run", "--dir", s.path("calib"), "--directory", s.path("dir", directoryName), "--trust", s.path("dir", trustName),
		"--gate-key", s.path("gate", gateKeyName), "--exchange", "2s", "--per-minute", "120")
	for i, address := range s.addresses {
		door := freePort(t)
		run = append(run, "--receiver", "http://"+door)
		_, lines := process(t, s.withPass("beacon", "serve", "--dir", s.path("b"+string(rune('1'+i))), "--directory", s.path("dir", directoryName),
			"--sim-dir", s.path("dir", "sim"), "--listen", address, "--metrics", "", "--receiver", door)...)
		await(t, lines, "beacon serves")
		go func() { // whatever else it logs
			for lines.Scan() {
			}
		}()
	}
	collector, lines := process(t, run...)
	await(t, lines, "3 left")
	if err := collector.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = collector.Wait()
	kept := proofsIn(t, s.path("calib", "book.db"))
	if len(kept) < 3 || len(kept) >= beacons*(beacons-1) {
		t.Fatalf("%d proofs in the book after the kill, want 3 to 5", len(kept))
	}
	if out := ok(t, run...); !strings.Contains(out, "6 of 6 pairs are measured, 0 failed, 0 receivers are not believed") {
		t.Error(out)
	}
	all := proofsIn(t, s.path("calib", "book.db"))
	if len(all) != beacons*(beacons-1) {
		t.Errorf("%d proofs in the book, want %d", len(all), beacons*(beacons-1))
	}
	table, err := os.ReadFile(s.path("calib", "statements.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for hash := range kept {
		if !all[hash] || !strings.Contains(string(table), hash) {
			t.Errorf("the proof %s was finished before the kill and is lost", hash)
		}
	}
	if out := ok(t, "calib", "audit", "--data", s.path("calib", "measured")); !strings.Contains(out, "3 nodes, 3 pairs") {
		t.Error(out)
	}
}

// proofsIn returns the hashes of the proofs in a book.
func proofsIn(t *testing.T, path string) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := book.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, _, err := b.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	if err := b.Each(ctx, p.ID, func(r book.Record) error {
		sum := sha256.Sum256(r.Proof)
		found[hex.EncodeToString(sum[:])] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// A key that the directory does not list as a gate's, and a door where nobody is, cost one line.
func TestCalibRunRefuses(t *testing.T) {
	s := newSite(t, 1)
	flags := func(key string) []string {
		return s.withPass("calib", "run", "--dir", s.path("calib"), "--directory", s.path("dir", directoryName), "--trust", s.path("dir", trustName),
			"--gate-key", key, "--receiver", "http://"+freePort(t), "--receiver", "http://"+freePort(t))
	}
	for key, says := range map[string]string{s.path("core", coreKeyName): "does not list", s.path("gate", gateKeyName): "beacon serve --receiver"} {
		if status, out, errOut := cli(flags(key)...); status == exitDone || out != "" || !strings.Contains(errOut, says) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("exit %d, %q, %q: want one line with %q", status, out, errOut, says)
		}
	}
}
