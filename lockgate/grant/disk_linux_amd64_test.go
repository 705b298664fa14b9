package grant_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// A disk that fails below everything that is written in Go: a gate's process runs
// under ptrace, and what it asks of the kernel for the files under some folders is
// refused, or done and reported as failed, or done by half. Neither the engine
// of the store nor the library of the transparency log can tell it from a disk.

// how a call to the disk fails.
type how string

const (
	refused how = "refused" // not done
	applied how = "applied" // done, and reported as failed
	torn    how = "torn"    // a write is done by half; the calls after it are refused
)

// breakage is which calls fail: Count of them after Skip that do not.
type breakage struct {
	Skip, Count int
	How         how
	Errno       syscall.Errno
	Kill        bool // the process dies with the last of them
}

// disk traces a process.
type disk struct {
	folders []string // whose files count

	mu    sync.Mutex
	plan  breakage
	calls int            // since the plan was made
	hit   map[string]int // what has failed, by call, file and how
	over  chan struct{}  // closed when the process has ended
	good  bool           // with success; to be read after that
	tasks map[int]*task  // by thread; of the tracing thread alone

	memory *memory // what would be left if the power went now; nil: nobody asks
	lost   error   // why that is not known
}

// task is a thread of the process.
type task struct {
	ours   bool    // its first stop has been seen
	result *int64  // what its present call is to return
	write  *uint64 // how many bytes it was to write, where that was changed
	kill   bool    // the process dies at the end of the call
	syncs  *call   // what it makes durable when it succeeds
}

// set makes a plan, and forgets the one before.
func (d *disk) set(b breakage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan, d.calls = b, 0
}

// unset mends the disk, and says whether any call has failed.
func (d *disk) unset() (failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	failed = d.plan.Count > 0 && d.calls > d.plan.Skip
	d.plan, d.calls = breakage{}, 0
	return failed
}

// ended waits until the process has ended.
func (d *disk) ended() { <-d.over }

// start starts a process on this disk.
func (d *disk) start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	d.over, d.tasks = make(chan struct{}), map[int]*task{}
	go func() {
		defer close(d.over)
		runtime.LockOSThread() // who traces is a thread; it ends with this function
		cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
		err := cmd.Start()
		if err == nil {
			err = d.seize(cmd.Process.Pid)
		}
		started <- err
		if err == nil {
			d.trace()
		}
	}()
	return <-started
}

const (
	traceSeccomp   = 0x80
	traceExitKill  = 0x100000
	waitThisThread = 0x20000000 // __WNOTHREAD
	getSyscallInfo = 0x420e
	renameat2      = 316
)

// changing are the calls that change a disk, and where they name the file.
var changing = map[uint64]struct {
	name       string
	arg        int  // of the file
	descriptor bool // it is a descriptor there, else a path
}{
	syscall.SYS_WRITE: {"write", 0, true}, syscall.SYS_PWRITE64: {"pwrite", 0, true}, syscall.SYS_FSYNC: {"fsync", 0, true},
	syscall.SYS_FDATASYNC: {"fdatasync", 0, true}, syscall.SYS_FTRUNCATE: {"ftruncate", 0, true}, syscall.SYS_FALLOCATE: {"fallocate", 0, true},
	syscall.SYS_OPEN: {"open", 0, false}, syscall.SYS_OPENAT: {"open", 1, false},
	syscall.SYS_MKDIR: {"mkdir", 0, false}, syscall.SYS_MKDIRAT: {"mkdir", 1, false},
	syscall.SYS_UNLINK: {"unlink", 0, false}, syscall.SYS_UNLINKAT: {"unlink", 1, false},
	syscall.SYS_RENAMEAT: {"rename", 3, false}, renameat2: {"rename", 3, false}, syscall.SYS_LINKAT: {"link", 3, false},
}

// watched lets the process stop at those calls alone, and not at each of the
// runtime's. It is the traced process that asks for it.
func watched() error {
	type instruction struct {
		code    uint16
		yes, no uint8
		k       uint32
	}
	const load, equal, answer, allow, trace = 0x20, 0x15, 0x06, 0x7fff0000, 0x7ff00000
	code := []instruction{{code: load}} // the call's number
	for nr := range changing {
		code = append(code, instruction{equal, 0, 1, uint32(nr)}, instruction{code: answer, k: trace})
	}
	code = append(code, instruction{code: answer, k: allow})
	program := struct {
		size uint16
		code *instruction
	}{uint16(len(code)), &code[0]}
	const noNewPrivileges, setFilter, allThreads, seccomp = 38, 1, 1, 317
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); e != 0 {
		return e
	}
	return nil
}

func init() {
	if os.Getenv("URSA_TEST_DISK") != "" {
		beforeGate = watched
	}
	if file := os.Getenv("URSA_TEST_PROBE"); file != "" {
		err := watched()
		if err == nil {
			_, err = os.Create(file)
		}
		if !errors.Is(err, syscall.EIO) {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// mayTrace leaves a test out where a process may not trace its children, or
// where the kernel is another one than it says.
func mayTrace(t *testing.T) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "URSA_TEST_PROBE="+filepath.Join(dir, "probe"))
	d := &disk{folders: []string{dir}, hit: map[string]int{}}
	d.set(breakage{Count: 1, How: refused, Errno: syscall.EIO})
	if err := d.start(cmd); err != nil {
		t.Skip("this process may not trace its children (ptrace): ", err)
	}
	d.ended()
	_ = cmd.Process.Release()
	if !d.good {
		t.Skip("calls of a traced process cannot be made to fail here (ptrace with seccomp)")
	}
}

// seize waits for the process's first stop, and asks for those of all its threads.
func (d *disk) seize(pid int) error {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, syscall.WALL, nil); err != nil {
		return err
	}
	d.tasks[pid] = &task{ours: true}
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|traceSeccomp|traceExitKill); err != nil {
		return err
	}
	return syscall.PtraceCont(pid, 0)
}

