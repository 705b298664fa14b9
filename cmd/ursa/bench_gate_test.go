package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// gateBenchLine runs a command line of 'ursa bench' in this process.
func gateBenchLine(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := benchNoun()
	strict(cmd)
	var out bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestBenchGate(t *testing.T) {
	out, err := gateBenchLine(t, "gate", "--grants", "6", "--clients", "2", "--postgres", "none", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Whole []struct {
			Store     string  `json:"store"`
			Grants    int     `json:"grants"`
			PerSecond float64 `json:"grants_per_s"`
		} `json:"whole"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Whole) != 1 || r.Whole[0].Grants != 6 || r.Whole[0].PerSecond <= 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := gateBenchLine(t, "gate", "--clients", "100000"); err == nil || !strings.Contains(err.Error(), "clients") {
		t.Fatal(err)
	}
}
