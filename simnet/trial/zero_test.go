package trial_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/trial"
)

// seedOf returns the seed of a run: 1, or URSA_SEED.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv("URSA_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("URSA_SEED=%s is no number: %v", text, err)
	}
	return seed
}

// size returns how many scenarios of each adversary are played and how many honest and how many cheating cores each has: a few, or
// as many as URSA_CORES asks for.
func size(t testing.TB, adversaries int) (scenarios, cores uint64) {
	t.Helper()
	text := os.Getenv("URSA_CORES")
	if text == "" && testing.Short() {
		return 1, 8
	}
	if text == "" {
		return 2, 10
	}
	total, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("URSA_CORES=%s is no number: %v", text, err)
	}
	const each = 250
	return (total + uint64(adversaries)*2*each - 1) / (uint64(adversaries) * 2 * each), each
}

// No verdict is Inside about a core that does not stand inside, in any scenario where what the verdict assumes holds, and every
// region holds its core; over 10⁶ cores with URSA_CORES=1000000, of which URSA_ONLY=drop,relay plays those of some adversaries.
func TestZeroFalseInside(t *testing.T) {
	var names []adversary.Name
	for _, k := range adversary.Library() {
		if k.Refused != adversary.ByNobody {
			names = append(names, k.Name)
		}
	}
	scenarios, cores := size(t, len(names))
	begin := time.Now()
	var all trial.Tally
	only := os.Getenv("URSA_ONLY")
	for _, name := range names {
		if only != "" && !slices.Contains(strings.Split(only, ","), string(name)) {
			continue
		}
		var sum trial.Tally
		for n := range scenarios {
			s := draw(t, n, name, false)
			if !s.Setup.Adversary.Holds(s.Setup.F, s.Setup.Class.String() == "vacuum") {
				t.Fatalf("%s breaks what its verdict assumes", s.Name)
			}
			tally := play(t, s, cores)
			if tally.FalseAccepts > 0 || tally.Lost > 0 {
				t.Errorf("seed %d, %s: %d false accepts, %d cores outside their region", seedOf(t), s.Name, tally.FalseAccepts, tally.Lost)
			}
			sum.Merge(tally)
		}
		t.Logf("%-22s %s", name, line(sum))
		all.Merge(sum)
	}
	t.Logf("%-22s %s, %d proofs, %v", "all", line(all), all.Proofs, time.Since(begin).Round(time.Second))
	if only == "" && (all.Proven == 0 || all.Detected == 0) {
		t.Error("nobody was proven, or nobody detected: the test showed nothing")
	}
}

// Where an assumption is broken false accepts do occur, with each adversary that breaks one.
func TestBrokenAssumptions(t *testing.T) {
	var names []adversary.Name
	for _, k := range adversary.Library() {
		if k.Breaks != "" && k.Name != adversary.RelayNear {
			names = append(names, k.Name)
		}
	}
	scenarios, cores := size(t, len(names))
	for _, name := range names {
		var sum trial.Tally
		for n := range 8 * scenarios {
			if sum.FalseAccepts > 0 && os.Getenv("URSA_CORES") == "" || n >= scenarios && sum.FalseAccepts > 0 {
				break // it has shown that it can
			}
			s := draw(t, n, name, true)
			if s.Setup.Adversary.Holds(s.Setup.F, s.Setup.Class.String() == "vacuum") {
				t.Fatalf("%s breaks nothing", s.Name)
			}
			sum.Merge(play(t, s, 2*cores))
		}
		t.Logf("%-22s %s", name, line(sum))
		if sum.FalseAccepts == 0 {
			t.Errorf("%s: no false accept among %d cheats with seed %d; the count may be blind", name, sum.Cheats, seedOf(t))
		}
	}
}

func draw(t testing.TB, n uint64, name adversary.Name, beyond bool) trial.Scenario {
	t.Helper()
	s, err := trial.Draw(seedOf(t), n, name, beyond)
	if err != nil {
		t.Fatalf("seed %d, scenario %d of %s: %v", seedOf(t), n, name, err)
	}
	return s
}

func play(t testing.TB, s trial.Scenario, cores uint64) trial.Tally {
	t.Helper()
	tally, err := s.Play(t.Context(), cores)
	if err != nil {
		t.Fatalf("seed %d: %v", seedOf(t), err)
	}
	return tally
}

func line(t trial.Tally) string {
	return fmt.Sprintf("%d cores, %d honest, of these proven %d; %d cheats, of these detected %d; false accepts %d, outside their region %d",
		t.Honest+t.Cheats, t.Honest, t.Proven, t.Cheats, t.Detected, t.FalseAccepts, t.Lost)
}
