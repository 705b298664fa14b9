package story_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/simnet/story"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStories plays every story of simnet/testdata in virtual time.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			play(t, file)
		})
	}
}

func play(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := story.Parse(filepath.Base(file), text)
	if err != nil {
		t.Fatal(err)
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
