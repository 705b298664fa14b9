package story_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/simnet/story"
)

// virtualVariable makes this test binary play a story as a program that is no test would.
const virtualVariable = "URSA_STORY_VIRTUALLY"

func TestMain(m *testing.M) {
	file := os.Getenv(virtualVariable)
	if file == "" {
		goleak.VerifyTestMain(m)
		return
	}
	story.Virtually(func() int {
		text, err := os.ReadFile(file)
		if err != nil {
			return 10
		}
		s, err := story.Parse(file, text)
		if err != nil {
			return 11
		}
		report, err := story.Run(context.Background(), s, os.Stdout)
		if err != nil || report.Elapsed < 30*time.Minute {
			return 12
		}
		return report.Failed
	})
}

// TestVirtualTimeWithoutGoTest plays half an hour in a process of its own, which ends with the status it was told.
func TestVirtualTimeWithoutGoTest(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-no-flag-of-a-test")
	cmd.Env = append(os.Environ(), virtualVariable+"=../testdata/moved-core.txt")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "ok") != 4 || strings.Contains(string(out), "PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestStories plays every story of simnet/testdata in virtual time.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			play(t, file, 0)
		})
	}
}

// TestStoriesUnderOtherSeeds plays every story with as many other seeds as URSA_SEEDS says: what is expected is about no draw.
func TestStoriesUnderOtherSeeds(t *testing.T) {
	n, err := strconv.ParseUint(os.Getenv("URSA_SEEDS"), 10, 32)
	if err != nil {
		t.Skip("set URSA_SEEDS to a number of seeds")
	}
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range n {
		for _, file := range files {
			t.Run(fmt.Sprintf("%s seed %d", filepath.Base(file), seed+2), func(t *testing.T) {
				t.Parallel()
				play(t, file, seed+2)
			})
		}
	}
}

// play plays a story in virtual time, with its own seed or with another.
func play(t *testing.T, file string, seed uint64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := story.Parse(filepath.Base(file), text)
	if err != nil {
		t.Fatal(err)
	}
	if seed != 0 {
		s.Seed = seed
	}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		report, err := story.Run(t.Context(), s, &out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if report.Failed > 0 || report.Held == 0 {
			t.Errorf("seed %d:\n%s", s.Seed, out.String())
		} else {
			t.Logf("%v of virtual time\n%s", report.Elapsed, out.String())
		}
	})
}
