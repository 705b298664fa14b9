package delayline

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The heap against the obvious way: sort by due time, then rank, then order of arrival.
func TestQueueAgainstSorting(t *testing.T) {
	type item struct {
		due  time.Duration
		rank uint64
		n    int
	}
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		var twin []item
		for n := range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(twin) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				slices.SortStableFunc(twin, func(a, b item) int {
					if a.due != b.due {
						return int(a.due - b.due)
					}
					return int(a.rank) - int(b.rank)
				})
				if got := q.pop(); got.v != twin[0].n || got.due != twin[0].due {
					t.Fatalf("popped %d, want %d", got.v, twin[0].n)
				}
				twin = twin[1:]
				continue
			}
			it := item{time.Duration(rapid.IntRange(0, 9).Draw(t, "due")), uint64(rapid.IntRange(0, 2).Draw(t, "rank")), n}
			q.push(it.due, it.rank, it.n)
			twin = append(twin, it)
		}
		if due, ok := q.due(); ok != (len(twin) > 0) || ok && due != slices.MinFunc(twin, func(a, b item) int { return int(a.due - b.due) }).due {
			t.Fatalf("due %v, %v", due, ok)
		}
	})
}

// In virtual time every value leaves exactly when it is due, pushed from many goroutines and also while others wait.
func TestVirtualTimeIsExact(t *testing.T) {
	const pushers, each = 8, 2000
	synctest.Test(t, func(t *testing.T) {
		released, inexact := 0, 0
		l := New(pushers*each, 0, func(_ int, due, now time.Duration) {
			released++
			if now != due {
				inexact++
			}
		})
		var wg sync.WaitGroup
		for p := range pushers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(p)))
				for range each {
					if !l.Push(l.Now()+1+time.Duration(rnd.Int64N(int64(50*time.Millisecond))), 0, p) {
						t.Error("refused")
					}
					time.Sleep(time.Duration(rnd.Int64N(int64(time.Millisecond))))
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		late := l.Lateness()
		l.Close()
		if released != pushers*each || inexact != 0 || late.Max() != 0 || late.Count() != uint64(released) {
			t.Errorf("%d released, %d not on time, %v", released, inexact, late)
		}
	})
}

// Values due at one instant leave by rank, then in order of arrival; what is due already leaves at once.
func TestTiesAndThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		l := New(16, 0, func(v string, _, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, v)
		})
		defer l.Close()
		due := l.Now() + time.Millisecond
		l.Push(due, 2, "c")
		l.Push(due, 1, "a")
		l.Push(due, 1, "b")
		l.Push(due, 2, "d")
		before := time.Now()
		l.Push(-time.Second, 9, "past")
		synctest.Wait()
		mu.Lock()
		if len(got) != 1 || time.Since(before) != 0 {
			t.Errorf("a value past due waited: %v", got)
		}
		mu.Unlock()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(got, []string{"past", "a", "b", "c", "d"}) {
			t.Error(got)
		}
	})
}

// In real time nothing is early, however the pushes fall: short delays behind long ones, bursts, gaps.
func TestRealTimeIsNeverEarly(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	const n = 20_000
	var early, released int
	all := make(chan struct{})
	l := New(n, 0, func(earliest time.Time, due, now time.Duration) {
		if now < due || time.Now().Before(earliest) {
			early++
		}
		if released++; released == n {
			close(all)
		}
	})
	for i := range n {
		delay := time.Duration(rnd.ExpFloat64() * float64(3*time.Millisecond))
		before := time.Now()
		l.Push(l.Now()+delay, 0, before.Add(delay))
		if i%500 == 0 {
			time.Sleep(time.Duration(rnd.Int64N(int64(3 * time.Millisecond))))
		}
	}
	<-all
	t.Log(l.Lateness())
	l.Close()
	if early > 0 {
		t.Errorf("%d of %d values left before they were due (seed %d)", early, n, seed)
	}
}

// hasty is a timer whose alarms come too soon, as a kernel's may by some nanoseconds.
type hasty struct{ timer }

func (h hasty) arm(d time.Duration) { h.timer.arm(max(1, d-max(1, d/10))) }

// An alarm that comes too soon neither lets a value out early nor is forgotten.
func TestHastyTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := make(chan time.Duration, 2)
		l := start(2, 0, func(_ int, due, now time.Duration) { out <- now - due }, hasty{newGoTimer()})
		defer l.Close()
		l.Push(l.Now()+time.Second, 0, 1)
		l.Push(l.Now()+2*time.Second, 0, 2)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(out) != 2 || <-out != 0 || <-out != 0 {
			t.Error("a value was forgotten or not on time")
		}
	})
}

func TestFullAndClosed(t *testing.T) {
	l := New(2, -1, func(int, time.Duration, time.Duration) { t.Error("released") })
	far := l.Now() + time.Hour
	if !l.Push(far, 0, 1) || !l.Push(far, 0, 2) || l.Push(far, 0, 3) || l.Len() != 2 {
		t.Error("the limit does not hold")
	}
	l.Close()
	l.Close()
	if l.Push(0, 0, 4) || l.Len() != 0 {
		t.Error("a closed line took a value")
	}
}

// Quantiles against sorting: never below the true one, at most a quarter above.
func TestLatenessAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<rapid.IntRange(1, 36).Draw(t, "bits")), 1, 100).Draw(t, "values")
		var l Lateness
		for _, v := range values {
			l.add(time.Duration(v))
		}
		slices.Sort(values)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		want := values[min(int(q*float64(len(values))), len(values)-1)]
		got, ok := l.Quantile(q)
		if !ok || int64(got) < want || float64(got) > 1.25*float64(want)+1 {
			t.Fatalf("quantile %v of %v: %d, want %d", q, values, got, want)
		}
		if int64(l.Max()) != values[len(values)-1] {
			t.Fatal(l.Max())
		}
	})
	if _, ok := (Lateness{}).Quantile(0.5); ok {
		t.Error("an empty histogram has a median")
	}
}

func BenchmarkQueue(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var q queue[int]
	for range 10_000 {
		q.push(time.Duration(rnd.Int64()), 0, 0)
	}
	for b.Loop() {
		e := q.pop()
		q.push(e.due+time.Duration(rnd.Int64N(1<<40)), 0, 0)
	}
}

// Lateness of one value at a time, the case of a timed round on a quiet machine.
func BenchmarkLateness(b *testing.B) {
	for _, spin := range []time.Duration{-1, DefaultSpin} {
		b.Run(max(spin, 0).String(), func(b *testing.B) {
			out := make(chan struct{})
			l := New(8, spin, func(struct{}, time.Duration, time.Duration) { out <- struct{}{} })
			for b.Loop() {
				l.Push(l.Now()+2*time.Millisecond, 0, struct{}{})
				<-out
			}
			late := l.Lateness()
			l.Close()
			p50, _ := late.Quantile(0.5)
			p99, _ := late.Quantile(0.99)
			b.ReportMetric(float64(p50)/1e3, "late-p50-µs")
			b.ReportMetric(float64(p99)/1e3, "late-p99-µs")
		})
	}
}
