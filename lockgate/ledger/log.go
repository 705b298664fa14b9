package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"k8s.io/klog/v2"
)

// Source is where leaves come from: the store, which has made them durable
// together with what they stand for. The log follows it, leaf for leaf.
type Source interface {
	Size(ctx context.Context) (uint64, error)
	Data(ctx context.Context, from, to uint64) ([][]byte, error)
}

// LogConfig of a log.
type LogConfig struct {
	Dir      string        // of tiles and checkpoints; made when it is not there
	Key      *Key          // signs checkpoints
	Source   Source        // of the leaves
	Interval time.Duration // between checkpoints; 0: 100 ms, which is the least

	// Witnesses, when set, have to cosign a checkpoint before it is published.
	Witnesses *Witnesses

	sync func(folder string) error // nil: the system's; for tests
}

// Refusals and failures of a log.
var (
	ErrLogConfig  = errors.New("ledger: directory, key and source must be set")
	ErrRolledBack = errors.New("ledger: the store is older than the ledger; halt and investigate")
	ErrDiverged   = errors.New("ledger: the store holds other leaves than the ledger; halt and investigate")
	ErrInclusion  = errors.New("ledger: the leaf is not in the log")
	ErrLogClosed  = errors.New("ledger: closed")
	ErrUnanswered = errors.New("ledger: the disk has not taken the last batch of leaves; end this process before the log is opened again")
)

// Log is a tiled transparency log (C2SP tlog-tiles) in a directory, kept by
// Tessera. One goroutine carries leaves from the source into it.
type Log struct {
	cfg    LogConfig
	lanes  lanes
	reader tessera.LogReader
	end    context.CancelFunc // of following
	stop   context.CancelFunc // of the library, afterwards: it never answers what it was asked before
	kick   chan struct{}
	done   chan struct{}
	adding sync.WaitGroup // batches that the library has not answered yet

	// Of the goroutine that carries leaves over.
	tree   *compact.Range // over the source's leaves, by this package's own count
	unsure bool           // what the log's folders say may not be durable

	mu     sync.Mutex // guards what follows
	size   uint64     // of the newest published checkpoint
	floor  uint64     // of the newest that was ever seen, with enough witnesses or without
	held   uint64     // leaves that are durable in the log
	heads  []head     // the newest trees that were held
	signed uint64     // size of the newest tree that the library has a signature for
	closed bool       // it gets no more
	failed error      // the log does not follow the source any more
	wait   chan struct{}
}

// quiet silences the library's own log: what goes wrong comes back as errors.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// OpenLog opens or makes a log, compares it with the source, and begins to
// follow it. A source that has fewer leaves than the log, or others, is refused:
// it is older than the ledger, or somebody has rewritten it.
func OpenLog(ctx context.Context, cfg LogConfig) (*Log, error) {
	if cfg.Dir == "" || cfg.Key == nil || cfg.Source == nil {
		return nil, ErrLogConfig
	}
	if cfg.Interval < 100*time.Millisecond {
		cfg.Interval = 100 * time.Millisecond
	}
	if cfg.sync == nil {
		cfg.sync = syncFolder
	}
	quiet()
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l := &Log{cfg: cfg, kick: make(chan struct{}, 1), done: make(chan struct{}), wait: make(chan struct{}), unsure: true,
		tree: (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)}
	size, err := l.compare(ctx) // before anything is written
	if err != nil {
		return nil, err
	}
	if err := l.openLanes(ctx); err != nil {
		return nil, err
	}
	have, err := l.reader.IntegratedSize(ctx)
	switch {
	case err != nil:
		l.stop()
		return nil, fmt.Errorf("ledger: %w", err)
	case have > size:
		l.stop()
		return nil, fmt.Errorf("%w: %d leaves, the ledger has %d", ErrRolledBack, size, have)
	}
	following, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	go l.run(following)
	return l, nil
}

