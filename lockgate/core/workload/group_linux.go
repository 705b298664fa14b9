package workload

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// group holds a command by signals to everything that descends from its leader,
// is in its session or process group, or was once seen to be, as far as /proc
// shows it.
type group struct {
	mu     sync.Mutex // guards what follows
	leader int
	start  uint64                   // when the leader began: its pid may be given to another later
	seen   map[procID]time.Duration // own CPU time of the processes that live, or did at the last reading
	dead   time.Duration            // of those that have died since
}

// procID tells apart two processes that had one pid.
type procID struct {
	pid   int
	start uint64
}

// tick is the unit of /proc/PID/stat; the kernel has reported to user space in
// hundredths of a second for as long as there has been Go.
const tick = 10 * time.Millisecond

func newGroup() *group { return &group{seen: map[procID]time.Duration{}} }

type stat struct {
	procID
	parent, pgrp, session int
	state                 byte
	own, children         time.Duration
}

// readStat parses /proc/PID/stat; see proc_pid_stat(5).
func readStat(pid int) (stat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	if i := strings.LastIndex(string(b), ") "); i >= 0 {
		rest = string(b[i+2:]) // a command may have ") " in its name
	}
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return stat{}, false
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
	s := stat{state: f[0][0], parent: int(num(1)), pgrp: int(num(2)), session: int(num(3))}
	s.pid, s.start = pid, uint64(num(19))
	s.own = time.Duration(num(11)+num(12)) * tick
	s.children = time.Duration(num(13)+num(14)) * tick
	return s, true
}

// members lists the living processes of the command, and notes them as seen. The
// caller holds mu.
func (g *group) members() []stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	all := map[int]stat{}
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			if s, ok := readStat(pid); ok {
				all[pid] = s
			}
		}
	}
	// The kernel gives a pid anew only when no group and session of that number
	// is left; then only those seen before can be ours.
	l, there := all[g.leader]
	named := !there || l.start == g.start
	var out []stat
	for _, s := range all {
		if _, known := g.seen[s.procID]; known || named && g.ours(s, all) {
			out = append(out, s)
		}
	}
	for _, s := range out {
		g.seen[s.procID] = max(g.seen[s.procID], s.own)
	}
	return out
}

func (g *group) ours(s stat, all map[int]stat) bool {
	if s.pid == g.leader || s.pgrp == g.leader || s.session == g.leader {
		return true
	}
	for range 64 { // up the tree, which is never deep
		if s.parent == g.leader {
			return true
		}
		up, ok := all[s.parent]
		if !ok || up.pid <= 1 {
			return false
		}
		s = up
	}
	return false
}

func (g *group) adopt(pid int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := readStat(pid)
	if !ok {
		return fmt.Errorf("%w: /proc does not show process %d", ErrUnsupported, pid)
	}
	g.leader, g.start = pid, s.start
	return nil
}

func (g *group) where() []string {
	return []string{strconv.Itoa(g.leader), strconv.FormatUint(g.start, 10)}
}

func (g *group) signal(sig syscall.Signal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	members := g.members()
	if slices.ContainsFunc(members, func(s stat) bool { return s.pgrp == g.leader }) {
		_ = syscall.Kill(-g.leader, sig) // all of the group at once
	}
	for _, s := range members {
		_ = syscall.Kill(s.pid, sig)
	}
	return nil
}

func (g *group) freeze() error { return g.signal(syscall.SIGSTOP) }
func (g *group) thaw() error   { return g.signal(syscall.SIGCONT) }
func (g *group) release()      {}

func (g *group) frozen() (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.members() {
		if s.state != 'T' && s.state != 't' && !s.gone() {
			return false, nil
		}
	}
	return true, nil
}

func (g *group) pids() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []int
	for _, s := range g.members() {
		out = append(out, s.pid)
	}
	return out
}

// gone says whether a process only waits to be taken notice of.
func (s stat) gone() bool { return s.state == 'Z' || s.state == 'X' }

// kill ends the leader last: as long as it is there, what daemonises falls back
// to it and is found. What was killed takes until it is given a processor.
func (g *group) kill() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for end := time.Now().Add(endWait); ; time.Sleep(2 * time.Millisecond) {
		leader, others := false, 0
		for _, s := range g.members() {
			switch {
			case s.gone():
			case s.pid == g.leader:
				leader = true
				_ = syscall.Kill(s.pid, syscall.SIGSTOP)
			default:
				others++
				_ = syscall.Kill(s.pid, syscall.SIGKILL)
			}
		}
		if others == 0 {
			if leader {
				_ = syscall.Kill(g.leader, syscall.SIGKILL)
			}
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: it makes processes faster than they can be ended", ErrNotFrozen)
		}
	}
}

// cpu is the larger of two accounts that each miss something: what every
// process ever seen used itself, and what the living used with the children
// that they waited for.
func (g *group) cpu() (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var living, ever time.Duration
	members := g.members()
	here := make(map[procID]bool, len(members))
	for _, s := range members {
		here[s.procID] = true
		living += s.own + s.children
	}
	for id, d := range g.seen {
		if here[id] {
			ever += d
			continue
		}
		g.dead += d // its pid and start come never again
		delete(g.seen, id)
	}
	ever += g.dead
	if len(members) == 0 && ever == 0 {
		return 0, fmt.Errorf("workload: process %d is not in /proc", g.leader)
	}
	return max(living, ever), nil
}
