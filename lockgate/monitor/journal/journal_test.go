package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/lockgate/monitor/journal"
	"github.com/ursa-virtual/ursa/lockgate/monitor/journal/journaltest"
)

func open(f journal.File) (j *journal.Journal, records []string, lost bool, err error) {
	j, lost, err = journal.Open(f, func(r []byte) error { records = append(records, string(r)); return nil })
	return j, records, lost, err
}

// TestWhateverHappensToTheFile: cut at any byte, or with any bit flipped, it gives the records before, and goes on after them.
func TestWhateverHappensToTheFile(t *testing.T) {
	t.Parallel()
	f := &journaltest.Memory{}
	j, _, _, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var ends []int64
	for i := range 5 {
		want = append(want, string(bytes.Repeat([]byte{byte(i)}, 7*i)))
		if err := j.Append([]byte(want[i])); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.Size())
	}
	whole := f.Bytes()
	check := func(what string, b []byte, n int, torn bool) {
		t.Helper()
		f := &journaltest.Memory{Data: slices.Clone(b)}
		j, got, lost, err := open(f)
		if err != nil || lost != torn || !slices.Equal(got, want[:n]) {
			t.Fatalf("%s: %d records of %d, lost %v, %v", what, len(got), n, lost, err)
		}
		if err := j.Append([]byte("after")); err != nil {
			t.Fatal(err)
		}
		if _, got, lost, err := open(f); err != nil || lost || !slices.Equal(got, append(slices.Clone(want[:n]), "after")) {
			t.Fatalf("%s, gone on: %q, lost %v, %v", what, got, lost, err)
		}
	}
	before := func(at int64) int { n, _ := slices.BinarySearch(ends, at+1); return n } // records that end at or before it
	for cut := range len(whole) + 1 {
		n := before(int64(cut))
		check(fmt.Sprintf("cut at %d", cut), whole[:cut], n, n == 0 && cut > 0 && cut != 16 || n > 0 && int64(cut) != ends[n-1])
	}
	for bit := range 8 * len(whole) {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprintf("bit %d flipped", bit), b, before(int64(bit/8)), true)
	}
}

// TestWritesThatFail: applied or not, whole or in part, a write that failed is made up for, or cut off by the next process.
func TestWritesThatFail(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := &journaltest.Memory{}
		j, _, _, err := open(f)
		if err != nil {
			t.Fatal(err)
		}
		var appended []string
		saved := 0 // that the journal said to be on the disk
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			f.Fail(rapid.SampledFrom([]journaltest.Fault{journaltest.None, journaltest.None, journaltest.NotApplied, journaltest.Torn, journaltest.Applied}).Draw(t, "fault"),
				rapid.IntRange(0, 60).Draw(t, "torn at"))
			r := rapid.StringN(0, 30, 60).Draw(t, "record")
			appended = append(appended, r)
			err := j.Append([]byte(r))
			if f.Clear(); err == nil {
				saved = len(appended)
			}
			if rapid.IntRange(0, 4).Draw(t, "killed") > 0 {
				continue
			}
			var got []string
			if j, got, _, err = open(f); err != nil {
				t.Fatal(err)
			}
			if len(got) < saved || len(got) > len(appended) || !slices.Equal(got, appended[:len(got)]) {
				t.Fatalf("%d records came back, of %d that were saved and %d in all", len(got), saved, len(appended))
			}
			appended, saved = got, len(got)
		}
	})
}

// TestForeign: a file of somebody else is not touched.
func TestForeign(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", `{"origin": "monitor.test/gate"}`, "\x00\x00\x00\x00\x00\x00\x00\x01x"} {
		f := &journaltest.Memory{Data: []byte(text)}
		if _, _, _, err := open(f); !errors.Is(err, journal.ErrForeign) || string(f.Data) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kept")
	f, err := journal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.OpenFile(path); !errors.Is(err, journal.ErrInUse) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = journal.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	stop := errors.New("stop")
	j, _, err := journal.Open(f, nil)
	if err != nil || j.Append([]byte("x")) != nil {
		t.Fatal(err)
	}
	if j, _, err = journal.Open(f, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := j.Reset(); err != nil || j.Append([]byte("y")) != nil {
		t.Fatal(err)
	}
	if _, got, lost, err := open(f); err != nil || lost || !slices.Equal(got, []string{"y"}) {
		t.Error(got, lost, err)
	}
}

// FuzzOpen: any bytes are a file, and what was given back can be gone on from.
func FuzzOpen(f *testing.F) {
	m := &journaltest.Memory{}
	if j, _, err := journal.Open(m, nil); err != nil || j.Append([]byte("record")) != nil {
		f.Fatal(err)
	}
	f.Add(m.Bytes())
	f.Add(append([]byte("ursa journal 1\n\n"), 0, 0, 0, 0, 0, 0, 0, 1))
	f.Add(append([]byte("ursa journal 1\n\n"), bytes.Repeat([]byte{0xff}, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &journaltest.Memory{Data: slices.Clone(b)}
		j, got, _, err := open(m)
		if errors.Is(err, journal.ErrForeign) && bytes.Equal(m.Data, b) {
			return
		}
		if err != nil || j.Append([]byte("more")) != nil {
			t.Fatal(err)
		}
		if _, again, lost, err := open(m); err != nil || lost || !slices.Equal(again, append(got, "more")) {
			t.Fatal(again, lost, err)
		}
	})
}
