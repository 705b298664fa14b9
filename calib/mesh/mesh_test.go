package mesh_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/mesh"
)

func config(beacons int, period time.Duration, seed byte) mesh.Config {
	return mesh.Config{Beacons: beacons, Period: period, Exchange: 2 * time.Second, PerMinute: 12, Seed: [32]byte{seed}}
}

func plan(t testing.TB, c mesh.Config) *mesh.Plan {
	t.Helper()
	p, err := mesh.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every ordered pair once; in a round each beacon at most once; in time order; each exchange inside its round; the budget kept in
// every minute: checked the slow way, by looking.
func TestPlanKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config(rapid.IntRange(2, 24).Draw(t, "beacons"), 0, rapid.Byte().Draw(t, "seed"))
		c.Period = time.Duration(rapid.IntRange(240, 4000).Draw(t, "seconds")) * time.Second
		p, err := mesh.New(c)
		if errors.Is(err, mesh.ErrPeriod) || errors.Is(err, mesh.ErrBudget) {
			t.Skip("too tight")
		}
		if err != nil {
			t.Fatal(err)
		}
		seen := map[[2]int]bool{}
		starts := make([][]time.Duration, c.Beacons)
		last := time.Duration(-1)
		for k := range p.Rounds() {
			inRound := map[int]bool{}
			for _, x := range p.Round(k) {
				if x.From == x.To || seen[[2]int{x.From, x.To}] {
					t.Fatalf("round %d: %d asks %d, again or itself", k, x.From, x.To)
				}
				seen[[2]int{x.From, x.To}] = true
				if inRound[x.From] || inRound[x.To] {
					t.Fatalf("round %d: %d or %d takes part twice", k, x.From, x.To)
				}
				inRound[x.From], inRound[x.To] = true, true
				if x.At < last || x.At < time.Duration(k)*p.Slot() || x.At+c.Exchange > time.Duration(k+1)*p.Slot() {
					t.Fatalf("round %d of %v: starts at %v after %v", k, p.Slot(), x.At, last)
				}
				last = x.At
				starts[x.From] = append(starts[x.From], x.At)
				starts[x.To] = append(starts[x.To], x.At)
			}
		}
		if len(seen) != p.Pairs() {
			t.Fatalf("%d of %d pairs", len(seen), p.Pairs())
		}
		for b, list := range starts {
			if most := inAnyMinute(list); most > c.PerMinute {
				t.Fatalf("beacon %d takes part in %d exchanges within a minute, %d are allowed", b, most, c.PerMinute)
			}
		}
	})
}

