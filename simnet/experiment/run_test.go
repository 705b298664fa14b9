package experiment_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = `
name: small
about: A small experiment for tests
world: {builtin: public}
constellation: {count: 4}
cores: {count: 600}
policy: {permit: DE}
seeds: [7, 8]
sweep:
  policy.f: [0, 1]
  access_delay: [0ms, 2ms]
`

func parse(t testing.TB, text string) *file.Experiment {
	t.Helper()
	e, err := file.Parse("small.yaml", []byte(text), file.Options{ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dice is a bench whose trials are drawn from the seed, the settings and the core's number.
type dice struct{ s file.Settings }

func (d dice) Chunk(_ context.Context, w result.Work) (result.Chunk, error) {
	var tally result.Tally
	var c result.Chunk
	for core := w.From; core < w.To; core++ {
		rnd := rand.New(rand.NewPCG(d.s.Seed<<8+uint64(d.s.Policy.F), uint64(core)+uint64(d.s.AccessDelay)))
		x := result.Trial{Entitled: rnd.IntN(3) > 0, Judged: rnd.IntN(20) > 0, Kind: verdict.Kind(rnd.IntN(4)), RegionKM2: rnd.ExpFloat64() * 1e5, HasRegion: true}
		if !x.Entitled && x.Kind == verdict.Inside {
			x.Kind = verdict.Undetermined
		}
		tally.Add(x)
		c.Spots = append(c.Spots, result.Spot{Lat4: int32(core), Lon4: -int32(core), State: result.State(rnd.IntN(3))})
	}
	c.Series = []result.Series{{Tally: tally}}
	return c, nil
}

func roll(_ context.Context, s file.Settings) (experiment.Bench, error) { return dice{s}, nil }

func runAll(t testing.TB, e *file.Experiment, o experiment.Options) []byte {
	t.Helper()
	o.Bench, o.Build = roll, "test"
	if _, err := experiment.Run(t.Context(), e, o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(o.Dir, experiment.JournalName(o.Shard, o.Of)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSameBytesOnAnyNumberOfProcessors: workers and processors change nothing.
func TestSameBytesOnAnyNumberOfProcessors(t *testing.T) {
	e := parse(t, small)
	want := runAll(t, e, experiment.Options{Dir: t.TempDir(), Workers: 1})
	for _, procs := range []int{1, 2, 8} {
		before := runtime.GOMAXPROCS(procs)
		got := runAll(t, e, experiment.Options{Dir: t.TempDir()})
		runtime.GOMAXPROCS(before)
		if !bytes.Equal(got, want) {
			t.Errorf("%d processors: another journal", procs)
		}
	}
}

// TestResumeAfterAnyCut: whatever byte a kill leaves last, the next run ends with the bytes of an unbroken one, and does not do again
// what was done.
func TestResumeAfterAnyCut(t *testing.T) {
	e := parse(t, strings.Replace(small, "access_delay: [0ms, 2ms]", "access_delay: [0ms]", 1))
	dir := t.TempDir()
	want := runAll(t, e, experiment.Options{Dir: dir})
	path := filepath.Join(dir, experiment.JournalName(0, 1))
	stride := 8
	if testing.Short() {
		stride = 1
	}
	for cut := 0; cut <= len(want); cut += 1 + cut/stride { // package result cuts at every byte; here the whole run goes on
		if err := os.WriteFile(path, want[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		var first experiment.Progress
		o := experiment.Options{Dir: dir, Workers: 2, Progress: func(p experiment.Progress) {
			if first.Total == 0 {
				first = p
			}
		}}
		if got := runAll(t, e, o); !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: another journal", cut)
		}
		if whole := bytes.Count(want[:cut], []byte("\n")) - 1; first.Total > 0 && whole > 0 && first.Resumed == 0 {
			t.Fatalf("cut at %d: %d finished chunks were done again", cut, whole)
		}
	}
}

// TestShardsMergeToTheSame: any number of shards, in any order, give the set of an unsharded run.
func TestShardsMergeToTheSame(t *testing.T) {
	e := parse(t, small)
	decode := func(text []byte) *result.Journal {
		j, err := result.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	whole, err := result.Merge(decode(runAll(t, e, experiment.Options{Dir: t.TempDir()})))
	if err != nil {
		t.Fatal(err)
	}
	want := files(t, whole)
	for _, of := range []int{2, 3, 7} {
		dir := t.TempDir()
		var journals []*result.Journal
		for shard := of - 1; shard >= 0; shard-- {
			journals = append(journals, decode(runAll(t, e, experiment.Options{Dir: dir, Shard: shard, Of: of})))
		}
		if _, err := result.Merge(journals[1:]...); !errors.Is(err, result.ErrShards) {
			t.Errorf("%d shards without the last: %v", of, err)
		}
		set, err := result.Merge(append(journals, journals[0])...)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range files(t, set) {
			if !bytes.Equal(data, want[name]) {
				t.Errorf("%d shards: another %s", of, name)
			}
		}
	}
}

// TestAKillKeepsWhatIsDone: a context that ends in the middle leaves a journal to go on from.
func TestAKillKeepsWhatIsDone(t *testing.T) {
	e, dir := parse(t, small), t.TempDir()
	ctx, kill := context.WithCancel(t.Context())
	var done atomic.Int32
	some := func(_ context.Context, s file.Settings) (experiment.Bench, error) { return slow{dice{s}}, nil }
	_, err := experiment.Run(ctx, e, experiment.Options{Dir: dir, Bench: some, Build: "test", Progress: func(experiment.Progress) {
		if done.Add(1) == 3 {
			kill()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if got, want := runAll(t, e, experiment.Options{Dir: dir}), runAll(t, e, experiment.Options{Dir: t.TempDir()}); !bytes.Equal(got, want) {
		t.Error("another journal after the kill")
	}
}

// slow finishes the first three chunks, and no other before it is told to end.
type slow struct{ dice }

func (s slow) Chunk(ctx context.Context, w result.Work) (result.Chunk, error) {
	if w.Chunk >= 3 {
		<-ctx.Done()
		return result.Chunk{}, ctx.Err()
	}
	return s.dice.Chunk(ctx, w)
}

var errBroken = errors.New("broken")

// TestAFailureNamesItsSeed: the first failing point is reported, whichever worker was quicker, with what is needed to see it again.
func TestAFailureNamesItsSeed(t *testing.T) {
	e := parse(t, small)
	for range 5 {
		_, err := experiment.Run(t.Context(), e, experiment.Options{Dir: t.TempDir(), Build: "test", Workers: 4, Bench: func(_ context.Context, s file.Settings) (experiment.Bench, error) {
			if s.Policy.F == 1 && s.Seed == 8 {
				return broken{}, nil
			}
			return dice{s}, nil
		}})
		var at *experiment.PointError
		if !errors.Is(err, errBroken) || !errors.As(err, &at) || at.Point != 5 || at.Seed != 8 || !strings.Contains(err.Error(), "--point 5 --core 17") {
			t.Fatalf("%v", err)
		}
	}
}

type broken struct{}

func (broken) Chunk(context.Context, result.Work) (result.Chunk, error) {
	return result.Chunk{}, &experiment.TrialError{Core: 17, Err: errBroken}
}

// TestOtherRunsAreRefused: a journal is continued by the experiment, shard and build that began it.
func TestOtherRunsAreRefused(t *testing.T) {
	e, dir := parse(t, small), t.TempDir()
	runAll(t, e, experiment.Options{Dir: dir})
	other := parse(t, strings.Replace(small, "permit: DE", "permit: FR", 1))
	if _, err := experiment.Run(t.Context(), e, experiment.Options{Dir: dir, Bench: roll, Build: "later"}); !errors.Is(err, result.ErrOther) {
		t.Errorf("another build: %v", err)
	}
	if _, err := experiment.Run(t.Context(), other, experiment.Options{Dir: dir, Bench: roll, Build: "test"}); !errors.Is(err, result.ErrOther) {
		t.Errorf("another experiment: %v", err)
	}
}

func files(t testing.TB, s *result.Set) map[string][]byte {
	t.Helper()
	out, err := experiment.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
