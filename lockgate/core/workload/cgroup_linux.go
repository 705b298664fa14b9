package workload

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func newHolder(kind Hold) (holder, error) {
	switch kind {
	case HoldCgroup2:
		return newCgroup2()
	case HoldCgroup1:
		return newCgroup1()
	case HoldGroup:
		return newGroup(), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnsupported, kind)
}

// name of a fresh group: no two workloads share one, whoever starts them.
func name() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "ursa-" + hex.EncodeToString(b[:])
}

// hierarchy finds the directory of our own group in the hierarchy whose mount
// has the file system type and, for version 1, the controller.
func hierarchy(fstype, controller string) (string, error) {
	root, err := mount(fstype, controller)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 || !has(part[1], controller) {
			continue
		}
		own := filepath.Join(root, part[2])
		if _, err := os.Stat(own); err != nil {
			own = root // the mount shows a subtree of its own
		}
		return own, nil
	}
	return "", fmt.Errorf("%w: not in a %s hierarchy", ErrUnsupported, fstype)
}

// has: version 2 has the one line with an empty list of controllers.
func has(list, controller string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == controller {
			return true
		}
	}
	return false
}

func mount(fstype, controller string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 || right[0] != fstype {
			continue
		}
		if controller == "" || has(right[2], controller) {
			return left[4], nil
		}
	}
	return "", fmt.Errorf("%w: no %s %s mounted", ErrUnsupported, fstype, controller)
}

// write a control file; it must be there already.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	_, err = f.WriteString(text)
	if c := f.Close(); err == nil {
		err = c
	}
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	return nil
}

// field reads "key value" lines.
func field(dir, file, key string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", fmt.Errorf("workload: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("workload: %s has no %s", file, key)
}

// remove takes a group away when all in it are dead, for which what was killed
// needs a processor, and the kernel has forgotten them, which takes a moment.
func remove(dir string) {
	for end, empty := time.Now().Add(endWait), 0; empty < 100; time.Sleep(2 * time.Millisecond) {
		if err := syscall.Rmdir(dir); err == nil || os.IsNotExist(err) || time.Now().After(end) {
			return
		}
		if len(procs(dir)) == 0 {
			empty++
		}
	}
}

// procs lists the processes of a group and of those that were made below it.
func procs(dir string) []int {
	var out []int
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // a group that has just gone away has no processes
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				out = append(out, pid)
			}
		}
		return nil
	})
	return out
}

type cgroup2 struct{ dir string }

func newCgroup2() (*cgroup2, error) {
	own, err := hierarchy("cgroup2", "")
	if err != nil {
		return nil, err
	}
	c := &cgroup2{dir: filepath.Join(own, name())}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	for _, need := range []string{"cgroup.freeze", "cgroup.events", "cgroup.kill", "cpu.stat"} {
		if _, err := os.Stat(filepath.Join(c.dir, need)); err != nil {
			remove(c.dir)
			return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	return c, nil
}

func (c *cgroup2) adopt(pid int) error { return write(c.dir, "cgroup.procs", strconv.Itoa(pid)) }
func (c *cgroup2) freeze() error       { return write(c.dir, "cgroup.freeze", "1") }
func (c *cgroup2) thaw() error         { return write(c.dir, "cgroup.freeze", "0") }
func (c *cgroup2) kill() error         { return write(c.dir, "cgroup.kill", "1") }
func (c *cgroup2) release()            { remove(c.dir) }

func (c *cgroup2) frozen() (bool, error) {
	v, err := field(c.dir, "cgroup.events", "frozen")
	return v == "1", err
}

func (c *cgroup2) cpu() (time.Duration, error) {
	v, err := field(c.dir, "cpu.stat", "usage_usec")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("workload: cpu.stat: %w", err)
	}
	return time.Duration(n) * time.Microsecond, nil
}

func (c *cgroup2) pids() []int     { return procs(c.dir) }
func (c *cgroup2) where() []string { return []string{c.dir} }

type cgroup1 struct{ freezer, acct string }

func newCgroup1() (*cgroup1, error) {
	n := name()
	c := &cgroup1{}
	for _, h := range []struct {
		controller, file string
		dir              *string
	}{{"freezer", "freezer.state", &c.freezer}, {"cpuacct", "cpuacct.usage", &c.acct}} {
		own, err := hierarchy("cgroup", h.controller)
		if err == nil {
			dir := filepath.Join(own, n)
			if err = os.MkdirAll(dir, 0o755); err == nil {
				*h.dir = dir
				_, err = os.Stat(filepath.Join(dir, h.file))
			}
		}
		if err != nil {
			c.release()
			return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	return c, nil
}

func (c *cgroup1) adopt(pid int) error {
	if err := write(c.freezer, "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return err
	}
	return write(c.acct, "cgroup.procs", strconv.Itoa(pid))
}

func (c *cgroup1) freeze() error { return write(c.freezer, "freezer.state", "FROZEN") }
func (c *cgroup1) thaw() error   { return write(c.freezer, "freezer.state", "THAWED") }

func (c *cgroup1) frozen() (bool, error) {
	b, err := os.ReadFile(filepath.Join(c.freezer, "freezer.state"))
	if err != nil {
		return false, fmt.Errorf("workload: %w", err)
	}
	return strings.TrimSpace(string(b)) == "FROZEN", nil
}

// kill freezes so that nothing forks away from the list, signals all on it, and
// thaws so that the signal is taken.
func (c *cgroup1) kill() error {
	_ = c.freeze()
	for range 50 {
		b, err := os.ReadFile(filepath.Join(c.freezer, "cgroup.procs"))
		if err != nil || len(strings.Fields(string(b))) == 0 {
			_ = c.thaw()
			return nil
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = c.thaw()
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (c *cgroup1) cpu() (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join(c.acct, "cpuacct.usage"))
	if err != nil {
		return 0, fmt.Errorf("workload: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("workload: cpuacct.usage: %w", err)
	}
	return time.Duration(n), nil
}

func (c *cgroup1) pids() []int     { return procs(c.freezer) }
func (c *cgroup1) where() []string { return []string{c.freezer, c.acct} }

func (c *cgroup1) release() {
	for _, d := range []string{c.freezer, c.acct} {
		if d != "" {
			remove(d)
		}
	}
}