func inAnyMinute(starts []time.Duration) (most int) {
	for i, from := range starts {
		n := 0
		for _, at := range starts[i:] {
			if at < from+time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestSeedDecidesAndNothingElse(t *testing.T) {
	c := config(20, 2*time.Hour, 1)
	one, two := slices.Collect(plan(t, c).All()), slices.Collect(plan(t, c).All())
	if !slices.Equal(one, two) {
		t.Error("one seed, two plans")
	}
	other := slices.Collect(plan(t, config(20, 2*time.Hour, 2)).All())
	same := 0
	for i := range one {
		if one[i].From == other[i].From && one[i].To == other[i].To {
			same++
		}
	}
	if same > len(one)/10 {
		t.Errorf("%d of %d tasks are the same under another seed", same, len(one))
	}
	if got := plan(t, c).Round(-1); got != nil {
		t.Errorf("round -1 has %d tasks", len(got))
	}
}

// A pin, so that a plan that was published can be checked by a later release.
func TestPlanIsPinned(t *testing.T) {
	got := fmt.Sprint(plan(t, config(4, 4*time.Minute, 7)).Round(0))
	const want = "[{14.412695008s 2 0} {37.405952834s 1 3}]"
	if got != want {
		t.Errorf("round 0 is %s, was %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*mesh.Config)
		want error
	}{
		{"one beacon", func(c *mesh.Config) { c.Beacons = 1 }, mesh.ErrBeacons},
		{"too many", func(c *mesh.Config) { c.Beacons = mesh.MaxBeacons + 1 }, mesh.ErrBeacons},
		{"no period", func(c *mesh.Config) { c.Period = 0 }, mesh.ErrPeriod},
		{"a century", func(c *mesh.Config) { c.Period = 876_000 * time.Hour }, mesh.ErrPeriod},
		{"no length of an exchange", func(c *mesh.Config) { c.Exchange = 0 }, mesh.ErrPeriod},
		{"rounds shorter than an exchange", func(c *mesh.Config) { c.Period = time.Minute }, mesh.ErrPeriod},
		{"no budget", func(c *mesh.Config) { c.PerMinute = 0 }, mesh.ErrBudget},
		{"a budget that the period exceeds", func(c *mesh.Config) { c.Period, c.PerMinute = 10*time.Minute, 2 }, mesh.ErrBudget},
	} {
		cfg := config(20, 2*time.Hour, 1)
		c.edit(&cfg)
		if _, err := mesh.New(cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// office runs a keeper on simulated time with exchanges that fail, beacons that sleep and a keeper that is killed, and looks on.
type office struct {
	t      *testing.T
	c      mesh.Config
	keeper *mesh.Keeper
	rng    *rand.Rand
	ends   map[mesh.Task]time.Duration
	starts [][]time.Duration
	busy   map[int]bool
	done   map[[2]int]int
	asleep func(b int, now time.Duration) bool
}

func newOffice(t *testing.T, c mesh.Config) *office {
	o := &office{t: t, c: c, rng: rand.New(rand.NewPCG(uint64(c.Seed[0]), 9)), ends: map[mesh.Task]time.Duration{},
		starts: make([][]time.Duration, c.Beacons), busy: map[int]bool{}, done: map[[2]int]int{}, asleep: func(int, time.Duration) bool { return false }}
	o.keeper = mesh.NewKeeper(plan(t, c), nil)
	return o
}

func (o *office) second(now time.Duration) {
	for task, end := range o.ends {
		if end > now {
			continue
		}
		delete(o.ends, task)
		o.busy[task.From], o.busy[task.To] = false, false
		ok := !o.asleep(task.From, now) && !o.asleep(task.To, now)
		if ok {
			o.done[[2]int{task.From, task.To}]++
		}
		o.keeper.Finish(task, ok, now)
	}
	for _, task := range o.keeper.Due(now) {
		if o.busy[task.From] || o.busy[task.To] {
			o.t.Fatalf("%v: %d asks %d, one of them is busy", now, task.From, task.To)
		}
		o.busy[task.From], o.busy[task.To] = true, true
		o.ends[task] = now + time.Duration(1+o.rng.Int64N(int64(o.c.Exchange/time.Second)))*time.Second
		o.starts[task.From] = append(o.starts[task.From], now)
		o.starts[task.To] = append(o.starts[task.To], now)
	}
}

func (o *office) budgetKept() {
	for b, list := range o.starts {
		if most := inAnyMinute(list); most > o.c.PerMinute {
			o.t.Errorf("beacon %d takes part in %d exchanges within a minute, %d are allowed", b, most, o.c.PerMinute)
		}
	}
}

func (o *office) allDoneOnce() {
	if o.keeper.Left() != 0 || len(o.done) != o.c.Beacons*(o.c.Beacons-1) {
		o.t.Errorf("%d pairs left, %d measured", o.keeper.Left(), len(o.done))
	}
	for pair, n := range o.done {
		if n != 1 {
			o.t.Errorf("%v was measured %d times", pair, n)
		}
	}
}

// Two beacons sleep for half the period; what they missed is caught up before the end, within the budget and without disturbing.
func TestMissedPairsAreCaughtUp(t *testing.T) {
	o := newOffice(t, config(12, 40*time.Minute, 3))
	o.asleep = func(b int, now time.Duration) bool { return b < 2 && now < 20*time.Minute }
	for now := time.Duration(0); now <= 80*time.Minute; now += time.Second {
		o.second(now)
	}
	o.allDoneOnce()
	o.budgetKept()
}

// Killed at any moment and started again with the list of finished pairs: nothing finished is lost or done again.
func TestResumeAfterKill(t *testing.T) {
	o := newOffice(t, config(10, 30*time.Minute, 4))
	for now := time.Duration(0); now <= 70*time.Minute; now += time.Second {
		o.second(now)
		if o.rng.IntN(300) == 0 { // what was under way is lost, and everything that the keeper knew
			clear(o.ends)
			clear(o.busy)
			o.keeper = mesh.NewKeeper(plan(t, o.c), func(from, to int) bool { return o.done[[2]int{from, to}] > 0 })
		}
	}
	o.allDoneOnce()
}

// A keeper that was not called for a while does not start everything at once.
func TestLateCallerIsNotFlooded(t *testing.T) {
	o := newOffice(t, config(12, 40*time.Minute, 5))
	for now := 35 * time.Minute; now <= 100*time.Minute; now += time.Second {
		o.second(now)
	}
	o.allDoneOnce()
	o.budgetKept()
}

// A beacon that never answers is asked ever more rarely, everybody else is measured, and the rest is carried over.
func TestDeadBeacon(t *testing.T) {
	o := newOffice(t, config(8, 30*time.Minute, 6))
	o.asleep = func(b int, _ time.Duration) bool { return b == 3 }
	for now := time.Duration(0); now <= 60*time.Minute; now += time.Second {
		o.second(now)
	}
	if o.keeper.Left() != 14 || len(o.done) != 42 {
		t.Fatalf("%d pairs left, %d measured; want the 14 of the dead beacon and 42", o.keeper.Left(), len(o.done))
	}
	if asked := len(o.starts[3]); asked > 14*8 {
		t.Errorf("the dead beacon was asked %d times in an hour", asked)
	}
	missing := o.keeper.Missing()
	if len(missing) != 14 {
		t.Fatalf("%d pairs are missing, want 14", len(missing))
	}
	next := newOffice(t, config(8, 30*time.Minute, 7))
	next.keeper.Carry(append(missing, mesh.Task{From: -1}, mesh.Task{From: 1, To: 99}))
	for now := time.Duration(0); now <= 40*time.Minute; now += time.Second {
		next.second(now)
	}
	next.allDoneOnce()
	next.budgetKept()
}

// The day of a thousand beacons: 999,000 tasks.
func BenchmarkDayOfThousand(b *testing.B) {
	c := mesh.Config{Beacons: 1000, Period: 24 * time.Hour, Exchange: 5 * time.Second, PerMinute: 4}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		p, err := mesh.New(c)
		if err != nil {
			b.Fatal(err)
		}
		for range p.All() {
			n++
		}
		if n != 999_000 {
			b.Fatal(n)
		}
	}
}
