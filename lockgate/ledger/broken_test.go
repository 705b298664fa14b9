package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// What a disk that failed or lost power may leave of a log, and what becomes of
// it. That each single call fails is TestBrokenDisk of package grant.

// grown is a log of so many leaves, closed, with its newest checkpoint.
func grown(t *testing.T, dir string, k *ledger.Key, s *list, leaves int) ledger.Checkpoint {
	t.Helper()
	l := openLog(t, dir, k, s)
	s.append(leaves - len(s.leaves))
	await(t, l, uint64(leaves-1))
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return cp
}

func published(t *testing.T, dir string, k *ledger.Key) ledger.Checkpoint {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := k.Verifier().Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// stuck is a source that cannot be read while it is asked not to be.
type stuck struct {
	*list
	on atomic.Bool
}

var errStuck = errors.New("the disk does not answer")

func (s *stuck) Data(ctx context.Context, from, to uint64) ([][]byte, error) {
	if s.on.Load() {
		return nil, errStuck
	}
	return s.list.Data(ctx, from, to)
}

// TestStateOlderThanCheckpoint: power was lost after a write of the tree's state
// that had been reported as failed. The log goes on from there, and shows nobody
// a smaller tree than before, however long that takes.
func TestStateOlderThanCheckpoint(t *testing.T) {
	s, k, dir := &stuck{list: &list{}}, newKey(t), t.TempDir()
	grown(t, dir, k, s.list, 5)
	state := filepath.Join(dir, ".state", "treeState")
	old, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	newest := grown(t, dir, k, s.list, 300)
	if err := os.WriteFile(state, old, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, k, s)
	s.on.Store(true)
	s.append(1)
	for range 8 { // the library publishes every 100 ms
		l.Kick()
		time.Sleep(50 * time.Millisecond)
		if cp := published(t, dir, k); cp.Size < newest.Size {
			t.Fatalf("a checkpoint of %d leaves after one of %d", cp.Size, newest.Size)
		}
	}
	s.on.Store(false)
	await(t, l, 300)
	inc, err := l.Inclusion(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inc.Verify(s.leaves[7], k.Verifier()); err != nil {
		t.Error(err)
	}
}

// TestLostState: a log that was copied without its hidden folder still halts on
// yesterday's store, and is made whole from today's.
func TestLostState(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	newest := grown(t, dir, k, s, 40)
	if err := os.RemoveAll(filepath.Join(dir, ".state")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking does not wipe it out
		_, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: &list{leaves: s.leaves[:39]}})
		if !errors.Is(err, ledger.ErrRolledBack) {
			t.Fatalf("yesterday's store: %v", err)
		}
	}
	l := openLog(t, dir, k, s)
	if cp := published(t, dir, k); cp.Size < newest.Size {
		t.Fatalf("%d leaves are published, %d were", cp.Size, newest.Size)
	}
	s.append(1)
	await(t, l, 40)
}

// TestFlippedTile: a tree that was computed from a tile which lost a bit is not
// signed; the log halts.
func TestFlippedTile(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	newest := grown(t, dir, k, s, 5)
	tile := filepath.Join(dir, "tile", "0", "000.p", "5")
	b, err := os.ReadFile(tile)
	if err != nil {
		t.Fatal(err)
	}
	b[3] ^= 4
	if err := os.WriteFile(tile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, k, s)
	s.append(1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Await(ctx, 5); !errors.Is(err, ledger.ErrDiverged) {
		t.Fatalf("published over a bad tile: %v", err)
	}
	if cp := published(t, dir, k); !bytes.Equal(cp.Raw, newest.Raw) {
		t.Errorf("%d leaves are published", cp.Size)
	}
}

// TestLockCannotBeOpened: a log whose files cannot be opened for writing, as on a
// disk that has become read-only, waits instead of ending the process.
func TestLockCannotBeOpened(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	l := openLog(t, dir, k, s)
	s.append(3)
	await(t, l, 2)
	lock := filepath.Join(dir, ".state", "treeState.lock")
	if err := os.Rename(lock, lock+".away"); err != nil {
		t.Fatal("the library's file has another name now: ", err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	s.append(3)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := l.Await(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: s}); err == nil {
		t.Fatal("opened without its lock")
	}
	if err := os.Rename(lock, lock+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(lock+".away", lock); err != nil {
		t.Fatal(err)
	}
	await(t, l, 5)
}
