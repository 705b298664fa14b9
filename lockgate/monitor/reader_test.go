package monitor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// turning is a source that turns to another ledger, and may fail.
type turning struct {
	monitor.Source
	bundles func(index uint64) error // nil: they can be read
}

func (s *turning) ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error) {
	if s.bundles != nil {
		if err := s.bundles(index); err != nil {
			return nil, err
		}
	}
	return s.Source.ReadEntryBundle(ctx, index, partial)
}

func open(t *testing.T, dir string) monitor.Source {
	t.Helper()
	s, err := monitor.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheProofComesFirst: a reader that goes on asks for a consistency proof, so that a ledger that turned into a longer one
// is told from a ledger whose leaves are broken, and nothing of it is taken in.
func TestTheProofComesFirst(t *testing.T) {
	t.Parallel()
	k, err := ledger.NewKey("monitor.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	s := &turning{Source: open(t, grown(t, k, 300, "a"))}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: s, Verifier: k.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	if entries, f, err := r.Next(t.Context()); err != nil || len(f) != 0 || len(entries) != 300 {
		t.Fatal(len(entries), f, err)
	}
	kept := r.Newest()
	for _, n := range []int{700, 300} { // longer, and as long
		s.Source = open(t, grown(t, k, n, "b"))
		s.bundles = func(uint64) error { t.Error("leaves were read before the proof"); return nil }
		entries, f, err := r.Next(t.Context())
		if err != nil || len(entries) != 0 || !slices.Equal(kinds(f), []monitor.Kind{monitor.Forked}) || !slices.Equal(f[0].Notes[:1], []string{string(kept.Raw)}) {
			t.Errorf("%d other leaves: %d entries, %v, %v", n, len(entries), kinds(f), err)
		}
	}
	// The true one, longer: what was read stands, and is gone on from.
	s.Source, s.bundles = open(t, grown(t, k, 700, "a")), nil
	entries, f, err := r.Next(t.Context())
	if err != nil || len(f) != 0 || len(entries) != 400 || entries[0].Index != 300 {
		t.Error(len(entries), f, err)
	}
	if r.Newest().Size != kept.Size {
		t.Error("a ledger that lied is remembered as the truth")
	}
}

// TestTroubleLosesNothing: leaves that could be read before the reading failed are handed out when it succeeds.
func TestTroubleLosesNothing(t *testing.T) {
	t.Parallel()
	k, err := ledger.NewKey("monitor.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken off")
	s := &turning{Source: open(t, grown(t, k, 600, "a")), bundles: func(i uint64) error {
		if i == 2 {
			return broken
		}
		return nil
	}}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: s, Verifier: k.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(t.Context()); err == nil {
		t.Fatal("read what cannot be read")
	}
	s.bundles = nil
	if entries, f, err := r.Next(t.Context()); err != nil || len(f) != 0 || len(entries) != 600 {
		t.Error(len(entries), f, err)
	}
}

// texts is a source of leaves.
type texts [][]byte

func (s texts) Size(context.Context) (uint64, error) { return uint64(len(s)), nil }
func (s texts) Data(_ context.Context, from, to uint64) ([][]byte, error) {
	return s[from:to], nil
}

// grown is the folder of a log with so many leaves, which begin with a word.
func grown(t testing.TB, k *ledger.Key, n int, word string) string {
	t.Helper()
	var s texts
	for i := range n {
		s = append(s, []byte{word[0], byte(i), byte(i >> 8)})
	}
	dir := t.TempDir()
	l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Await(ctx, uint64(n-1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}
