package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Metered is a workload whose processes can be told; Process is one.
type Metered interface {
	Thaw() error
	Freeze() error
	Used() (time.Duration, error)
	Done() <-chan struct{}
	Stop() error
	PIDs() []int
}

// GPU is a workload that is metered by the time of its graphics processors as
// well: Used is CPU time and GPU time together. GPU time is what the driver says
// of each process, integrated over the time between two looks: the share of it in
// which kernels of the process ran (its "sm" column), on each GPU. A process that
// holds a GPU of which the driver cannot say how busy it is counts as keeping it
// busy, since nothing is not what is known of it. Frozen processes start no more
// kernels; one that runs is finished by the GPU.
type GPU struct {
	Metered
	gpus int
	look func(context.Context) ([]byte, error)
	stop context.CancelFunc
	over chan struct{}

	mu     sync.Mutex // guards what follows
	used   time.Duration
	failed error // the driver does not answer any more
}

// Refusals of GPU metering.
var (
	ErrNoGPU     = errors.New("workload: no driver of a GPU is here")
	ErrGPUOutput = errors.New("workload: the GPU's driver answers in a way that is not known here")
	ErrGPUSilent = errors.New("workload: the GPU's driver does not answer; what it does cannot be metered")
)

// NVIDIA finds the driver: how many GPUs it has, and a function that asks its own
// tool once what each process does on each of them. ErrNoGPU when there is no
// driver or no tool.
func NVIDIA() (gpus int, look func(context.Context) ([]byte, error), err error) {
	list, err := os.ReadDir("/proc/driver/nvidia/gpus")
	if err != nil || len(list) == 0 {
		return 0, nil, ErrNoGPU
	}
	tool, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return 0, nil, fmt.Errorf("%w: nvidia-smi is missing", ErrNoGPU)
	}
	return len(list), func(ctx context.Context) ([]byte, error) {
		return exec.CommandContext(ctx, tool, "pmon", "--count", "1", "--select", "u").Output()
	}, nil
}

// patience with a driver: so many looks in a row may fail.
const gpuFailures = 3

// WithGPU meters the time of a workload on so many GPUs by looking at it again and
// again; 0 means every second.
func WithGPU(w Metered, gpus int, look func(context.Context) ([]byte, error), every time.Duration) *GPU {
	if every <= 0 {
		every = time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &GPU{Metered: w, gpus: gpus, look: look, stop: cancel, over: make(chan struct{})}
	go g.watch(ctx, every)
	return g
}

// watch looks until it is stopped, or the driver has failed too often.
func (g *GPU) watch(ctx context.Context, every time.Duration) {
	defer close(g.over)
	last, failures := time.Now(), 0
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.Done():
			return
		case <-t.C:
		}
		busy, err := g.once(ctx, every)
		now := time.Now()
		g.mu.Lock()
		if err == nil {
			failures = 0
			for _, percent := range busy {
				g.used += (now.Sub(last)*time.Duration(percent) + 99) / 100
			}
			last = now // what a failed look missed, the next one counts
		} else if failures++; failures >= gpuFailures && ctx.Err() == nil {
			g.failed = fmt.Errorf("%w: %w", ErrGPUSilent, err)
		}
		g.mu.Unlock()
	}
}

// once is how busy the workload's processes keep each GPU that they hold, in
// hundredths.
func (g *GPU) once(ctx context.Context, every time.Duration) ([]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*every)
	defer cancel()
	out, err := g.look(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := parsePmon(out)
	if err != nil {
		return nil, err
	}
	ours := map[int]bool{}
	for _, pid := range g.PIDs() {
		ours[pid] = true
	}
	var busy []int
	for _, u := range uses {
		if ours[u.pid] {
			busy = append(busy, u.percent)
		}
	}
	return busy, nil
}

// Used is the CPU and GPU time so far. It never goes back.
func (g *GPU) Used() (time.Duration, error) {
	cpu, err := g.Metered.Used()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		err = g.failed
	}
	return cpu + g.used, err
}

// Processors is how many processors of all kinds can work at once.
func (g *GPU) Processors() int { return runtime.NumCPU() + g.gpus }

// Stop ends the workload for good.
func (g *GPU) Stop() error {
	g.stop()
	<-g.over
	return g.Metered.Stop()
}

// use is one process on one GPU.
type use struct{ gpu, pid, percent int }

// parsePmon reads the answer of "nvidia-smi pmon": a line of column names after
// a #, then a line for each process on each GPU, with - for what is not known and
// for a GPU without processes.
func parsePmon(out []byte) ([]use, error) {
	gpu, pid, sm := -1, -1, -1
	var list []use
	for line := range strings.Lines(string(bytes.TrimSpace(out))) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if strings.HasPrefix(f[0], "#") {
			if names := columns(f); gpu < 0 {
				gpu, pid, sm = names["gpu"]-1, names["pid"]-1, names["sm"]-1
			}
			continue
		}
		if gpu < 0 || pid < 0 || sm < 0 || len(f) <= max(gpu, pid, sm) {
			return nil, fmt.Errorf("%w: %q", ErrGPUOutput, strings.TrimSpace(line))
		}
		if f[pid] == "-" {
			continue // nobody is on this GPU
		}
		u := use{percent: 100}
		var errs [3]error
		u.gpu, errs[0] = strconv.Atoi(f[gpu])
		u.pid, errs[1] = strconv.Atoi(f[pid])
		if f[sm] != "-" {
			u.percent, errs[2] = strconv.Atoi(f[sm])
		}
		if errors.Join(errs[:]...) != nil || u.pid < 1 || u.percent < 0 || u.percent > 100 {
			return nil, fmt.Errorf("%w: %q", ErrGPUOutput, strings.TrimSpace(line))
		}
		list = append(list, u)
	}
	if gpu < 0 {
		return nil, fmt.Errorf("%w: no line of column names", ErrGPUOutput)
	}
	return list, nil
}

// columns gives each name its place, from 1; the # may stand by itself or not.
func columns(f []string) map[string]int {
	if f[0] == "#" {
		f = f[1:]
	} else {
		f = append([]string{strings.TrimPrefix(f[0], "#")}, f[1:]...)
	}
	out := map[string]int{}
	for i, name := range f {
		out[name] = i + 1
	}
	return out
}
