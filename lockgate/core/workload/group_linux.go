package workload

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// group holds a command by signals to everything that descends from its leader
// or is in its session or process group, as far as /proc shows it.
type group struct {
	mu     sync.Mutex // guards what follows
	leader int
	start  uint64                   // when the leader began: its pid may be given to another later
	seen   map[procID]time.Duration // own CPU time of every process ever seen
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

// members lists the living processes of the command.
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
	if l, ok := all[g.leader]; ok && l.start != g.start {
		return nil // the kernel gives a pid anew only when no group and session of that number is left
	}
	var out []stat
	for _, s := range all {
		if g.ours(s, all) {
			out = append(out, s)
		}
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

func (g *group) signal(sig syscall.Signal) error {
	members := g.members()
	if len(members) > 0 {
		_ = syscall.Kill(-g.leader, sig) // all of the group at once
	}
	for _, s := range members {
		_ = syscall.Kill(s.pid, sig)
	}
	return nil
}

func (g *group) freeze() error { return g.signal(syscall.SIGSTOP) }
func (g *group) thaw() error   { return g.signal(syscall.SIGCONT) }
func (g *group) kill() error   { return g.signal(syscall.SIGKILL) }
func (g *group) release()      {}

func (g *group) frozen() (bool, error) {
	for _, s := range g.members() {
		if s.state != 'T' && s.state != 't' && s.state != 'Z' && s.state != 'X' {
			return false, nil
		}
	}
	return true, nil
}

// cpu is the larger of two accounts that each miss something: what every
// process ever seen used itself, and what the living used with the children
// that they waited for.
func (g *group) cpu() (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var living, ever time.Duration
	found := false
	for _, s := range g.members() {
		found = found || s.pid == g.leader
		living += s.own + s.children
		g.seen[s.procID] = max(g.seen[s.procID], s.own)
	}
	for _, d := range g.seen {
		ever += d
	}
	if !found && ever == 0 {
		return 0, fmt.Errorf("workload: process %d is not in /proc", g.leader)
	}
	return max(living, ever), nil
}

func (g *group) lastWords() string { return fmt.Sprintf("kill -9 -%d", g.leader) }
