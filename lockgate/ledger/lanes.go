package ledger

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
)

// The library gathers leaves in a queue which it empties when it is full or
// when its oldest leaf has waited long enough. A batch that the clock cuts in
// two is two writes: on a busy machine the second may overtake the first, and
// on a full disk the first may fail and the second succeed. Either puts leaves
// at other places than the source has them, and a log cannot take them back.
//
// So no clock cuts here. For each power of two there is one queue that is full
// at exactly that many leaves; leaves are handed over in such portions, and the
// next one only after the last has been answered. Each portion is one write.

const (
	laneCount = 9                          // 1, 2, 4 ... 256 leaves; 256 fill one entry bundle
	never     = 100 * 365 * 24 * time.Hour // no clock of the library's is to run out
)

// lanes are the queues, by the exponent of their size.
type lanes struct {
	add  [laneCount]tessera.AddFn
	lock string // the file that the library locks while it writes
}

// widest is how many of n leaves, n at least 1, the next portion takes.
func widest(n uint64) uint64 {
	return 1 << min(bits.Len64(n)-1, laneCount-1)
}

// openLanes opens the library. A tree that is made anew is published at once,
// empty: when the notary forbids that, because another one was published here
// before, or the witnesses do not answer, the tree is there all the same and the
// second attempt finds it.
func (l *Log) openLanes(ctx context.Context) (err error) {
	for range 2 {
		var run context.Context
		run, l.stop = context.WithCancel(context.WithoutCancel(ctx))
		if err = l.tryLanes(run); err == nil {
			return nil
		}
		l.stop()
	}
	return err
}

// tryLanes makes the queues. That of single leaves is the only one that publishes
// checkpoints and collects garbage.
func (l *Log) tryLanes(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil { // so the library says that it cannot lock its file
			err = fmt.Errorf("ledger: %v", r)
		}
	}()
	driver, err := posix.New(ctx, posix.Config{Path: l.cfg.Dir})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	signers, err := l.cfg.Key.signers()
	if err != nil {
		return err
	}
	options := func(i int, may func(uint64, [32]byte) error) *tessera.AppendOptions {
		return tessera.NewAppendOptions().WithCheckpointSigner(notary{signers[0], may}, signers[1:]...).WithBatching(1<<i, never)
	}
	publisher := l.cfg.Witnesses.with(options(0, l.maySign).WithCheckpointInterval(l.cfg.Interval).WithCheckpointRepublishInterval(time.Hour))
	first, _, reader, err := tessera.NewAppender(ctx, driver, publisher)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.reader, l.lanes = reader, lanes{lock: filepath.Join(l.cfg.Dir, ".state", "treeState.lock")}
	l.lanes.add[0] = first.Add
	for i := 1; i < laneCount; i++ {
		silent := options(i, refuse).WithCheckpointInterval(never).WithCheckpointRepublishInterval(0).WithGarbageCollectionInterval(0)
		app, _, err := driver.(*posix.Storage).Appender(ctx, silent)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		l.lanes.add[i] = app.Add
	}
	return nil
}

// ready says whether the library could lock its file now: where it cannot, on a
// disk that has become read-only, it ends the process.
func (l lanes) ready() error {
	f, err := os.OpenFile(l.lock, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return f.Close()
}

// hand hands one portion over, as many leaves as widest says, in order.
func (l lanes) hand(ctx context.Context, leaves [][]byte) []tessera.IndexFuture {
	add := l.add[bits.Len(uint(len(leaves)))-1]
	out := make([]tessera.IndexFuture, len(leaves))
	for i, d := range leaves {
		out[i] = add(ctx, tessera.NewEntry(d))
	}
	return out
}