// compare checks that the source has grown out of what the log has published. It
// returns the source's size.
func (l *Log) compare(ctx context.Context) (size uint64, err error) {
	if size, err = l.cfg.Source.Size(ctx); err != nil {
		return 0, err
	}
	raw, err := os.ReadFile(filepath.Join(l.cfg.Dir, layout.CheckpointPath))
	if errors.Is(err, os.ErrNotExist) {
		return size, l.hold(0) // nothing was published yet
	}
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	cp, err := l.cfg.Key.verifier.Open(raw)
	if err != nil {
		return 0, err
	}
	if cp.Size > size {
		return 0, fmt.Errorf("%w: %d leaves, the ledger has published %d", ErrRolledBack, size, cp.Size)
	}
	if err := l.growTo(ctx, cp.Size); err != nil {
		return 0, err
	}
	root, err := l.root()
	if err != nil {
		return 0, err
	}
	if root != cp.Root {
		return 0, fmt.Errorf("%w: at %d leaves", ErrDiverged, cp.Size)
	}
	l.floor = cp.Size
	if l.cfg.Witnesses.Satisfied(raw) {
		l.size = cp.Size
	}
	return size, nil
}

// Kick says that the source has new leaves; without it they are found within
// the interval.
func (l *Log) Kick() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// run carries leaves over and watches for checkpoints until the log is closed.
func (l *Log) run(ctx context.Context) {
	defer close(l.done)
	t := time.NewTicker(l.cfg.Interval / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		case <-t.C:
		}
		if ctx.Err() != nil {
			return // a portion may be under way still: handed over again, it would be there twice
		}
		err := l.follow(ctx)
		if errors.Is(err, ErrDiverged) || errors.Is(err, ErrRolledBack) {
			l.fail(err)
		}
		if l.halted() {
			return
		}
		// Any other failure (a full disk) is tried again with the next tick;
		// nobody is told that a leaf is published before it is.
		l.publish(ctx)
	}
}

// follow appends what the source has and the log has not, in the same order
// and at the same indices.
func (l *Log) follow(ctx context.Context) error {
	next, err := l.reader.NextIndex(ctx)
	if err != nil {
		return err
	}
	size, err := l.cfg.Source.Size(ctx)
	if err != nil {
		return err
	}
	if next > size {
		return fmt.Errorf("%w: %d leaves, the ledger has %d", ErrRolledBack, size, next)
	}
	if err := l.growTo(ctx, next); err != nil {
		return err
	}
	for next < size {
		to := next + widest(size-next)
		data, err := l.cfg.Source.Data(ctx, next, to)
		if err != nil {
			return err
		}
		if err := l.portion(ctx, next, data); err != nil {
			return err
		}
		next = to
	}
	if l.unsure {
		if err := l.sure(); err != nil {
			return err
		}
		l.unsure = false
	}
	return l.hold(next)
}

// portion carries one portion of leaves over.
func (l *Log) portion(ctx context.Context, first uint64, data [][]byte) error {
	err := l.lanes.ready()
	if err == nil {
		err = l.settle(ctx, first, l.lanes.hand(ctx, data))
	}
	if err != nil {
		l.unsure = true // some of it may be there
		return err
	}
	if err := l.grow(first, data); err != nil || l.unsure {
		return err
	}
	return l.hold(first + uint64(len(data)))
}

// wake lets those who wait look again. The caller holds mu.
func (l *Log) wake() {
	close(l.wait)
	l.wait = make(chan struct{})
}

