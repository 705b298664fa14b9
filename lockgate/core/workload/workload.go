// Package workload runs a command so that it can be metered, frozen and thawed:
// the body that the lock holds still.
//
// What it promises. The command begins frozen and does not execute its first
// instruction before the first Thaw. Freeze stops every process that the
// command has started, and returns when they have stopped. The meter counts the
// CPU time of all of them, the dead included, and never goes back. When the
// process that holds the workload dies, however it dies, the workload is killed:
// it can be started again, but it does not run on unmetered. When that process is
// stopped or hangs, the workload is frozen: a guard, which is a process of its own,
// freezes what has not been metered for longer than Patience. The holder thaws it
// when it goes on.
//
// What it believes: the kernel. There are three holds, the best one that works
// is taken:
//
//	cgroup2   a child group of the unified hierarchy: cgroup.freeze, cpu.stat,
//	          cgroup.kill. Nothing that the command forks gets out.
//	cgroup1   child groups of the freezer and cpuacct hierarchies. As good, but
//	          killing is a loop.
//	group     signals to the session and process group, and to all descendants
//	          that can be found in /proc; CPU time from the same place in ticks
//	          of 10 ms. What daemonises falls back to the leader, which is its
//	          subreaper, and what was ever seen stays known. A process that
//	          leaves the session just before the leader ends may get out, and
//	          children that live and die between two readings count only when
//	          they were waited for. For machines where no control group may be
//	          made.
//
// What an attacker may do: whatever a command may. Somebody with root on the
// machine, or the same user, can thaw the group himself, or stop holder and guard
// both; against him only an attested environment with the lock inside helps.
package workload

import (
	"errors"
	"os"
	"time"
)

// Hold names a way to hold a command.
type Hold string

// The holds, best first.
const (
	HoldAuto    Hold = ""        // the best that works here
	HoldCgroup2 Hold = "cgroup2" // unified hierarchy
	HoldCgroup1 Hold = "cgroup1" // freezer and cpuacct
	HoldGroup   Hold = "group"   // signals and /proc
)

// Refusals.
var (
	ErrNoCommand   = errors.New("workload: no command")
	ErrUnsupported = errors.New("workload: this hold does not work on this machine")
	ErrGone        = errors.New("workload: the command has ended")
	ErrNotFrozen   = errors.New("workload: the command did not stop in time")
	ErrUnguarded   = errors.New("workload: there is no guard over the command")
)

// Config of a command.
type Config struct {
	Command []string // program and arguments; the program is looked up in PATH
	Dir     string   // working directory; empty: the caller's
	Env     []string // environment; nil: the caller's
	Stdout  *os.File // nil: discarded
	Stderr  *os.File // nil: discarded
	Hold    Hold     // HoldAuto unless a certain one is wanted

	// Patience of the guard: how long a running command may go unmetered before it
	// is frozen; 0: 1 s. The meter must be read several times in it.
	Patience time.Duration
}

// Exit is how a command ended.
type Exit struct {
	Code   int           // exit status; -1 when a signal ended it
	Signal string        // the signal, if one did
	CPU    time.Duration // all the CPU time it used
}
