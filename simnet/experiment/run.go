package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/ursa-virtual/ursa/simnet/experiment/file"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
)

// PerLine is how many cores make a chunk: the unit of scheduling, of resuming and of sharding.
const PerLine = 250

// Bench runs the trials of one point. Its method may be called from many goroutines; the same work gives the same chunk.
type Bench interface {
	Chunk(ctx context.Context, w result.Work) (result.Chunk, error)
}

// Builder makes the bench of a point: the world, the constellation and the cores that the settings describe.
type Builder func(ctx context.Context, s file.Settings) (Bench, error)

// TrialError is a trial that could not be run. It is a pure function of the seed, so it can be had again.
type TrialError struct {
	Core int
	Err  error
}

func (e *TrialError) Error() string { return fmt.Sprintf("core %d: %v", e.Core, e.Err) }

// Unwrap returns the cause.
func (e *TrialError) Unwrap() error { return e.Err }

// PointError says at which point an experiment failed.
type PointError struct {
	Point int
	Seed  uint64
	Err   error
}

// Error is one line; it names the seed and how to see the failure again.
func (e *PointError) Error() string {
	again := fmt.Sprintf("--point %d", e.Point)
	var trial *TrialError
	if errors.As(e.Err, &trial) {
		again += fmt.Sprintf(" --core %d", trial.Core)
	}
	return fmt.Sprintf("point %d, seed %d: %v; see it again with 'ursa sim run FILE %s'", e.Point, e.Seed, e.Err, again)
}

// Unwrap returns the cause.
func (e *PointError) Unwrap() error { return e.Err }

// Progress is how far a run is, in cores of its shard. Resumed of Done were there before it began.
type Progress struct{ Done, Resumed, Total int64 }

// Options of Run.
type Options struct {
	Dir       string         // of the journal; made when it is missing
	Shard, Of int            // this is shard Shard (from 0) of Of; 0 of 0 means all of it
	Workers   int            // 0 means one for each processor
	Build     string         // of the program
	Bench     Builder        // makes the bench of each point
	Progress  func(Progress) // is told after each chunk, from one goroutine; may be nil
}

// Header returns the header of the journal that a run of the experiment writes.
func Header(e *file.Experiment, o Options) result.Header {
	h := result.Header{Format: 1, Name: e.Name, About: e.About, Hash: e.Hash, Build: o.Build, Expect: string(e.Expect), Shard: o.Shard, Of: max(1, o.Of),
		PerLine: PerLine, Keys: e.Keys, Drawing: result.Drawing{X: e.Chart.X, By: e.Chart.By, Facet: e.Chart.Facet, Share: e.Chart.Share}}
	for _, p := range e.Points {
		head := result.PointHead{Cores: p.Settings.Cores.Count}
		if p.Settings.Measure.Estimate {
			head.Cores = 1 // one evaluation of all hosts, not to be divided
		}
		for _, l := range p.Labels {
			head.Values = append(head.Values, l.Value)
		}
		h.Points = append(h.Points, head)
	}
	return h
}

// JournalName is the name of a shard's journal, which counts shards from 1.
func JournalName(shard, of int) string {
	return fmt.Sprintf("shard-%d-of-%d.journal", shard+1, max(1, of))
}

// Run runs what is left to run of a shard and returns its journal, whole. When the context ends or a trial fails, what is finished stays
// in the journal and the next Run goes on after it.
func Run(ctx context.Context, e *file.Experiment, o Options) (*result.Journal, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, JournalName(o.Shard, o.Of))
	h := Header(e, o)
	w, done, journal, err := result.Open(path, h)
	if err != nil {
		return nil, err
	}
	r := &run{experiment: e, options: o, todo: h.Mine()}
	for _, work := range r.todo {
		r.progress.Total += int64(work.To - work.From)
	}
	for _, work := range r.todo[:len(done.Chunks)] {
		r.progress.Resumed += int64(work.To - work.From)
	}
	r.progress.Done, r.todo = r.progress.Resumed, r.todo[len(done.Chunks):]
	err = r.all(ctx, w.Append)
	if err := errors.Join(err, journal.Sync(), journal.Close()); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return result.Decode(text)
}

// run is the state of one Run.
type run struct {
	experiment *file.Experiment
	options    Options
	todo       []result.Work
	progress   Progress
	benches    benches
}

// finished is the outcome of one piece of work.
type finished struct {
	at    int
	chunk result.Chunk
	err   error
}

// all does the work on several goroutines and hands the chunks on in order.
func (r *run) all(ctx context.Context, hand func(result.Chunk) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	workers := r.options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r.benches.expect(r.todo)
	next, out := make(chan int), make(chan finished)
	go func() {
		defer close(next)
		for i := range r.todo {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	var busy sync.WaitGroup
	for range min(workers, max(1, len(r.todo))) {
		busy.Go(func() {
			for i := range next {
				chunk, err := r.one(ctx, r.todo[i])
				out <- finished{i, chunk, err}
			}
		})
	}
	go func() { busy.Wait(); close(out) }()
	return r.collect(ctx, stop, out, hand)
}

// collect hands chunks on in the order of the work, so that the journal is the same whoever was quicker, and so is the failure that is
// reported. It always reads out until it is closed.
func (r *run) collect(ctx context.Context, stop func(), out <-chan finished, hand func(result.Chunk) error) error {
	waiting := map[int]finished{}
	at := 0
	var failed error
	for f := range out {
		waiting[f.at] = f
		for {
			f, ok := waiting[at]
			if !ok || failed != nil {
				break
			}
			delete(waiting, at)
			if failed = f.err; failed == nil {
				failed = hand(f.chunk)
			}
			if failed != nil {
				stop()
				break
			}
			r.progress.Done += int64(r.todo[at].To - r.todo[at].From)
			if r.options.Progress != nil {
				r.options.Progress(r.progress)
			}
			at++
		}
	}
	if failed == nil && at < len(r.todo) {
		failed = context.Cause(ctx)
	}
	return failed
}

// one runs one chunk.
func (r *run) one(ctx context.Context, w result.Work) (result.Chunk, error) {
	s := r.experiment.Points[w.Point].Settings
	bench, err := r.benches.take(w.Point, func() (Bench, error) { return r.options.Bench(ctx, s) })
	var chunk result.Chunk
	if err == nil {
		chunk, err = bench.Chunk(ctx, w)
	}
	r.benches.give(w.Point)
	if err != nil && ctx.Err() == nil {
		err = &PointError{w.Point, s.Seed, err}
	}
	chunk.Chunk = w.Chunk
	return chunk, err
}

// benches keeps the bench of a point for as long as chunks of it are to come. Its zero value is empty.
type benches struct {
	mu   sync.Mutex
	left map[int]int
	have map[int]*sharedBench
}

type sharedBench struct {
	once  sync.Once
	bench Bench
	err   error
}

// expect counts the chunks of each point.
func (b *benches) expect(todo []result.Work) {
	b.left, b.have = map[int]int{}, map[int]*sharedBench{}
	for _, w := range todo {
		b.left[w.Point]++
	}
}

// take returns a point's bench, which the first to ask makes.
func (b *benches) take(point int, build func() (Bench, error)) (Bench, error) {
	b.mu.Lock()
	s := b.have[point]
	if s == nil {
		s = &sharedBench{}
		b.have[point] = s
	}
	b.mu.Unlock()
	s.once.Do(func() { s.bench, s.err = build() })
	return s.bench, s.err
}

// give says that a chunk is done; the last takes the bench away.
func (b *benches) give(point int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left[point]--; b.left[point] == 0 {
		delete(b.have, point)
	}
}
