package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pin moves every thread of this process to one processor; threads made later inherit it. A thread that starts another while this runs
// may slip through, so it is done until nothing changes.
func pin(cpu int) (restore func(), err error) {
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("asking for this process's processors: %w", err)
	}
	only.Set(cpu)
	if err := moveAll(&only); err != nil {
		return nil, fmt.Errorf("moving to processor %d: %w", cpu, err)
	}
	return func() { _ = moveAll(&before) }, nil
}

func moveAll(to *unix.CPUSet) error {
	for moved := -1; moved != 0; {
		moved = 0
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			var now unix.CPUSet
			if err := unix.SchedGetaffinity(id, &now); err == unix.ESRCH || err == nil && now == *to {
				continue
			}
			if err := unix.SchedSetaffinity(id, to); err != nil && err != unix.ESRCH {
				return err
			}
			moved++
		}
	}
	return nil
}

// quietest lists the processors that this process may use, the one that was idle most in the last tenth of a second first.
func quietest() ([]int, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("asking for this process's processors: %w", err)
	}
	before, err := idle()
	if err != nil {
		return nil, err
	}
	time.Sleep(100 * time.Millisecond)
	after, err := idle()
	if err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := range after {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	slices.SortFunc(cpus, func(a, b int) int {
		if d := (after[b] - before[b]) - (after[a] - before[a]); d != 0 {
			return d
		}
		return a - b
	})
	if len(cpus) == 0 {
		return nil, fmt.Errorf("%w: /proc/stat lists no processor", ErrPlatform)
	}
	return cpus, nil
}

// idle reads the idle time of each processor in ticks (proc(5)).
func idle() (map[int]int, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, err
	}
	ticks := map[int]int{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		cpu, err := strconv.Atoi(fields[0][3:])
		if err != nil {
			continue // the sum over all
		}
		if ticks[cpu], err = strconv.Atoi(fields[4]); err != nil {
			return nil, err
		}
	}
	return ticks, nil
}

// load returns the machine's load of the last minute; false when it is unknown.
func load() (float64, bool) {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(data), " ")
	v, err := strconv.ParseFloat(first, 64)
	return v, err == nil
}

// processorTime returns how long this process has computed, in the kernel and out of it.
func processorTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// rest gives the processor away for a while, by the kernel's own timer: Go's is served in whole milliseconds.
func rest(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}
