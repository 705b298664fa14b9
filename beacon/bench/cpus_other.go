//go:build !linux

package bench

import (
	"runtime"
	"time"
)

func pin(int) (restore func(), err error) { return func() {}, nil }

func quietest() ([]int, error) {
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

func load() (float64, bool) { return 0, false }

func processorTime() (time.Duration, error) { return 0, ErrPlatform }

func rest(d time.Duration) { time.Sleep(d) }
