package workload

import (
	"os"
	"runtime"
	"syscall"
)

// The names by which a binary that links this package starts itself.
const (
	guardName  = "ursa-guard"  // the watch over a workload, see guard_linux.go
	leaderName = "ursa-leader" // becomes the workload's command, see becomeLeader
)

// self is this very program, also after its file was replaced.
const self = "/proc/self/exe"

// init turns a process that was started under one of these names into what it is
// for, before anything else of the program runs. It is the one init here that
// does something: whichever program holds a workload must be able to start its
// guard, tests and other commands included, and a guard that had to be installed
// or found on the disk would be missing on the day that it is needed.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case guardName:
		os.Exit(watch(os.Args[1:]))
	case leaderName:
		os.Exit(int(becomeLeader(os.Args[1:])))
	}
}

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
const prSetChildSubreaper = 36

// becomeLeader makes this process the one that descendants fall to whose parents
// have died, and then the command itself: what daemonises stays below it, where
// /proc shows it. The setting is kept across execve. It returns only when the
// command cannot be run, with the reason.
func becomeLeader(args []string) syscall.Errno {
	if len(args) < 2 {
		return syscall.EINVAL
	}
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	errno, _ := syscall.Exec(args[0], args[1:], os.Environ()).(syscall.Errno)
	return errno
}
