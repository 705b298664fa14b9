package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// A checkpoint cannot be taken back: who has seen it finds fault with every log
// that does not contain it. The library signs whatever its file of the tree's
// state says, also when the write of that file was reported as failed and power
// loss may undo it, when power loss did undo it and the state is older than what
// was published, and when a tile that it computed from has lost a bit.
//
// So the key is not in its hands alone. It gets a signature over a tree that is
// durable, not smaller than any published before, and whose root is the one that
// the source's leaves have by this package's own count.

// Why a checkpoint is not signed. The library asks again with its next one.
var (
	errShrunk   = errors.New("ledger: a larger tree has been published")
	errUnsure   = errors.New("ledger: the tree is not known to be durable yet")
	errUncount  = errors.New("ledger: the tree's size is none that this process has seen")
	errNotAsked = errors.New("ledger: only one queue publishes")
)

// notary signs what may be signed.
type notary struct {
	note.Signer
	may func(size uint64, root [32]byte) error
}

// Sign signs a checkpoint's text.
func (n notary) Sign(text []byte) ([]byte, error) {
	var c log.Checkpoint
	if _, err := c.Unmarshal(text); err != nil || len(c.Hash) != 32 {
		return nil, fmt.Errorf("%w: not a checkpoint", ErrCheckpoint)
	}
	if err := n.may(c.Size, [32]byte(c.Hash)); err != nil {
		return nil, err
	}
	return n.Signer.Sign(text)
}

// refuse is for the queues that do not publish.
func refuse(uint64, [32]byte) error { return errNotAsked }

// head is a size of the tree with its root.
type head struct {
	size uint64
	root [32]byte
}

const headsKept = 64 // the library asks for the newest, or one just before

// maySign waits a little until a tree is known to be durable, and says whether
// it may be published.
func (l *Log) maySign(size uint64, root [32]byte) error {
	enough := time.NewTimer(l.cfg.Interval)
	defer enough.Stop()
	for {
		l.mu.Lock()
		held, floor, failed, closed, wait := l.held, l.floor, l.failed, l.closed, l.wait
		want, known := l.headAt(size)
		if !closed && failed == nil && size >= floor && size <= held && known && want == root {
			l.signed = size
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		switch {
		case closed:
			return ErrLogClosed
		case failed != nil:
			return failed
		case size < floor:
			return errShrunk
		case known && want != root:
			err := fmt.Errorf("%w: the tree of %d leaves has another root", ErrDiverged, size)
			l.fail(err)
			return err
		case size <= held:
			return errUncount
		}
		select {
		case <-wait:
		case <-enough.C:
			return errUnsure
		case <-l.done:
			return ErrLogClosed
		}
	}
}

// headAt finds the root of a size. The caller holds mu.
func (l *Log) headAt(size uint64) (root [32]byte, ok bool) {
	for _, h := range l.heads {
		if h.size == size {
			return h.root, true
		}
	}
	return root, false
}

// grow counts leaves of the source into the tree of this package's own.
func (l *Log) grow(first uint64, leaves [][]byte) error {
	for i, d := range leaves {
		if first+uint64(i) != l.tree.End() {
			continue // counted before: the library has lost what it had
		}
		if err := l.tree.Append(rfc6962.DefaultHasher.HashLeaf(d), nil); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// growTo reads from the source what is missing up to a size.
func (l *Log) growTo(ctx context.Context, size uint64) error {
	for at := l.tree.End(); at < size; at = l.tree.End() {
		data, err := l.cfg.Source.Data(ctx, at, min(at+1024, size))
		if err != nil {
			return err
		}
		if err := l.grow(at, data); err != nil {
			return err
		}
	}
	return nil
}

// root is that of the tree counted so far.
func (l *Log) root() ([32]byte, error) {
	if l.tree.End() == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	root, err := l.tree.GetRootHash(nil)
	if err != nil {
		return [32]byte{}, fmt.Errorf("ledger: %w", err)
	}
	return [32]byte(root), nil
}

// hold notes that so many leaves are durable in the log.
func (l *Log) hold(size uint64) error {
	root, err := l.root()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.headAt(size)
	if known && size <= l.held {
		return nil // as before
	}
	if !known && l.tree.End() == size {
		l.heads = append(l.heads[max(0, len(l.heads)-headsKept+1):], head{size, root})
	}
	l.held = max(l.held, size)
	l.wake()
	return nil
}

// sure makes durable what the log's folders say: a batch of which a write failed
// may have been applied all the same, and so may one that another process did not
// live to see answered. The files' contents are durable before they get their names.
func (l *Log) sure() error {
	err := filepath.WalkDir(l.cfg.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = l.cfg.sync(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // partial tiles are removed when they are whole
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
