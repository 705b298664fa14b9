package hour_test

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/simnet/hour"
)

// TestVirtualHour lets a small constellation work for an hour. With URSA_HOUR set to a number of proofs for each core it is the one of
// the goal, 50 beacons and 200 cores, and the log says how long it took:
//
//	URSA_HOUR=1 go test ./simnet/hour -run VirtualHour -v
func TestVirtualHour(t *testing.T) {
	cfg := hour.Config{Beacons: 9, Cores: 10, Proofs: 1, Seed: 3, Near: 4, Drawn: 2}
	if s := os.Getenv("URSA_HOUR"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("URSA_HOUR=%s: give the number of proofs of each core", s)
		}
		cfg = hour.Config{Proofs: n, Seed: 1}
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		r, err := hour.Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.FalseAccepts > 0 || r.Impossible > 0 || r.Failed > 0 || r.Granted == 0 || r.Denied == 0 || r.Virtual < time.Hour {
			t.Errorf("seed %d: %+v", cfg.Seed, r)
		}
		t.Logf("%+v", r)
	})
	t.Logf("%v of this machine's time", time.Since(began))
}
