package delayline

import "time"

// timer is an alarm clock: arm may be called at any time, also while another goroutine waits, and replaces what was set.
type timer interface {
	arm(d time.Duration) // d ≥ 0
	wait() bool          // until the alarm; false once stopped
	stop()
}

// goTimer works everywhere and in virtual time, where it is exact. In real time Go serves it to the millisecond.
type goTimer struct {
	t       *time.Timer
	stopped chan struct{}
}

func newGoTimer() timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &goTimer{t, make(chan struct{})}
}

func (g *goTimer) arm(d time.Duration) { g.t.Reset(d) }

func (g *goTimer) wait() bool {
	select {
	case <-g.t.C:
		return true
	case <-g.stopped:
		return false
	}
}

func (g *goTimer) stop() {
	g.t.Stop()
	close(g.stopped)
}
