package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBenchPeer is not a test: it is the other end of TestBench's bench, in a process of its own.
func TestBenchPeer(t *testing.T) {
	if os.Getenv("URSA_TEST_BENCH_PEER") == "" {
		t.Skip("the other end of TestBench")
	}
	cmd := beaconBenchCommand()
	cmd.SetArgs([]string{benchPeerName})
	cmd.SetIn(os.Stdin)
	cmd.SetOut(os.Stdout)
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	os.Exit(0)
}

func testPeer() (*exec.Cmd, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchPeer$")
	cmd.Env = append(os.Environ(), "URSA_TEST_BENCH_PEER=1")
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// bench runs a command line of the bench in this process.
func benchLine(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	cmd := benchCommand(testPeer)
	strict(cmd)
	var o, e bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	err = cmd.ExecuteContext(t.Context())
	return o.String(), err
}

func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two seconds")
	}
	out, err := benchLine(t, "--duration", "1s", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		RoundTrips []struct {
			Name  string `json:"name"`
			MinNS int64  `json:"min_ns"`
		} `json:"round_trips"`
		Costs []struct {
			Kind   string  `json:"kind"`
			Micros float64 `json:"cpu_us"`
		} `json:"costs"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.RoundTrips) < 4 || len(report.Costs) < 8 {
		t.Errorf("%d round trips, %d costs", len(report.RoundTrips), len(report.Costs))
	}
	for _, r := range report.RoundTrips {
		if r.MinNS <= 0 {
			t.Errorf("%s: %d ns", r.Name, r.MinNS)
		}
	}
}

func TestBenchMistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--cpu", "three"}, `"one" or "two"`},
		{[]string{"--duration", "1ms"}, "1s to 10m"},
		{[]string{"--goals", "--cpu", "two"}, "leave --cpu out"},
		{[]string{"now"}, "use '"},
	} {
		_, err := benchLine(t, c.args...)
		if _, usage := err.(usageError); !usage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}
