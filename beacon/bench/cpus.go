package bench

import (
	"errors"
	"fmt"
	"runtime"
)

// CPUs says on how many processors the two ends run.
type CPUs uint8

// One puts both ends on the same processor: the length of the path without the wake-up of another. Two gives each its own: what a quiet host
// with processors to spare does, and the only way to look at a core that spins.
const (
	One CPUs = 1
	Two CPUs = 2
)

// The refusals of this package.
var (
	ErrCPUs     = errors.New(`unknown number of processors: want "one" or "two"`)
	ErrTooFew   = errors.New("this process may use only one processor")
	ErrConfig   = errors.New("bench configuration")
	ErrPlatform = errors.New("this platform offers no such thing")
	ErrPeer     = errors.New("the other end failed")
)

// ParseCPUs reads "one" or "two".
func ParseCPUs(s string) (CPUs, error) {
	switch s {
	case "one":
		return One, nil
	case "two":
		return Two, nil
	}
	return 0, fmt.Errorf("%w, got %q", ErrCPUs, s)
}

// String returns the word that ParseCPUs reads.
func (c CPUs) String() string {
	switch c {
	case One:
		return "one"
	case Two:
		return "two"
	}
	return fmt.Sprintf("CPUs(%d)", uint8(c))
}

// seat is where the two ends sit: processors, and how many threads of each may run Go code at once.
type seat struct {
	near, far int
	procs     int
}

// choose finds the quietest processors that this process may use.
func (c CPUs) choose() (seat, error) {
	quiet, err := quietest()
	if err != nil {
		return seat{}, err
	}
	if c == One {
		return seat{near: quiet[0], far: quiet[0], procs: 1}, nil
	}
	if len(quiet) < 2 {
		return seat{}, ErrTooFew
	}
	return seat{near: quiet[0], far: quiet[1], procs: 2}, nil
}

// sit moves this process to a processor and returns the way back. Two threads of Go code on one processor let a thread that spins and the
// rest of its process take turns.
func sit(cpu, procs int) (leave func(), err error) {
	unpin, err := pin(cpu)
	if err != nil {
		return nil, err
	}
	before := runtime.GOMAXPROCS(procs)
	return func() {
		runtime.GOMAXPROCS(before)
		unpin()
	}, nil
}
