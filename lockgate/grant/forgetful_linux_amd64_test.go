package grant_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that loses power: what it still has then is what was synced, a file's
// bytes by a sync of the file, its name by a sync of the folder, and nothing else.
// Real ones most often have more; none may have less.

// inode is a file, also when its number is used again.
type inode struct {
	number uint64
	sec    int64
	nsec   uint32
}

// entry is a name in a folder.
type entry struct {
	is     inode
	folder bool
}

// memory is what would be left if the power went now.
type memory struct {
	bytes map[inode][]byte
	names map[string]map[string]entry // by folder
}

// remembered is all that lies in some folders.
func remembered(folders []string) (*memory, error) {
	m := &memory{map[inode][]byte{}, map[string]map[string]entry{}}
	for _, f := range folders {
		err := filepath.WalkDir(f, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case e.IsDir():
				return m.folder(path)
			}
			return m.file(path)
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func inodeOf(path string) (inode, bool, error) {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_TYPE, &s)
	if err == nil && s.Mask&unix.STATX_BTIME == 0 {
		err = fmt.Errorf("%s: this file system does not say when a file was made", path)
	}
	return inode{s.Ino, s.Btime.Sec, s.Btime.Nsec}, s.Mode&syscall.S_IFMT == syscall.S_IFDIR, err
}

// file keeps a file's bytes: it was synced.
func (m *memory) file(path string) error {
	i, _, err := inodeOf(path)
	if err == nil {
		m.bytes[i], err = os.ReadFile(path)
	}
	return err
}

// folder keeps a folder's names: it was synced.
func (m *memory) folder(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	names := map[string]entry{}
	for _, e := range list {
		i, folder, err := inodeOf(filepath.Join(path, e.Name()))
		if err != nil {
			continue // renamed or gone meanwhile
		}
		names[e.Name()] = entry{i, folder}
	}
	m.names[path] = names
	return nil
}

// restore makes a folder what is left of it.
func (m *memory) restore(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	for name, e := range m.names[path] {
		to := filepath.Join(path, name)
		if !e.folder {
			if err := os.WriteFile(to, m.bytes[e.is], 0o600); err != nil {
				return err
			}
			continue
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := m.restore(to); err != nil {
			return err
		}
	}
	return nil
}

// syncs says whether a call makes something durable when it succeeds.
func syncs(tid int, c call) bool {
	switch c.name {
	case "fsync", "fdatasync":
		return true
	case "write": // to a file that was opened so
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, c.fd))
		_, after, ok := strings.Cut(string(b), "flags:")
		var flags int
		if _, scan := fmt.Sscanf(after, "%o", &flags); err != nil || !ok || scan != nil {
			return false
		}
		return flags&syscall.O_SYNC == syscall.O_SYNC
	}
	return false
}

// keep remembers what a call has made durable, unless the process was killed
// before it learnt of that.
func (d *disk) keep(tid int, c call) {
	keep, path := d.memory.file, fmt.Sprintf("/proc/%d/fd/%d", tid, c.fd)
	if fi, err := os.Stat(c.file); err == nil && fi.IsDir() {
		keep, path = d.memory.folder, c.file
	}
	if err := keep(path); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		d.lost = err
	}
}

// lose is what the loss of power does, after the process has ended.
func (d *disk) lose(t testing.TB) {
	t.Helper()
	if d.lost != nil {
		t.Fatal(d.lost)
	}
	for _, f := range d.folders {
		if err := d.memory.restore(f); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if d.memory, err = remembered(d.folders); err != nil {
		t.Fatal(err)
	}
}

// TestPowerLoss ends a gate's process at any moment, at times with a call to the
// disk that has failed before, and takes from the disk what was not synced. What
// holds is what holds in TestBrokenDisk: nothing that was sent is lost, the
// ledger follows the store, and no checkpoint shrinks once the gate serves again.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	mayTrace(t)
	b := newBroken(t, 4)
	if _, _, err := inodeOf(b.bill.Path); err != nil {
		t.Skip(err)
	}
	var err error
	if b.d.memory, err = remembered(b.d.folders); err != nil {
		t.Fatal(err)
	}
	losses := 0
	b.hurt = func(g *gateProc) func() {
		b.monotone()
		if g.cmd == nil {
			g.start()
		}
		if b.n++; b.rng.IntN(2) == 0 {
			b.d.set(breakage{Skip: b.rng.IntN(turns), Count: 1 + b.rng.IntN(3), How: []how{refused, applied, torn}[b.n%3], Errno: syscall.EIO, Kill: b.rng.IntN(2) == 0})
		}
		wait := func() {}
		if b.rng.IntN(2) == 0 {
			wait = g.killSoon(time.Duration(b.rng.IntN(60_000)) * time.Microsecond)
		}
		return func() {
			wait()
			g.reap()
			if b.d.unset() {
				b.reached++
			}
			losses++
			b.d.lose(t)
		}
	}
	b.run(campaignRounds(3, 1), b.gates)
	t.Logf("power was lost %d times, %d times after some call had failed", losses, b.reached)
	b.reopen()
}
