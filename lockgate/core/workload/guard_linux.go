package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A guard is a process that watches the one that holds a workload, over two
// pipes. The holder says that it is alive whenever it reads the meter:
//
//	holder → guard   'b'  it runs, and I watch: freeze it if I say nothing for a while
//	                 'i'  it is frozen: nothing to watch
//	                 'q'  it has ended well: go
//	                 end  I am gone: end the workload
//	guard → holder   'r'  I watch
//	                 'f'  I froze it: thaw it yourself if it may run
//
// So a holder that is stopped, hangs, or gets no CPU leaves a frozen workload
// behind, and one that dies leaves none. Only the holder ever thaws: what the
// guard does can come too late or too often, never let something run.
const (
	sayRuns, sayIdle, sayQuit = 'b', 'i', 'q'
	sayReady, sayFroze        = 'r', 'f'
)

// guardian is the holder's end of a guard.
type guardian struct {
	cmd   *exec.Cmd
	to    *os.File
	from  *os.File
	every time.Duration // between two signs of life

	tripped atomic.Bool // the guard froze the workload
	lost    atomic.Bool // the guard is gone, and was not sent away
	told    atomic.Int64
	began   time.Time

	mu   sync.Mutex // guards quit and what is written
	quit bool
	done chan struct{}
}

// guardStart bounds how long a guard may take to come up on a busy machine.
const guardStart = 30 * time.Second

// newGuardian starts a guard over a hold and returns when it watches.
func newGuardian(kind Hold, where []string, patience time.Duration) (*guardian, error) {
	fromUs, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnguarded, err)
	}
	from, toUs, err := os.Pipe()
	if err != nil {
		_, _ = fromUs.Close(), to.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnguarded, err)
	}
	cmd := &exec.Cmd{Path: self, Args: append([]string{guardName, string(kind), patience.String()}, where...), Stdin: fromUs, Stdout: toUs,
		Env:         append(os.Environ(), "GOMAXPROCS=1"),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}} // not in reach of signals to the terminal's group
	err = cmd.Start()
	_, _ = fromUs.Close(), toUs.Close()
	if err != nil {
		_, _ = to.Close(), from.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnguarded, err)
	}
	g := &guardian{cmd: cmd, to: to, from: from, every: patience / 8, began: time.Now(), done: make(chan struct{})}
	ready := make(chan bool, 1)
	go g.listen(ready)
	select {
	case ok := <-ready:
		if ok {
			return g, nil
		}
	case <-time.After(guardStart):
	}
	_ = cmd.Process.Kill()
	g.dismiss()
	return nil, fmt.Errorf("%w: it did not come up", ErrUnguarded)
}

// listen hears what the guard says until it has ended.
func (g *guardian) listen(ready chan<- bool) {
	defer close(g.done)
	for b := make([]byte, 1); ; {
		if _, err := g.from.Read(b); err != nil {
			break
		}
		switch b[0] {
		case sayReady:
			ready <- true
		case sayFroze:
			g.tripped.Store(true)
		}
	}
	_ = g.cmd.Wait()
	g.mu.Lock()
	g.lost.Store(!g.quit)
	g.mu.Unlock()
	select {
	case ready <- false:
	default:
	}
}

// say tells the guard something; a guard that does not take it is lost.
func (g *guardian) say(word byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.quit || g.lost.Load() {
		return
	}
	g.told.Store(int64(time.Since(g.began)))
	_ = g.to.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := g.to.Write([]byte{word}); err != nil {
		g.lost.Store(true)
	}
}

// alive is a sign of life, sent no more often than is of use.
func (g *guardian) alive() {
	if time.Since(g.began)-time.Duration(g.told.Load()) >= g.every {
		g.say(sayRuns)
	}
}

// dismiss sends the guard away.
func (g *guardian) dismiss() {
	if g == nil {
		return
	}
	g.say(sayQuit)
	g.mu.Lock()
	g.quit = true
	g.mu.Unlock()
	_ = g.to.Close()
	<-g.done
	_ = g.from.Close()
}

// watch is the guard's life. Its arguments are the hold, the patience, and where
// the hold is.
func watch(args []string) int {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGTSTP, syscall.SIGPIPE)
	if len(args) < 3 {
		return 2
	}
	patience, err := time.ParseDuration(args[1])
	if err != nil || patience <= 0 {
		return 2
	}
	h, err := reopen(Hold(args[0]), args[2:])
	if err != nil {
		return 1
	}
	words := make(chan byte)
	go hear(os.Stdin, words)
	if _, err := os.Stdout.Write([]byte{sayReady}); err != nil {
		return end(h)
	}
	timer := time.NewTimer(patience)
	timer.Stop()
	for {
		select {
		case w, ok := <-words:
			switch {
			case !ok:
				return end(h)
			case w == sayQuit:
				return 0
			case w == sayRuns:
				timer.Reset(patience)
			default:
				timer.Stop()
			}
		case <-timer.C:
			still(h)
			_, _ = os.Stdout.Write([]byte{sayFroze})
			// Once more after a while: the holder may have been about to thaw it.
			timer.Reset(patience)
		}
	}
}

// hear passes on what the holder says, and closes at its end.
func hear(r io.Reader, words chan<- byte) {
	defer close(words)
	for b := make([]byte, 1); ; {
		if _, err := r.Read(b); err != nil {
			return
		}
		words <- b[0]
	}
}

// still freezes a workload until it stands.
func still(h holder) {
	for range 200 {
		_ = h.freeze()
		if ok, err := h.frozen(); ok || err != nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// end leaves nothing of a workload whose holder is gone.
func end(h holder) int {
	_ = h.kill()
	h.release()
	return 0
}

// reopen takes up a hold that another process made.
func reopen(kind Hold, where []string) (holder, error) {
	switch {
	case kind == HoldCgroup2 && len(where) == 1:
		return &cgroup2{dir: where[0]}, nil
	case kind == HoldCgroup1 && len(where) == 2:
		return &cgroup1{freezer: where[0], acct: where[1]}, nil
	case kind == HoldGroup && len(where) == 2:
		pid, err := strconv.Atoi(where[0])
		start, errStart := strconv.ParseUint(where[1], 10, 64)
		if err := errors.Join(err, errStart); err != nil || pid < 2 {
			return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		g := newGroup()
		g.leader, g.start = pid, start
		return g, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnsupported, kind)
}
