package fabric

import (
	"sync"
	"time"
)

// deadline is a moment that can be moved while readers wait for it.
type deadline struct {
	mu         sync.Mutex
	passed     chan struct{} // closed once the moment has come, replaced when it is moved afterwards; nil stands for not closed yet
	isPassed   bool
	timer      *time.Timer
	generation int // of set calls: an alarm that comes late from an earlier one is ignored
}

// wait returns the channel that is closed when the moment comes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

func (d *deadline) channel() chan struct{} {
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// set moves the moment; the zero time removes it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.isPassed {
		d.passed, d.isPassed = nil, false
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.expire()
		return
	}
	mine := d.generation
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.generation == mine {
			d.expire()
		}
	})
}

// expire lets the moment come. The caller holds mu.
func (d *deadline) expire() {
	if !d.isPassed {
		close(d.channel())
		d.isPassed = true
	}
}
