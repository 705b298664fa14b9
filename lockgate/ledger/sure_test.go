package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
)

// counted is a source whose leaves are numbers.
type counted struct{ n atomic.Uint64 }

func (c *counted) Size(context.Context) (uint64, error) { return c.n.Load(), nil }

func (c *counted) Data(_ context.Context, from, to uint64) (out [][]byte, _ error) {
	for i := from; i < to; i++ {
		out = append(out, binary.BigEndian.AppendUint64(nil, i))
	}
	return out, nil
}

// TestAppliedButReportedAsFailed: a batch that is there, though its write was
// reported as failed, counts only once the folders are known to be durable.
// Until then nobody is told that its leaves are in the log, and no checkpoint
// shows them.
func TestAppliedButReportedAsFailed(t *testing.T) {
	errDisk := errors.New("the disk fails")
	var broken atomic.Bool
	key, err := NewKey("ledger.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	src := &counted{}
	l, err := OpenLog(t.Context(), LogConfig{Dir: t.TempDir(), Key: key, Source: src, sync: func(string) error {
		if broken.Load() {
			return errDisk
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	src.n.Store(1)
	if err := l.Await(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	add := l.lanes.add[2]
	l.lanes.add[2] = func(ctx context.Context, e *tessera.Entry) tessera.IndexFuture {
		f := add(ctx, e)
		return func() (tessera.Index, error) {
			if i, err := f(); err != nil {
				return i, err
			}
			return tessera.Index{}, errDisk
		}
	}
	src.n.Store(5) // a portion of four
	for range 8 {
		l.Kick()
		time.Sleep(50 * time.Millisecond)
		if cp, err := l.Checkpoint(t.Context()); err != nil || cp.Size != 1 {
			t.Fatalf("%d leaves are published, %v", cp.Size, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Integrated(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("said to be durable: ", err)
	}
	broken.Store(false)
	if err := l.Await(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if have, err := l.reader.IntegratedSize(t.Context()); err != nil || have != 5 {
		t.Fatalf("%d leaves in the log, want each of five once, %v", have, err)
	}
}

// TestFoldersAreSynced: each folder of the log, and nothing that is not there.
func TestFoldersAreSynced(t *testing.T) {
	var n int
	l := &Log{cfg: LogConfig{Dir: t.TempDir(), sync: func(folder string) error { n++; return syncFolder(folder) }}}
	if err := os.MkdirAll(l.cfg.Dir+"/tile/0/x001", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.cfg.Dir+"/tile/0/001", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.sure(); err != nil || n != 4 {
		t.Fatalf("%d folders, want 4, %v", n, err)
	}
	l.cfg.Dir += "/nowhere"
	if err := l.sure(); err != nil {
		t.Fatal(err)
	}
}
