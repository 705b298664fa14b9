package story_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/simnet/story"
)

// good is a story that parses; the tests spoil it.
const good = `# A title
place paris Paris
beacon b paris
core c paris
permit FR
prove c
expect c granted
`

// TestErrorsNameTheLine holds every mistake to its line and to what would be right.
func TestErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		says string
	}{
		{"dance", 8, "use one of adversary, beacon"},
		{"place x Atlantis", 8, "before the first prove"},
		{"seed x", 8, "seed 7"},
		{"seed 3", 8, "before the first prove"},
		{"beacon d paris", 8, "before the first prove"},
		{"prove d", 8, `no core is called "d"`},
		{"prove c c", 8, "twice"},
		{"prove", 8, "prove CORE"},
		{"move d paris", 8, "introduce it"},
		{"move c rome", 8, "there are paris"},
		{"wait soon", 8, "such as 30s"},
		{"wait 100h", 8, "20h"},
		{"expect c granted twice", 8, "expect CORE granted"},
		{"expect c denied for nothing at all", 8, "expect CORE granted"},
		{"expect c verdict Perhaps", 8, "Undetermined"},
		{"expect dragons >= 1", 8, "counts are"},
		{"expect held ~ 1", 8, "COUNT >= NUMBER"},
		{"expect held >= many", 8, "whole number"},
		{"adversary bribery c", 8, "colluders"},
		{"adversary poisoned-calibration", 8, "ursa sim run"},
		{"adversary relay", 8, "write adversary relay CORE"},
		{"adversary relay b", 8, `no core is called "b"`},
		{"adversary drop c 2", 8, "up to 1"},
		{"adversary drop c NaN", 8, "up to 1"},
		{"adversary lying-long b -1s", 8, "such as 20ms"},
		{"adversary flooding b 0", 8, "1 to 1000000"},
		{"adversary replay c secrets", 8, "packets or proofs"},
		{"adversary cloned-core c paris d", 8, "before the first prove"},
	} {
		wants(t, good+c.text+"\n", c.line, c.says)
	}
	for _, c := range []struct {
		old, new string
		line     int
		says     string
	}{
		{"place paris Paris", "place paris Pariss", 2, "did you mean"},
		{"place paris Paris", "place paris 91 0", 2, "degrees"},
		{"place paris Paris", "place paris 48.8 2.3 dial-up", 2, "data-centre"},
		{"place paris Paris", "place paris", 2, "CITY"},
		{"beacon b paris", "beacon b rome", 3, "there are paris"},
		{"beacon b paris", "beacon 2 paris", 3, "a letter first"},
		{"beacon b paris", "beacon b paris domain ÄÖ", 3, "lower-case"},
		{"core c paris", "core b paris", 4, "taken"},
		{"core c paris", "core c paris claims", 4, "claims PLACE"},
		{"permit FR", "permit FRR", 5, "permit"},
		{"permit FR", "permit FR\npolicy f", 6, "policy KEY VALUE"},
		{"permit FR", "permit FR\npolicy f -1", 6, "number up to 100"},
		{"permit FR", "permit FR\npolicy speed warp", 6, "vacuum or fibre"},
		{"permit FR", "permit FR\npolicy timing core", 6, "both or beacon"},
		{"permit FR", "permit FR\npolicy age 1ms", 6, "1s to 1h"},
		{"permit FR", "permit FR\npolicy mood good", 6, "keys are"},
		{"permit FR", "permit FR\npermit DE", 6, "permit EXPRESSION"},
		{"permit FR", "permit FR\nplace york New York\nlink paris york 1", 7, "faster than light"},
		{"permit FR", "permit FR\nlink paris paris slow", 6, "milliseconds"},
		{"permit FR", "permit FR\ngate rome", 6, "there are paris"},
		{"permit FR\n", "", 6, "permit EXPRESSION"},
		{"beacon b paris\n", "", 6, "needs a beacon"},
		{"prove c\n", "", 6, "proved nothing yet"},
		{"expect c granted\n", "", 6, "cannot fail"},
		{"prove c\nexpect c granted\n", "", 5, "nothing is proved"},
		{"# A title", "\xff\xfe", 1, "plain text"},
		{"# A title", strings.Repeat("x", 500), 1, "at most"},
		{"# A title", strings.Repeat("\n", 600), 501, "at most"},
	} {
		wants(t, strings.Replace(good, c.old, c.new, 1), c.line, c.says)
	}
	if _, err := story.Parse("good.txt", []byte(good)); err != nil {
		t.Error(err)
	}
}

func wants(t *testing.T, text string, line int, says string) {
	t.Helper()
	_, err := story.Parse("s.txt", []byte(text))
	if !errors.Is(err, story.ErrStory) || !strings.Contains(err.Error(), fmt.Sprintf("s.txt:%d: ", line)) || !strings.Contains(err.Error(), says) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("%v\nwant one line with s.txt:%d and %q", err, line, says)
	}
}

// FuzzParse wants no panic, and a line in every error.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := story.Parse("f", text); err != nil && (!errors.Is(err, story.ErrStory) || !strings.Contains(err.Error(), ": f:")) {
			t.Errorf("an error without its line: %v", err)
		}
	})
}
