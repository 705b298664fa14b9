package main

import (
	"encoding/json"
	"testing"
)

// TestSimHour lets a few work for a while, and wants every proof accounted for.
func TestSimHour(t *testing.T) {
	virtual(t, func(t *testing.T) {
		status, out, errOut := ursa(t, "sim", "hour", "--beacons", "4", "--cores", "3", "--time", "10m", "--json")
		var got hourJSON
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitDone {
			t.Fatalf("status %d, %v: %s%s", status, err, out, errOut)
		}
		if got.Granted+got.Denied+got.Failed != 3 || got.Virtual.Minutes() < 10 || got.Statements == 0 {
			t.Errorf("%+v", got)
		}
	})
	if status, _, errOut := ursa(t, "sim", "hour", "--beacons", "0"); status != exitUsage {
		t.Errorf("status %d: %s", status, errOut)
	}
}
