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
	"time"

	"github.com/ursa-virtual/ursa/lockgate/core/workload"
)

// TestStoppedHolder stops the process that meters a running workload: the guard
// freezes the workload, and when the holder goes on it runs again.
func TestStoppedHolder(t *testing.T) {
	if hold := os.Getenv("URSA_TEST_STOPPED"); hold != "" {
		p, err := workload.Start(workload.Config{Command: []string{"sh", "-c", busy}, Hold: workload.Hold(hold), Patience: 200 * time.Millisecond})
		if err != nil {
			return // the caller sees no pid
		}
		fmt.Println("pid", p.PID())
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			if err = p.Thaw(); err == nil {
				_, err = p.Used()
			}
		}
		t.Fatal(err)
	}
	for _, hold := range holds {
		t.Run(string(hold), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestStoppedHolder$", "-test.v")
			cmd.Env = append(os.Environ(), "URSA_TEST_STOPPED="+string(hold))
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
			for round := range 2 {
				eventually(t, fmt.Sprintf("round %d: it runs", round), func() bool { return grows(pid) })
				_ = cmd.Process.Signal(syscall.SIGSTOP)
				eventually(t, fmt.Sprintf("round %d: the guard freezes it", round), func() bool { return !grows(pid) })
				_ = cmd.Process.Signal(syscall.SIGCONT)
			}
		})
	}
}

// TestLostGuard: without a guard nothing runs.
func TestLostGuard(t *testing.T) {
	p := begin(t, workload.HoldAuto, "sh", "-c", busy)
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Guard(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the meter says so", func() bool { _, err := p.Used(); return errors.Is(err, workload.ErrUnguarded) })
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Thaw(); !errors.Is(err, workload.ErrUnguarded) {
		t.Error(err)
	}
}

// TestDaemonsAreHeld: what daemonises, with a session of its own and a parent
// that has died, is metered, frozen and ended with the rest.
func TestDaemonsAreHeld(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("this machine has no setsid")
	}
	for _, hold := range holds {
		t.Run(string(hold), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			p := begin(t, hold, "sh", "-c", fmt.Sprintf("(setsid sh -c 'echo $$ >%s.new; mv %s.new %s; %s' &); exec sleep 1000", file, file, file, busy))
			if err := p.Thaw(); err != nil {
				t.Fatal(err)
			}
			daemon := 0
			eventually(t, "the daemon runs", func() bool {
				_, _ = p.Thaw(), live(p)
				b, err := os.ReadFile(file)
				if err != nil {
					return false
				}
				daemon, err = strconv.Atoi(strings.TrimSpace(string(b)))
				return err == nil
			})
			t.Cleanup(func() { _ = syscall.Kill(daemon, syscall.SIGKILL) })
			eventually(t, "the daemon is metered", func() bool { return p.Thaw() == nil && live(p) > 50*time.Millisecond })
			if err := p.Freeze(); err != nil {
				t.Fatal(err)
			}
			before := spent(daemon)
			time.Sleep(200 * time.Millisecond)
			if after := spent(daemon); after-before > 1 { // the last tick may be credited late
				t.Errorf("the daemon runs on while the rest is frozen: %d ticks", after-before)
			}
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the daemon ends", func() bool { return spent(daemon) < 0 })
		})
	}
}

// live reads the meter, which is a sign of life for the guard.
func live(p *workload.Process) time.Duration {
	used, _ := p.Used()
	return used
}

// spent is the CPU time of one process in ticks; below 0: there is none.
func spent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return -1
	}
	f := strings.Fields(string(b[strings.LastIndex(string(b), ") ")+2:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return -1
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// grows says whether a busy process got any further in a while.
func grows(pid int) bool {
	before := spent(pid)
	time.Sleep(150 * time.Millisecond)
	return spent(pid) > before
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}
