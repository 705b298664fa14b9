package workload

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a command under a hold. Its methods may be called at once.
type Process struct {
	hold holder
	kind Hold
	proc *os.Process
	wait time.Duration // patience of the guard
	fate *guardian

	mu   sync.Mutex    // guards what follows
	runs bool          // thawed, as far as this process knows
	base time.Duration // CPU time before the command's first instruction
	cpu  time.Duration
	exit Exit
	gone bool
	done chan struct{}
}

// holder is one way to hold the processes of a command.
type holder interface {
	adopt(pid int) error         // take in the stopped leader
	freeze() error               // ask all to stop
	frozen() (bool, error)       // have all stopped?
	thaw() error                 // let all go on
	cpu() (time.Duration, error) // used by all, dead ones included
	kill() error                 // end all
	pids() []int                 // of all that live
	where() []string             // what reopen finds it by
	release()                    // give back what adopt took
}

// Start starts a command, frozen.
func Start(c Config) (*Process, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, ErrNoCommand
	}
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		return nil, fmt.Errorf("workload: cannot run %q: %w", c.Command[0], err)
	}
	var last error
	for _, kind := range []Hold{HoldCgroup2, HoldCgroup1, HoldGroup} {
		if c.Hold != HoldAuto && c.Hold != kind {
			continue
		}
		p, err := start(c, path, kind)
		if err == nil {
			return p, nil
		}
		last = err
	}
	if last == nil {
		last = fmt.Errorf("%w: %q; use cgroup2, cgroup1 or group", ErrUnsupported, c.Hold)
	}
	return nil, last
}

func start(c Config, path string, kind Hold) (*Process, error) {
	if c.Patience <= 0 {
		c.Patience = time.Second
	}
	h, err := newHolder(kind)
	if err != nil {
		return nil, err
	}
	p := &Process{hold: h, kind: kind, wait: c.Patience, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.father(c, path, started)
	if err := <-started; err != nil {
		h.release()
		return nil, err
	}
	return p, nil
}

// father starts the command and waits for it, all on one thread of its own: the
// kernel kills the command when the *thread* that started it dies
// (PR_SET_PDEATHSIG), and only that thread may let go of it after its first
// stop (ptrace). The thread is given back when the command has ended.
func (p *Process) father(c Config, path string, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.birth(c, path); err != nil {
		started <- err
		return
	}
	started <- nil
	state, err := p.proc.Wait()
	p.bury(state, err)
}

// birth makes the command stop before its first instruction (the kernel stops a
// traced process at the end of exec), puts it under the hold, freezes it, and
// only then lets the trace go.
func (p *Process) birth(c Config, path string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	defer func() { _ = null.Close() }()
	files := []*os.File{null, c.Stdout, c.Stderr}
	for i, f := range files {
		if f == nil {
			files[i] = null
		}
	}
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Ptrace: true}}
	argv := c.Command
	if p.kind == HoldGroup {
		// Stopped rather than killed with its holder: as long as it is there, the
		// guard finds below it what has to be ended.
		attr.Sys.Pdeathsig = syscall.SIGSTOP
		path, argv = self, append([]string{leaderName, path}, argv...)
	}
	p.proc, err = os.StartProcess(path, argv, attr)
	if err != nil {
		return fmt.Errorf("workload: cannot run %q: %w", c.Command[0], err)
	}
	if err := p.adopt(); err != nil {
		_ = p.proc.Kill()
		_, _ = p.proc.Wait()
		return fmt.Errorf("workload: cannot run %q: %w", c.Command[0], err)
	}
	return nil
}

func (p *Process) adopt() error {
	pid := p.proc.Pid
	if err := awaitExec(pid); err != nil {
		return err
	}
	if err := p.hold.adopt(pid); err != nil {
		return err
	}
	if p.kind == HoldGroup { // from the leader's own exec to that of the command
		if err := resume(pid, 0); err != nil {
			return err
		}
		if err := awaitExec(pid); err != nil {
			return err
		}
	}
	var err error
	if p.base, err = p.hold.cpu(); err != nil {
		return err
	}
	if err := p.hold.freeze(); err != nil {
		return err
	}
	if p.fate, err = newGuardian(p.kind, p.hold.where(), p.wait); err != nil {
		return err
	}
	// Detaching with SIGSTOP leaves it stopped whatever the hold does; Thaw
	// sends SIGCONT to the leader besides lifting the hold.
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_DETACH, uintptr(pid), 0, uintptr(syscall.SIGSTOP), 0, 0); errno != 0 {
		p.fate.dismiss()
		return fmt.Errorf("cannot let go of it: %w", errno)
	}
	return nil
}

