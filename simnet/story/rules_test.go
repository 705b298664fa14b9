package story_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ursa-virtual/ursa/simnet/story"
)

// TestUnexpectedFalseAcceptFails takes the expectation of the false accept out of stories that have one: they must fail by themselves.
func TestUnexpectedFalseAcceptFails(t *testing.T) {
	for _, file := range []string{"colluders-too-many.txt", "stolen-key-too-many.txt", "faster-link-fibre.txt"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			silenced := strings.Replace(string(text), "expect mallory false-accept\n", "", 1)
			if silenced == string(text) {
				t.Fatal("the story does not expect a false accept")
			}
			s, err := story.Parse(file, []byte(silenced))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				report, err := story.Run(t.Context(), s, &out)
				if err != nil || report.Failed != 1 || report.FalseAccepts != 1 || !strings.Contains(out.String(), "FAILED no false accept of mallory") {
					t.Errorf("%v, %+v\n%s", err, report, out.String())
				}
			})
		})
	}
}

// TestWordsAreDocumented holds the table of words to what the document says of it.
func TestWordsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/STORIES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range story.Words() {
		if !strings.Contains(string(doc), "| `"+w+" ") {
			t.Errorf("docs/STORIES.md does not explain %q", w)
		}
	}
	for _, p := range story.Powers() {
		if !strings.Contains(string(doc), "| `"+p+" ") {
			t.Errorf("docs/STORIES.md does not explain the adversary %q", p)
		}
	}
}
