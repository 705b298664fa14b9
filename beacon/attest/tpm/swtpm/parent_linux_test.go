package swtpm_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
)

// hostOf makes this program the host of a TPM, for the test that kills it.
const hostOf = "URSA_TEST_HOST_OF_TPM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostOf); dir != "" {
		r, err := swtpm.Start(dir, false)
		if err != nil {
			os.Stdout.WriteString("failed: " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString(r.Address + "\n")
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

// gone says that nobody listens there any more. A TPM that is busy with another connection is not gone.
func gone(address string) bool {
	c, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

func TestLifeOfATPM(t *testing.T) {
	swtpmtest.Need(t)
	dir := swtpmtest.ShortDir(t)
	swtpmtest.Manufacture(t, dir)
	t.Run("ends with a killed host", func(t *testing.T) { endsWithAKilledHost(t, dir) })
	t.Run("outlives the thread that asked for it", func(t *testing.T) { outlivesThreads(t, dir) })
}

// A host that is killed cannot stop its TPM any more; the TPM ends all the same.
func endsWithAKilledHost(t *testing.T, dir string) {
	t.Helper()
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostOf+"="+dir)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address := strings.TrimSpace(line)
	if err != nil || gone(address) {
		t.Errorf("host says %q (%v), and no TPM answers", line, err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	for until := time.Now().Add(time.Minute); !gone(address); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the TPM outlives its host")
		}
	}
}

// Threads come and go while a program runs; the TPM is not to end with the one that asked for it.
func outlivesThreads(t *testing.T, dir string) {
	t.Helper()
	type result struct {
		r   *swtpm.Running
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		r, err := swtpm.Start(dir, false)
		made <- result{r, err}
	}()
	x := <-made
	if x.err != nil {
		t.Fatal(x.err)
	}
	defer x.r.Stop()
	for range 50 {
		if gone(x.r.Address) {
			t.Fatal("the TPM ended with a thread")
		}
		time.Sleep(time.Millisecond)
	}
}