// settle waits until a batch is in, each leaf at its index, or the context ends.
func (l *Log) settle(ctx context.Context, first uint64, futures []tessera.IndexFuture) error {
	in := make(chan error, 1)
	l.adding.Go(func() {
		for i, f := range futures {
			got, err := f()
			if err == nil && got.Index != first+uint64(i) {
				err = fmt.Errorf("%w: leaf %d became %d; two writers?", ErrDiverged, first+uint64(i), got.Index)
			}
			if err != nil {
				in <- err
				return
			}
		}
		in <- nil
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-in:
		return err
	}
}

// publish wakes those who wait for a checkpoint.
func (l *Log) publish(ctx context.Context) {
	cp, err := l.Checkpoint(ctx)
	if err != nil || !l.cfg.Witnesses.Satisfied(cp.Raw) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if cp.Size > l.size {
		l.size, l.floor = cp.Size, max(l.floor, cp.Size)
		l.wake()
	}
}

// halted says whether the log has stopped following for good.
func (l *Log) halted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed != nil
}

func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
	l.wake()
}

// Await returns when the leaf is under a published checkpoint.
func (l *Log) Await(ctx context.Context, index uint64) error {
	return l.until(ctx, index, "published", func() bool { return l.size > index })
}

// Integrated returns when the leaf is durable in the log's tiles; a checkpoint
// shows it later.
func (l *Log) Integrated(ctx context.Context, index uint64) error {
	return l.until(ctx, index, "in the log", func() bool { return l.held > index })
}

// until waits for something that is looked at under mu.
func (l *Log) until(ctx context.Context, index uint64, what string, is func() bool) error {
	l.Kick()
	for {
		l.mu.Lock()
		reached, failed, wait := is(), l.failed, l.wait
		l.mu.Unlock()
		switch {
		case reached:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ledger: leaf %d is not %s yet: %w", index, what, ctx.Err())
		case <-l.done:
			return ErrLogClosed
		case <-wait:
		}
	}
}

// Checkpoint is the newest published head, verified. os.ErrNotExist when there
// is none yet.
func (l *Log) Checkpoint(ctx context.Context) (Checkpoint, error) {
	raw, err := l.reader.ReadCheckpoint(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	return l.cfg.Key.verifier.Open(raw)
}

// Inclusion shows that a leaf is under the newest checkpoint.
func (l *Log) Inclusion(ctx context.Context, index uint64) (Inclusion, error) {
	cp, err := l.Checkpoint(ctx)
	if err != nil {
		return Inclusion{}, err
	}
	if index >= cp.Size {
		return Inclusion{}, fmt.Errorf("%w: leaf %d of %d", ErrInclusion, index, cp.Size)
	}
	b, err := client.NewProofBuilder(ctx, cp.Size, l.reader.ReadTile)
	if err != nil {
		return Inclusion{}, fmt.Errorf("ledger: %w", err)
	}
	hashes, err := b.InclusionProof(ctx, index)
	if err != nil {
		return Inclusion{}, fmt.Errorf("ledger: %w", err)
	}
	return Inclusion{Index: index, Hashes: hashes, Checkpoint: cp.Raw}, nil
}

// closing bounds how long Close waits for what the library was asked.
const closing = 5 * time.Second

// Close stops following, and returns when nothing is written any more. What the
// source has by then and the log has not, is carried over when it is opened
// again. ErrUnanswered when the disk is still busy with a batch: the log must not
// be opened again before this process ends.
func (l *Log) Close() error {
	defer l.written()
	defer l.stop()
	l.end()
	<-l.done
	answered := make(chan struct{})
	go func() { l.adding.Wait(); close(answered) }()
	select {
	case <-answered:
		return nil
	case <-time.After(closing):
		return ErrUnanswered
	}
}

// written waits until the library, which publishes in its own time, has written
// the checkpoint that it has a signature for. It writes it at once, or, when a
// disk fails or witnesses do not answer, never.
func (l *Log) written() {
	l.mu.Lock()
	l.closed = true
	signed := l.signed
	l.mu.Unlock()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cp, err := l.Checkpoint(context.Background()); err == nil && cp.Size >= signed {
			return
		}
	}
}

// Dir is a log's directory as its readers know it: checkpoint, tiles and entry
// bundles, without the writer's own state.
func (l *Log) Dir() string { return l.cfg.Dir }

var _ io.Closer = (*Log)(nil)
