package main

import (
	"strings"
	"testing"
)

// The packages that hold the stopwatch, or stand beside it while it runs, cannot appraise anything: verifying a report takes
// milliseconds, and one millisecond is 150 km. What a core wants to know of a beacon it is handed as a function (prober.Config.Appraise),
// which runs before the exchange's machine is made; evidence is collected by another (server.Config.Evidence), before it too.
func TestNoAppraisalNearTheStopwatch(t *testing.T) {
	all := packages(t)
	seen := 0
	for at, pkg := range all {
		if at != "beacon/exchange" && !strings.HasPrefix(at, "beacon/exchange/") && at != "beacon/timing" && !strings.HasPrefix(at, "beacon/timing/") &&
			at != "beacon/server" && at != "beacon/prober" && at != "beacon/statement" {
			continue
		}
		seen++
		for _, imported := range pkg.Imports {
			if inside, ok := strings.CutPrefix(imported, module); ok && strings.HasPrefix(inside, "beacon/attest") {
				t.Errorf("%s imports %s: no appraisal near the stopwatch", at, inside)
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d packages looked at: the list is out of date", seen)
	}
}
