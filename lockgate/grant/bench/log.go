package bench

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// leaves is a source in memory.
type leaves struct{ n atomic.Uint64 }

// Size is the number of leaves.
func (l *leaves) Size(context.Context) (uint64, error) { return l.n.Load(), nil }

// Data makes leaves as large as a grant's.
func (l *leaves) Data(_ context.Context, from, to uint64) ([][]byte, error) {
	out := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, binary.BigEndian.AppendUint64(make([]byte, 232), i))
	}
	return out, nil
}

func newLog(ctx context.Context, dir string, src ledger.Source) (*ledger.Log, error) {
	key, err := ledger.NewKey("bench/gate")
	if err != nil {
		return nil, err
	}
	return ledger.OpenLog(ctx, ledger.LogConfig{Dir: dir, Key: key, Source: src})
}

// logBatch is how many leaves come at once, and logBatches how often.
const (
	logBatch   = 256
	logBatches = 20
)

// ledger measures the transparency log: batches of leaves, each until it is
// durable in the log and until a checkpoint shows it, and inclusion proofs.
func (w *work) ledger(ctx context.Context) error {
	w.say("the transparency log")
	src := &leaves{}
	log, err := newLog(ctx, filepath.Join(w.cfg.Dir, "log"), src)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	var appended, published, proofs []time.Duration
	for range logBatches {
		last := src.n.Add(logBatch) - 1
		began := time.Now()
		log.Kick()
		if err := log.Integrated(ctx, last); err != nil {
			return err
		}
		appended = append(appended, time.Since(began))
		if err := log.Await(ctx, last); err != nil {
			return err
		}
		published = append(published, time.Since(began))
		for i := range uint64(8) {
			at := time.Now()
			if _, err := log.Inclusion(ctx, last-i*31); err != nil {
				return err
			}
			proofs = append(proofs, time.Since(at))
		}
	}
	w.r.Ledger = Ledger{Leaves: logBatch, AppendMS: latency(appended), PublishedMS: latency(published), ProofMS: latency(proofs)}
	return nil
}

// lock measures the state machine: a lease with its key, and the key of a later
// step.
func (w *work) lock() error {
	const n, steps = 20_000, 2
	s, err := lock.Boot(lock.Config{ID: [32]byte{1}, Cap: 1 << 40})
	if err != nil {
		return err
	}
	if s, _, err = s.Step(lock.Ask{Entropy: [32]byte{1}}); err != nil {
		return err
	}
	nonce, _ := s.Outstanding()
	first := keys.StepKey(lock.Key{7}, 1, steps)
	feed := lock.Feed{Key: first, Grant: lock.Grant{Nonce: nonce, Units: 1000, Class: lock.Full, PerMille: 1000, Steps: steps, KeyHash: lock.HashKey(nonce, first)}}
	began := processorTime()
	var fed lock.State
	for range n {
		if fed, _, err = s.Step(feed); err != nil {
			return err
		}
	}
	w.r.LockFeedNS = float64(processorTime()-began) / n
	open := lock.Open{Key: keys.StepKey(lock.Key{7}, 2, steps)}
	began = processorTime()
	for range n {
		if _, _, err := fed.Step(open); err != nil {
			return err
		}
	}
	w.r.LockStepNS = float64(processorTime()-began) / n
	return nil
}
