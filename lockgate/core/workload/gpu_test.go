package workload

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Answers of the driver's tool in the forms of several releases.
const (
	pmonNew = `# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command
# Idx           #    C/G      %      %      %      %      %      %    name
    0       7372     C     45     12      -      -      -      -    python3
    0       7399     C      -      -      -      -      -      -    python3
    1       7372     C     99     61      -      -      -      -    python3
    2          -     -      -      -      -      -      -      -    -
`
	pmonOld = `# gpu        pid  type    sm   mem   enc   dec   command
# Idx          #   C/G     %     %     %     %   name
    0       1566     G     0     0     0     0   Xorg
    0      14835     C    45    15     0     0   a command
`
)

func TestPmonIsRead(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []use
		err  error
	}{
		"with media engines": {pmonNew, []use{{0, 7372, 45}, {0, 7399, 100}, {1, 7372, 99}}, nil},
		"of old":             {pmonOld, []use{{0, 1566, 0}, {0, 14835, 45}}, nil},
		"nobody there":       {"# gpu pid type sm\n 0 - - -\n", nil, nil},
		"nothing":            {"", nil, ErrGPUOutput},
		"no such column":     {"# gpu pid type fb\n 0 1 C 5\n", nil, ErrGPUOutput},
		"words":              {"No devices were found\n", nil, ErrGPUOutput},
		"more than all":      {"# gpu pid type sm\n 0 1 C 101\n", nil, ErrGPUOutput},
		"a negative process": {"# gpu pid type sm\n 0 -4 C 1\n", nil, ErrGPUOutput},
		"cut off":            {"# gpu pid type sm\n 0 1\n", nil, ErrGPUOutput},
	} {
		got, err := parsePmon([]byte(tt.text))
		if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzParsePmon(f *testing.F) {
	f.Add([]byte(pmonNew))
	f.Add([]byte(pmonOld))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parsePmon(b)
		if err != nil && list != nil {
			t.Error("an answer and an error")
		}
		for _, u := range list {
			if u.pid < 1 || u.percent < 0 || u.percent > 100 {
				t.Errorf("%+v", u)
			}
		}
	})
}

// idle is a workload of two processes that uses no CPU time.
type idle struct {
	done chan struct{}
	once sync.Once
}

func (w *idle) Thaw() error                  { return nil }
func (w *idle) Freeze() error                { return nil }
func (w *idle) Used() (time.Duration, error) { return 0, nil }
func (w *idle) Done() <-chan struct{}        { return w.done }
func (w *idle) Stop() error                  { w.once.Do(func() { close(w.done) }); return nil }
func (w *idle) PIDs() []int                  { return []int{7372, 9} }

// TestGPUTime: a process at 45 % of one GPU and 99 % of another uses 1.44 s of
// GPU time in a second; processes of others count nothing. A driver that falls
// silent is an error, not zero.
func TestGPUTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var trouble error
		g := WithGPU(&idle{done: make(chan struct{})}, 3, func(context.Context) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			return []byte(pmonNew), trouble
		}, 0)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if used, err := g.Used(); err != nil || used != 14400*time.Millisecond {
			t.Errorf("%v %v", used, err)
		}
		mu.Lock()
		trouble = errors.New("no devices")
		mu.Unlock()
		time.Sleep(gpuFailures * time.Second)
		synctest.Wait()
		if _, err := g.Used(); !errors.Is(err, ErrGPUSilent) || !errors.Is(err, trouble) {
			t.Error(err)
		}
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNoDriverIsSaid(t *testing.T) {
	if _, _, err := NVIDIA(); err != nil && !errors.Is(err, ErrNoGPU) {
		t.Error(err)
	}
}
