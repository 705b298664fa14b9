package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSimStory plays a story that holds and one that does not, and wants the statuses of the contract.
func TestSimStory(t *testing.T) { virtual(t, simStory) }

func simStory(t *testing.T) {
	const relay = "../../simnet/testdata/relay.txt"
	status, out, errOut := ursa(t, "sim", "story", relay)
	if status != exitDone || errOut != "" || !strings.Contains(out, "0 failed") {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	text, err := os.ReadFile(relay)
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.txt")
	if err := os.WriteFile(wrong, []byte(strings.Replace(string(text), "denied by verdict", "granted", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errOut = ursa(t, "sim", "story", "--json", "--seed", "9", wrong)
	var got storyJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if status != exitDenied || got.Failed != 1 || got.Seed != 9 || got.Held != 3 || strings.Count(errOut, "\n") != 1 {
		t.Errorf("status %d, %+v: %s", status, got, errOut)
	}
}

func TestSimStoryMistakes(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.txt")
	if err := os.WriteFile(wrong, []byte("# nothing\nsing aloud\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"sim", "story"}, exitUsage, "FILE"},
		{[]string{"sim", "story", "none.txt"}, exitFailed, "no such file"},
		{[]string{"sim", "story", wrong}, exitFailed, "wrong.txt:2: unknown word"},
	} {
		status, out, errOut := ursa(t, c.args...)
		if status != c.status || out != "" || !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%v: status %d, %q%q", c.args, status, out, errOut)
		}
	}
}
