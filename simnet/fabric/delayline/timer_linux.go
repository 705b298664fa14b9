package delayline

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fdTimer is a timerfd read through Go's poller: to the microsecond, armed by one system call, without a thread of its own.
type fdTimer struct {
	f   *os.File
	raw syscall.RawConn
}

func newFineTimer() timer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return newGoTimer() // coarser, never wrong
	}
	f := os.NewFile(uintptr(fd), "timerfd")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return newGoTimer()
	}
	return &fdTimer{f, raw}
}

func (t *fdTimer) arm(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(1, d)))} // 0 would disarm
	_ = t.raw.Control(func(fd uintptr) {                                  // fails only once closed, and then nobody waits
		_ = unix.TimerfdSettime(int(fd), 0, &spec, nil)
	})
}

func (t *fdTimer) wait() bool {
	var expirations [8]byte
	_, err := t.f.Read(expirations[:])
	return err == nil
}

func (t *fdTimer) stop() { _ = t.f.Close() }
