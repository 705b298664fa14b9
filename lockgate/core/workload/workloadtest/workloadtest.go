// Package workloadtest holds the one conformance test of workloads, and a fake
// workload that passes it and lives in virtual time.
package workloadtest

import (
	"sync"
	"testing"
	"time"
)

// Workload is what the agent needs of a command.
type Workload interface {
	Thaw() error
	Freeze() error
	Used() (time.Duration, error)
	Done() <-chan struct{}
	Stop() error
}

// Fake burns CPU time as fast as time passes while it is thawed. It reads the
// clock of its bubble under testing/synctest.
type Fake struct {
	mu    sync.Mutex // guards what follows
	cores int        // how many CPUs it keeps busy
	used  time.Duration
	since time.Time // thawed at; zero: frozen
	thaws int
	done  chan struct{}
	gone  bool
}

// NewFake makes a frozen fake that will keep so many CPUs busy.
func NewFake(cores int) *Fake { return &Fake{cores: cores, done: make(chan struct{})} }

// settle adds what was burnt since the last look.
func (f *Fake) settle() {
	if f.since.IsZero() {
		return
	}
	now := time.Now()
	f.used += now.Sub(f.since) * time.Duration(f.cores)
	f.since = now
}

// Thaw lets it burn.
func (f *Fake) Thaw() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	if !f.gone && f.since.IsZero() {
		f.since = time.Now()
		f.thaws++
	}
	return nil
}

// SetCores changes how many CPUs it keeps busy while it is thawed.
func (f *Fake) SetCores(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	f.cores = n
}

// Freeze stops it.
func (f *Fake) Freeze() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	f.since = time.Time{}
	return nil
}

// Used is the CPU time burnt.
func (f *Fake) Used() (time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle()
	return f.used, nil
}

// Running says whether it is thawed, and how often it was.
func (f *Fake) Running() (bool, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.since.IsZero(), f.thaws
}

// Done is closed by Stop.
func (f *Fake) Done() <-chan struct{} { return f.done }

// Stop ends it.
func (f *Fake) Stop() error {
	_ = f.Freeze()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		f.gone = true
		close(f.done)
	}
	return nil
}

// Run checks a busy workload that start makes, frozen. The steps take real (or
// virtual) fractions of a second.
func Run(t *testing.T, start func(testing.TB) Workload) {
	const slice = 120 * time.Millisecond
	used := func(t *testing.T, w Workload) time.Duration {
		t.Helper()
		d, err := w.Used()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	w := start(t)
	time.Sleep(slice)
	born := used(t, w)
	if born > 40*time.Millisecond {
		t.Fatalf("it ran before the first thaw: %v", born)
	}
	if err := w.Thaw(); err != nil {
		t.Fatal(err)
	}
	ran := waitFor(t, w, born+30*time.Millisecond)
	if err := w.Freeze(); err != nil {
		t.Fatal(err)
	}
	frozen := used(t, w)
	if frozen < ran {
		t.Fatalf("the meter went back from %v to %v", ran, frozen)
	}
	time.Sleep(slice)
	// 10 ms: the coarsest meter's tick may be credited late.
	if later := used(t, w); later > frozen+10*time.Millisecond {
		t.Fatalf("frozen, and yet it used %v", later-frozen)
	}
	if err := w.Freeze(); err != nil {
		t.Fatalf("freezing twice: %v", err)
	}
	if err := w.Thaw(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, w, frozen+30*time.Millisecond)
	if err := w.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(); err != nil { // frozen things can be ended, too
		t.Fatal(err)
	}
	<-w.Done() // or the test hangs, and says where
	total := used(t, w)
	if again := used(t, w); again != total {
		t.Fatalf("the total changed after the end: %v, %v", total, again)
	}
	if err := w.Freeze(); err != nil {
		t.Fatalf("freezing what has ended: %v", err)
	}
	if err := w.Stop(); err != nil {
		t.Fatalf("stopping twice: %v", err)
	}
}

// waitFor lets the workload run until it has used so much; it is busy and gets
// there. Thawing again and again is what an agent does, too.
func waitFor(t *testing.T, w Workload, want time.Duration) time.Duration {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if d, err := w.Used(); err == nil && d >= want {
			return d
		}
		if err := w.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("thawed, and yet it does not get to %v", want)
	return 0
}
