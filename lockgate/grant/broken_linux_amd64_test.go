package grant_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// TestBrokenDisk lets each call to the disk fail in its turn, below the store's
// engine and the transparency log's library: not done, done and reported as
// failed, done by half; once, or for a while, as on a full disk. At times the
// process dies with it, or is ended afterwards, or starts on such a disk. Then the
// disk is whole again, and the gate has to go on by itself.
//
// What holds is what holds in TestKilledGate, and no checkpoint is ever smaller
// than one before. URSA_CAMPAIGN sets the rounds.
func TestBrokenDisk(t *testing.T) {
	t.Parallel()
	mayTrace(t)
	b := newBroken(t, 3)
	b.hurt = b.harm
	rounds := campaignRounds(8, 3)
	b.run(rounds, b.gates)
	b.said(rounds)
	b.reopen()
}

// TestBrokenBeginning: the disk fails while a gate makes its store's tables and
// its log, each call in its turn. The next attempt, on a whole disk, finds its way.
func TestBrokenBeginning(t *testing.T) {
	t.Parallel()
	mayTrace(t)
	const turns = 61
	hit, failed := map[string]int{}, 0
	rounds := min(campaignRounds(2, 1), 3*turns)
	for n := range rounds {
		b := newBroken(t, 100+uint64(n))
		b.hurt = func(*gateProc) func() { return func() {} }
		b.d.hit = hit
		b.d.set(breakage{Skip: n * 23 % turns, Count: 1 + n%2, How: []how{refused, applied, torn}[n%3], Errno: []syscall.Errno{syscall.EIO, syscall.ENOSPC}[n%2]})
		b.startBroken(b.gates[0])
		if b.d.unset() {
			b.reached++
		}
		failed += b.reached
		b.run(1, b.gates)
		b.reopen()
	}
	for _, name := range slices.Sorted(maps.Keys(hit)) {
		t.Logf("%5d %s", hit[name], name)
	}
	t.Logf("%d beginnings, in %d some call failed", rounds, failed)
}

// newBroken prepares a campaign of one gate on one disk.
func newBroken(t *testing.T, seed uint64) *broken {
	t.Helper()
	c := newCrash(t, seed)
	c.bill.Path = filepath.Join(t.TempDir(), "gate.db")
	st, err := store.OpenSQLite(t.Context(), c.bill.Path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.enrol(st)
	_ = st.Close()
	b := &broken{crash: c, d: &disk{hit: map[string]int{}}}
	for _, f := range []string{filepath.Dir(c.bill.Path), c.bill.Log} {
		if f, err = filepath.EvalSymlinks(f); err != nil {
			t.Fatal(err)
		}
		b.d.folders = append(b.d.folders, f)
	}
	c.gates = []*gateProc{{t: t, bill: c.bill, disk: b.d}}
	return b
}

// reopen looks at what the gate left.
func (b *broken) reopen() {
	b.t.Helper()
	st, err := store.OpenSQLite(b.t.Context(), b.bill.Path, store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	b.settle(st)
}

// broken is what happens to the disk of a campaign.
type broken struct {
	*crash
	d *disk
	n int // of the breakages so far: each call has its turn

	reached, kills, ended, starts int
	newest                        ledger.Checkpoint
}

const turns = 67 // more calls than a grant makes; a prime, so that each meets every kind of breakage

// said reports what failed.
func (b *broken) said(rounds int) {
	for _, name := range slices.Sorted(maps.Keys(b.d.hit)) {
		b.t.Logf("%5d %s", b.d.hit[name], name)
	}
	b.t.Logf("%d times some call failed; with it %d processes died, %d were ended afterwards, %d had started on that disk",
		b.reached, b.kills, b.ended, b.starts)
	if b.reached == 0 {
		b.t.Fatal("nothing failed")
	}
	for _, call := range []string{"pwrite gate.db-wal", "fsync gate.db-wal", "write treeState", "rename treeState", "fsync .state", "write checkpoint", "rename partial"} {
		if rounds >= 500 && (b.d.hit[call+" "+string(refused)] == 0 || b.d.hit[call+" "+string(applied)] == 0) {
			b.t.Errorf("never failed in both ways: %s", call)
		}
	}
}

// harm breaks the disk for one request.
func (b *broken) harm(g *gateProc) (over func()) {
	b.monotone()
	if g.cmd == nil {
		g.start()
	}
	p := breakage{Skip: b.n * 29 % turns, Count: 1, How: []how{refused, applied, torn}[b.n%3], Errno: syscall.EIO}
	b.n++
	if b.rng.IntN(2) == 0 {
		p.Errno = syscall.ENOSPC
	}
	switch b.rng.IntN(8) {
	case 0: // for a while
		p.Count = 2 + b.rng.IntN(80)
	case 1:
		p.Kill = true
	case 2:
		g.reap()
		b.starts++
		b.d.set(p)
		b.startBroken(g)
		return b.mend(g)
	}
	if p.How == torn {
		p.Count++ // what is left of a write is refused
	}
	b.d.set(p)
	return b.mend(g)
}

// startBroken starts a process; when it does not start, the disk is whole.
func (b *broken) startBroken(g *gateProc) {
	if g.try() != nil {
		g.reap()
		b.reached++
		b.d.unset()
		g.start()
	}
}

// mend makes the disk whole, and at times ends the process.
func (b *broken) mend(g *gateProc) func() {
	died := g.died
	return func() {
		switch failed := b.d.unset(); {
		case !failed: // nobody came so far
			return
		case g.died > died:
			b.kills++
		case b.rng.IntN(3) == 0:
			b.ended++
			g.reap()
		}
		b.reached++
	}
}

// monotone fails when the published checkpoint is smaller than one before.
func (b *broken) monotone() {
	raw, err := os.ReadFile(filepath.Join(b.bill.Log, "checkpoint"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := ledger.ParseKey(b.bill.LogKey)
	if err != nil {
		b.t.Fatal(err)
	}
	cp, err := key.Verifier().Open(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	if old := b.newest; cp.Size < old.Size || old.Raw != nil && cp.Size == old.Size && cp.Root != old.Root {
		b.t.Fatalf("a checkpoint of %d leaves after one of %d", cp.Size, b.newest.Size)
	}
	b.newest = cp
}
