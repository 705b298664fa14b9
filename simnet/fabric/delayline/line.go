package delayline

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultSpin is how long before a value is due the line stops sleeping and looks at the clock: about what an idle virtual
// processor needs to wake up (18–55 µs measured), and little enough that a busy line leaves a core to others.
const DefaultSpin = 60 * time.Microsecond

const never = math.MaxInt64

// Line releases values when they are due.
type Line[T any] struct {
	release  func(v T, due, now time.Duration)
	start    time.Time
	spin     time.Duration
	capacity int
	late     Lateness // written by the line's goroutine under mu
	done     chan struct{}

	mu     sync.Mutex
	queue  queue[T]
	timer  timer // armed, whenever run waits for it, for the first due time less spin
	closed bool
	next   atomic.Int64 // the first due time, or never; written under mu, read by the spinning goroutine without
}

// New starts a line that holds at most capacity values and hands each to release, from one goroutine, together with its due
// time and a reading of the clock at or past it. Release must not block. Spin 0 means DefaultSpin, below 0 no spinning.
func New[T any](capacity int, spin time.Duration, release func(v T, due, now time.Duration)) *Line[T] {
	if spin == 0 {
		spin = DefaultSpin
	}
	if Virtual() {
		return start(capacity, 0, release, newGoTimer())
	}
	return start(capacity, max(0, spin), release, newFineTimer())
}

func start[T any](capacity int, spin time.Duration, release func(v T, due, now time.Duration), t timer) *Line[T] {
	l := &Line[T]{release: release, start: time.Now(), spin: spin, capacity: capacity, timer: t, done: make(chan struct{})}
	l.next.Store(never)
	go l.run()
	return l
}

// Virtual says whether the clock does not move while the caller runs: under testing/synctest time is virtual and waits until all
// goroutines block.
func Virtual() bool { return stands(time.Now()) }

// stands says whether the clock does not move from an instant on.
func stands(since time.Time) bool {
	for range 2000 { // about 100 µs, and two readings on any clock that one would spin on
		if time.Since(since) != 0 {
			return false
		}
	}
	return true
}

// Now reads the line's clock: the time since the line was made.
func (l *Line[T]) Now() time.Duration { return time.Since(l.start) }

// Time converts a reading of the line's clock.
func (l *Line[T]) Time(t time.Duration) time.Time { return l.start.Add(t) }

// Push hands in a value that is due at a reading of the line's clock; a time past means at once. Of values due together the
// lower rank leaves first. It reports false when the line is full or closed.
func (l *Line[T]) Push(due time.Duration, rank uint64, v T) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue.heap) >= l.capacity {
		return false
	}
	l.queue.push(due, rank, v)
	if due < time.Duration(l.next.Load()) {
		l.arm()
	}
	return true
}

// Len returns the number of values held.
func (l *Line[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue.heap)
}

// Lateness returns how late values have left so far.
func (l *Line[T]) Lateness() Lateness {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}

// Close stops the line, forgets what it holds and waits until release will not be called again. Release itself must not call it.
func (l *Line[T]) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.queue = queue[T]{}
		l.next.Store(never)
		l.timer.stop()
	}
	l.mu.Unlock()
	<-l.done
}

// arm sets next to the first due time, and the timer to shortly before. The caller holds mu.
func (l *Line[T]) arm() {
	due, ok := l.queue.due()
	if !ok {
		l.next.Store(never)
		return
	}
	l.next.Store(int64(due))
	l.timer.arm(max(0, due-l.spin-l.Now()))
}

// run is the line's goroutine: sleep, spin, release, again. It arms the timer each time before it sleeps, also when nothing
// left the line: the kernel's timer and the clock that Go reads may disagree by some nanoseconds, and an alarm that comes that
// much too soon must not be the last.
func (l *Line[T]) run() {
	defer close(l.done)
	var batch []entry[T]
	for l.timer.wait() {
		for l.approach() {
			var now time.Duration
			batch, now = l.due(batch[:0])
			for i := range batch {
				l.release(batch[i].v, batch[i].due, now)
			}
			clear(batch)
		}
		l.mu.Lock()
		l.arm()
		l.mu.Unlock()
	}
}

// approach looks at the clock until the first value is due. It answers false when the first value is so far off that sleeping
// is better, or when there is none.
func (l *Line[T]) approach() bool {
	for {
		left := time.Duration(l.next.Load()) - l.Now()
		if left <= 0 {
			return true
		}
		if left > l.spin {
			return false
		}
		runtime.Gosched()
	}
}

// maxBatch bounds how many values leave on one reading of the clock, so that the last is not long under way.
const maxBatch = 32

// due takes out what is due and notes its lateness.
func (l *Line[T]) due(batch []entry[T]) ([]entry[T], time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for len(batch) < maxBatch {
		due, ok := l.queue.due()
		if !ok || due > now {
			break
		}
		batch = append(batch, l.queue.pop())
		l.late.add(now - due)
	}
	l.next.Store(never)
	if due, ok := l.queue.due(); ok {
		l.next.Store(int64(due))
	}
	return batch, now
}