// trace lets the process run from call to call, until it has ended.
func (d *disk) trace() {
	for {
		var ws syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &ws, syscall.WALL|waitThisThread, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return // nobody is left
		case ws.Exited() || ws.Signaled():
			delete(d.tasks, tid)
			d.good = ws.Exited() && ws.ExitStatus() == 0 // the process's own end is the last
		case ws.Stopped():
			d.stopped(tid, ws)
		}
	}
}

// stopped deals with one stop of a thread, and lets it go on.
func (d *disk) stopped(tid int, ws syscall.WaitStatus) {
	t := d.tasks[tid]
	if t == nil {
		t = &task{}
		d.tasks[tid] = t
	}
	goOn, deliver := syscall.PtraceCont, 0
	switch sig := ws.StopSignal(); {
	case sig == syscall.SIGTRAP && ws.TrapCause() == 7: // PTRACE_EVENT_SECCOMP: a call begins
		if d.enter(tid, t) {
			goOn = syscall.PtraceSyscall // to its end
		}
	case sig == syscall.SIGTRAP|0x80:
		d.leave(tid, t)
	case sig == syscall.SIGTRAP && ws.TrapCause() > 0: // a new thread
	case sig == syscall.SIGSTOP && !t.ours: // its first stop
	default:
		deliver = int(sig)
	}
	t.ours = true
	_ = goOn(tid, deliver) // it may have been killed by now
}

// info is the kernel's ptrace_syscall_info at the beginning of a call.
type info struct {
	_    [3]uint64
	nr   uint64
	args [6]uint64
	_    [2]uint64
}

// call is one that changes a disk.
type call struct {
	name, file string
	fd         int32 // of the file, where it is named by one
}

// enter decides whether a call fails, and whether its end is to be seen.
func (d *disk) enter(tid int, t *task) (toEnd bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan.Count == 0 && d.memory == nil {
		return false
	}
	c := what(tid)
	if c.name == "" || !d.counts(c.file) {
		return false
	}
	if t.syncs = nil; d.memory != nil && syncs(tid, c) {
		t.syncs = &c
	}
	return d.breaks(tid, t, c) || t.syncs != nil
}

// breaks lets a call fail whose turn it is. The caller holds mu.
func (d *disk) breaks(tid int, t *task, c call) bool {
	if d.plan.Count == 0 {
		return false
	}
	d.calls++
	n := d.calls - d.plan.Skip
	if n < 1 || n > d.plan.Count {
		return false
	}
	var r syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &r) != nil {
		return false
	}
	is, fails := d.plan.How, -int64(d.plan.Errno)
	half := is == torn && n == 1 && strings.Contains(c.name, "write") && r.Rdx > 1
	switch {
	case half:
		bytes := r.Rdx
		t.write, r.Rdx = &bytes, bytes/2
	case is == applied:
		t.result = &fails
	default:
		is = refused
		t.result, r.Orig_rax = &fails, ^uint64(0)
	}
	if syscall.PtraceSetRegs(tid, &r) != nil {
		t.result, t.write = nil, nil
		return false
	}
	t.kill = d.plan.Kill && n == d.plan.Count
	d.hit[fmt.Sprintf("%s %s %s", c.name, kind(c.file), is)]++
	return true
}

// leave gives a call the result that was decided on.
func (d *disk) leave(tid int, t *task) {
	var r syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &r) == nil {
		if t.syncs != nil && int64(r.Rax) >= 0 {
			d.mu.Lock()
			d.keep(tid, *t.syncs)
			d.mu.Unlock()
		}
		if t.result != nil {
			r.Rax = uint64(*t.result)
		}
		if t.write != nil {
			r.Rdx = *t.write
		}
		if t.result != nil || t.write != nil {
			_ = syscall.PtraceSetRegs(tid, &r)
		}
	}
	if t.kill {
		_ = syscall.Kill(tid, syscall.SIGKILL)
	}
	*t = task{ours: true}
}

func (d *disk) counts(file string) bool {
	for _, f := range d.folders {
		if strings.HasPrefix(file, f+"/") || file == f {
			return true
		}
	}
	return false
}

// what is the call that a thread begins.
func what(tid int) (c call) {
	var i info
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(i), uintptr(unsafe.Pointer(&i)), 0, 0); e != 0 {
		return call{}
	}
	known := changing[i.nr]
	c.name = known.name
	switch at := i.args[known.arg]; {
	case known.descriptor:
		c.fd = int32(at)
		c.file, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, c.fd))
	case c.name == "open" && i.args[known.arg+1]&syscall.O_CREAT == 0:
		return call{}
	case c.name != "":
		c.file = text(tid, at)
	}
	return c
}

// text is a path in the process's memory.
func text(tid int, at uint64) string {
	var b [256]byte
	n, _ := syscall.PtracePeekData(tid, uintptr(at), b[:])
	before, _, _ := bytes.Cut(b[:n], []byte{0})
	return string(before)
}

// kind is a file's name without what differs from one time to the next.
func kind(file string) string {
	base := filepath.Base(file)
	if s := strings.TrimRight(base, "0123456789"); s != "" {
		return strings.TrimSuffix(s, ".p")
	}
	if filepath.Ext(filepath.Dir(file)) == ".p" {
		return "partial"
	}
	return "full"
}