// awaitExec waits until a traced process has become another program, and hands
// it the signals that come in between.
func awaitExec(pid int) error {
	for {
		var ws syscall.WaitStatus
		_, err := syscall.Wait4(pid, &ws, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("it did not stop at its start: %w", err)
		case ws.Exited():
			return syscall.Errno(ws.ExitStatus()) // of becomeLeader
		case !ws.Stopped():
			return errors.New("it ended at its start")
		case ws.StopSignal() == syscall.SIGTRAP:
			return nil
		}
		if err := resume(pid, ws.StopSignal()); err != nil {
			return err
		}
	}
}

// resume lets a traced process go on.
func resume(pid int, sig syscall.Signal) error {
	if err := syscall.PtraceCont(pid, int(sig)); err != nil {
		return fmt.Errorf("cannot let it start: %w", err)
	}
	return nil
}

// bury keeps what is known of a command that ended, and ends what it left.
func (p *Process) bury(state *os.ProcessState, err error) {
	_ = p.hold.kill()
	_, _ = p.Used()
	p.mu.Lock()
	p.gone = true
	p.exit = Exit{Code: -1, CPU: p.cpu}
	if err == nil {
		p.exit.Code = state.ExitCode()
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			p.exit.Signal = ws.Signal().String()
		}
	}
	p.mu.Unlock()
	p.fate.dismiss()
	p.hold.release()
	close(p.done)
}

// Hold says which hold was taken.
func (p *Process) Hold() Hold { return p.kind }

// PID is the process id of the command's leader.
func (p *Process) PID() int { return p.proc.Pid }

// PIDs are the process ids of everything that the command runs now.
func (p *Process) PIDs() []int {
	if p.ended() {
		return nil
	}
	return p.hold.pids()
}

// Done is closed when the command has ended and nothing of it is left.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the command ended; false while it has not.
func (p *Process) Exit() (Exit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit, p.gone
}

func (p *Process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// freezeWait bounds how long Freeze waits for the kernel to stop everything.
const freezeWait = 2 * time.Second

// endWait bounds how long killed processes may take to be gone: on a machine
// under load they wait for a processor first.
const endWait = 20 * time.Second

// Freeze stops every process of the command and returns when they have stopped.
func (p *Process) Freeze() error {
	end := time.Now().Add(freezeWait)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if p.ended() {
			return nil // what has ended does not run
		}
		err := p.hold.freeze()
		if err == nil {
			var still bool
			if still, err = p.hold.frozen(); still {
				p.stands()
				return nil
			}
		}
		if time.Now().After(end) {
			if p.ended() {
				return nil
			}
			return fmt.Errorf("%w (%v)", ErrNotFrozen, err)
		}
		time.Sleep(pause)
	}
}

// stands notes that the command does not run.
func (p *Process) stands() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs = false
	p.fate.say(sayIdle)
}

// Thaw lets the command run on. It may be called again and again, and has to be
// while the command may run: when the guard froze it in the meantime, the next
// call thaws it.
func (p *Process) Thaw() error {
	if p.ended() {
		<-p.done // whoever hears of the end here finds it there, too
		return ErrGone
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return nil // in this moment; the next call says so
	case p.fate.lost.Load():
		return ErrUnguarded
	case !p.fate.tripped.Swap(false) && p.runs:
		return nil
	}
	p.fate.say(sayRuns) // before: nothing runs unwatched
	if err := p.hold.thaw(); err != nil {
		return err
	}
	// SIGCONT lifts the stop that it was born with. That it has run to its end
	// between the two is no failure.
	if err := p.proc.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("workload: %w", err)
	}
	p.runs = true
	return nil
}

// Used is the CPU time of all processes of the command so far. It never goes
// back; after the end it is the total.
func (p *Process) Used() (time.Duration, error) {
	if p.ended() {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.cpu, nil
	}
	d, err := p.hold.cpu()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.gone {
			return p.cpu, nil
		}
		return 0, err
	}
	p.cpu = max(p.cpu, d-p.base)
	if p.runs {
		if p.fate.lost.Load() {
			return 0, ErrUnguarded
		}
		p.fate.alive()
	}
	return p.cpu, nil
}

// Stop ends the command for good and waits for its end.
func (p *Process) Stop() error {
	if p.ended() {
		return nil
	}
	_ = p.hold.kill()
	_ = p.proc.Kill()
	<-p.done
	return nil
}
