package ledger

import (
	"context"
	"fmt"
	"math/bits"
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
type lanes [laneCount]tessera.AddFn

// widest is how many of n leaves, n at least 1, the next portion takes.
func widest(n uint64) uint64 {
	return 1 << min(bits.Len64(n)-1, laneCount-1)
}

// openLanes opens the log in cfg.Dir. The queue of single leaves is the only
// one that publishes checkpoints and collects garbage.
func openLanes(ctx context.Context, cfg LogConfig) (lanes, tessera.LogReader, error) {
	driver, err := posix.New(ctx, posix.Config{Path: cfg.Dir})
	if err != nil {
		return lanes{}, nil, fmt.Errorf("ledger: %w", err)
	}
	signers, err := cfg.Key.signers()
	if err != nil {
		return lanes{}, nil, err
	}
	options := func(i int) *tessera.AppendOptions {
		return tessera.NewAppendOptions().WithCheckpointSigner(signers[0], signers[1:]...).WithBatching(1<<i, never)
	}
	publisher := cfg.Witnesses.with(options(0).WithCheckpointInterval(cfg.Interval).WithCheckpointRepublishInterval(time.Hour))
	first, _, reader, err := tessera.NewAppender(ctx, driver, publisher)
	if err != nil {
		return lanes{}, nil, fmt.Errorf("ledger: %w", err)
	}
	out := lanes{first.Add}
	for i := 1; i < laneCount; i++ {
		silent := options(i).WithCheckpointInterval(never).WithCheckpointRepublishInterval(0).WithGarbageCollectionInterval(0)
		app, _, err := driver.(*posix.Storage).Appender(ctx, silent)
		if err != nil {
			return lanes{}, nil, fmt.Errorf("ledger: %w", err)
		}
		out[i] = app.Add
	}
	return out, reader, nil
}

// add hands one portion over, as many leaves as widest says, in order.
func (l lanes) add(ctx context.Context, leaves [][]byte) []tessera.IndexFuture {
	add := l[bits.Len(uint(len(leaves)))-1]
	out := make([]tessera.IndexFuture, len(leaves))
	for i, d := range leaves {
		out[i] = add(ctx, tessera.NewEntry(d))
	}
	return out
}
