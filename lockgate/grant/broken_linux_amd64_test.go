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
	c := newCrash(t, 3)
	c.bill.Path = filepath.Join(t.TempDir(), "gate.db")
	st, err := store.OpenSQLite(t.Context(), c.bill.Path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.enrol(st)
	_ = st.Close()
	d := &disk{hit: map[string]int{}}
	for _, f := range []string{filepath.Dir(c.bill.Path), c.bill.Log} {
		if f, err = filepath.EvalSymlinks(f); err != nil {
			t.Fatal(err)
		}
		d.folders = append(d.folders, f)
	}
	b := &broken{crash: c, d: d}
	c.hurt = b.harm
	rounds := campaignRounds(10, 4)
	c.run(rounds, []*gateProc{{t: t, bill: c.bill, disk: d}})
	b.said(rounds)
	if st, err = store.OpenSQLite(t.Context(), c.bill.Path, store.Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	c.settle(st)
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
