package workload_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core/workload"
	"github.com/ursa-virtual/ursa/lockgate/core/workload/workloadtest"
)

const busy = "while :; do :; done"

// lacks leaves a test out where the machine does not let us have a control group. Process groups are everywhere: there it fails.
func lacks(t testing.TB, hold workload.Hold, why any) {
	t.Helper()
	if hold == workload.HoldGroup {
		t.Fatalf("%s: %v", hold, why)
	}
	t.Skipf("this machine has no %s for us: %v", hold, why)
}

// begin starts a command under a hold, and skips where the machine lacks it.
func begin(t testing.TB, hold workload.Hold, command ...string) *workload.Process {
	t.Helper()
	p, err := workload.Start(workload.Config{Command: command, Hold: hold})
	if errors.Is(err, workload.ErrUnsupported) {
		lacks(t, hold, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	return p
}

var holds = []workload.Hold{workload.HoldCgroup2, workload.HoldCgroup1, workload.HoldGroup}

func TestConformance(t *testing.T) {
	for _, hold := range holds {
		t.Run(string(hold), func(t *testing.T) {
			t.Parallel()
			workloadtest.Run(t, func(t testing.TB) workloadtest.Workload { return begin(t, hold, "sh", "-c", busy) })
		})
		t.Run(string(hold)+" with children", func(t *testing.T) {
			t.Parallel()
			workloadtest.Run(t, func(t testing.TB) workloadtest.Workload {
				return begin(t, hold, "sh", "-c", fmt.Sprintf("sh -c '%s' & (%s) & wait", busy, busy))
			})
		})
	}
	t.Run("fake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			workloadtest.Run(t, func(testing.TB) workloadtest.Workload { return workloadtest.NewFake(2) })
		})
	})
}

func TestExit(t *testing.T) {
	for _, hold := range holds {
		t.Run(string(hold), func(t *testing.T) {
			p := begin(t, hold, "sh", "-c", "exit 7")
			if _, ended := p.Exit(); ended {
				t.Fatal("ended before it was thawed")
			}
			if err := p.Thaw(); err != nil {
				t.Fatal(err)
			}
			<-p.Done()
			if e, ended := p.Exit(); !ended || e.Code != 7 {
				t.Fatalf("%+v %v", e, ended)
			}
			if err := p.Thaw(); !errors.Is(err, workload.ErrGone) {
				t.Fatal(err)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	for _, c := range []struct {
		config workload.Config
		want   error
	}{
		{workload.Config{}, workload.ErrNoCommand},
		{workload.Config{Command: []string{"no-such-program-anywhere"}}, exec.ErrNotFound},
		{workload.Config{Command: []string{"sh"}, Hold: "glue"}, workload.ErrUnsupported},
	} {
		if _, err := workload.Start(c.config); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
	file := filepath.Join(t.TempDir(), "no-program")
	if err := os.WriteFile(file, []byte("text"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := workload.Start(workload.Config{Command: []string{file}, Hold: workload.HoldGroup}); err == nil {
		t.Error("started a text")
	}
}

// TestKilledHolder kills the process that holds a running workload, with a
// signal that it cannot catch; nothing of the workload may run on.
func TestKilledHolder(t *testing.T) {
	if hold := os.Getenv("URSA_TEST_HOLDER"); hold != "" {
		p := begin(t, workload.Hold(hold), "sh", "-c", fmt.Sprintf("(%s) & %s", busy, busy))
		if err := p.Thaw(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("pid", p.PID())
		for range 60_000 { // until it is killed; the guard must not freeze it before
			time.Sleep(10 * time.Millisecond)
			if _, err := p.Used(); err != nil {
				t.Fatal(err)
			}
			if err := p.Thaw(); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	for _, hold := range holds {
		t.Run(string(hold), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledHolder$", "-test.v")
			cmd.Env = append(os.Environ(), "URSA_TEST_HOLDER="+string(hold))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			pid := 0
			for s := bufio.NewScanner(out); pid == 0 && s.Scan(); {
				if _, n, ok := strings.Cut(s.Text(), "pid "); ok {
					pid, _ = strconv.Atoi(n)
				}
			}
			if pid == 0 {
				lacks(t, hold, "it did not start")
			}
			t.Cleanup(func() {
				for _, p := range session(pid) {
					_ = syscall.Kill(p, syscall.SIGKILL)
				}
			})
			eventually(t, "the workload has two processes", func() bool { return len(session(pid)) >= 2 })
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			eventually(t, "nothing of the workload runs on without its holder", func() bool { return len(session(pid)) == 0 })
		})
	}
}

// TestEndWaitsForTheDying: what was killed is gone only when it was given a
// processor. However long that takes, nothing is left behind.
func TestEndWaitsForTheDying(t *testing.T) {
	t.Parallel()
	p := begin(t, workload.HoldGroup, "sh", "-c", fmt.Sprintf("(%s) & wait", busy))
	child := 0
	eventually(t, "the workload has a child", func() bool {
		_, _ = p.Thaw(), live(p)
		for _, pid := range p.PIDs() {
			if pid != p.PID() {
				child = pid
			}
		}
		return child != 0
	})
	let, err := workload.Hinder(child)
	if err != nil {
		t.Skipf("this machine lets us hinder no process: %v", err)
	}
	const hindered = 1500 * time.Millisecond
	begun := time.Now()
	time.AfterFunc(hindered, let)
	if err := p.Stop(); err != nil || time.Since(begun) < hindered {
		t.Errorf("it ended after %v: %v", time.Since(begun), err)
	}
	if left := session(p.PID()); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

// session lists the living processes of a session.
func session(leader int) []int {
	dir, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, f := range dir {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		i := strings.LastIndex(string(b), ") ")
		if i < 0 {
			continue
		}
		fields := strings.Fields(string(b)[i+2:])
		if len(fields) > 3 && fields[3] == strconv.Itoa(leader) && fields[0] != "Z" && fields[0] != "X" {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}

func BenchmarkFreezeThaw(b *testing.B) {
	for _, hold := range holds {
		b.Run(string(hold), func(b *testing.B) {
			p := begin(b, hold, "sh", "-c", busy)
			for b.Loop() {
				if err := p.Thaw(); err != nil {
					b.Fatal(err)
				}
				if err := p.Freeze(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUsed(b *testing.B) {
	for _, hold := range holds {
		b.Run(string(hold), func(b *testing.B) {
			p := begin(b, hold, "sh", "-c", busy)
			for b.Loop() {
				if _, err := p.Used(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
