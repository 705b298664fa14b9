package mesh

import "time"

// Keeper walks through a plan. It is a pure state machine: time comes in as the offset from the start of the period and must not
// run backwards; exchanges are run by whoever calls. It is not safe for concurrent use.
type Keeper struct {
	p     *Plan
	round int    // the next round to be taken up
	queue []Task // of rounds taken up, not yet due
	late  []late // missed or failed, in the order in which they may be tried again
	done  []uint64
	left  int
	busy  []bool
	fails map[int]int       // attempts that failed, by pair
	start [][]time.Duration // of each beacon's exchanges within the last minute
	next  []time.Duration   // the last start that the queue has planned for each beacon, negative when none
}

// late is a task that waits to be caught up.
type late struct {
	task Task
	from time.Duration // not before
}

// The delay before a failed pair is tried again: a minute, doubled with each failure, at most an hour.
const (
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// NewKeeper starts at the beginning of a plan, or goes on after a crash: done says which pairs have been finished already; nil means
// none. Nothing but finished pairs needs to be remembered: what was under way or missed is due again. The starts of the last minute
// are forgotten, so that a keeper should be started a minute after its predecessor died.
func NewKeeper(p *Plan, done func(from, to int) bool) *Keeper {
	n := p.c.Beacons
	k := &Keeper{p: p, left: p.Pairs(), done: make([]uint64, (n*n+63)/64), busy: make([]bool, n), fails: map[int]int{}, start: make([][]time.Duration, n)}
	k.next = make([]time.Duration, n)
	for b := range k.next {
		k.next[b] = -1
	}
	if done == nil {
		return k
	}
	for from := range n {
		for to := range n {
			if from != to && done(from, to) {
				k.tick(from, to)
			}
		}
	}
	return k
}

func (k *Keeper) pair(from, to int) int { return from*k.p.c.Beacons + to }

func (k *Keeper) finished(t Task) bool {
	i := k.pair(t.From, t.To)
	return k.done[i/64]>>(i%64)&1 == 1
}

// tick marks a pair as finished.
func (k *Keeper) tick(from, to int) {
	if i := k.pair(from, to); k.done[i/64]>>(i%64)&1 == 0 {
		k.done[i/64] |= 1 << (i % 64)
		k.left--
	}
}

// Left returns the number of ordered pairs that are not finished.
func (k *Keeper) Left() int { return k.left }

// Due returns the exchanges that are to be started now: those of the plan whose time has come, then missed ones as far as both ends
// are free and have budget to spare. Each must be ended by Finish. A planned exchange whose end is busy, or whose round had passed
// before anybody asked, counts as missed.
func (k *Keeper) Due(now time.Duration) []Task {
	k.takeUp(now)
	var out []Task
	waiting := k.queue[:0]
	for _, t := range k.queue {
		switch {
		case t.At > now:
			waiting = append(waiting, t)
		case k.finished(t):
		case now-t.At > k.p.slot || !k.free(t, now, 0):
			k.late = append(k.late, late{t, now})
		default:
			out = append(out, k.begin(t, now))
		}
	}
	k.queue = waiting
	return append(out, k.catchUp(now)...)
}

// takeUp puts the rounds that begin before an exchange that starts now would be over on the queue.
func (k *Keeper) takeUp(now time.Duration) {
	for k.round < k.p.Rounds() && time.Duration(k.round)*k.p.slot <= now+k.p.c.Exchange {
		for _, t := range k.p.Round(k.round) {
			k.queue = append(k.queue, t)
			k.next[t.From], k.next[t.To] = max(k.next[t.From], t.At), max(k.next[t.To], t.At)
		}
		k.round++
	}
}

// catchUp starts missed exchanges. One start in each minute is kept free for the plan, so that catching up does not make new misses.
// It looks at a few of them for each beacon and goes on with the others next time, so that a long list costs no more than a short.
func (k *Keeper) catchUp(now time.Duration) (out []Task) {
	spare := 1
	if k.round == k.p.Rounds() && len(k.queue) == 0 {
		spare = 0
	}
	seen := min(len(k.late), 4*k.p.c.Beacons)
	rest := append([]late(nil), k.late[seen:]...)
	for _, l := range k.late[:seen] {
		switch {
		case k.finished(l.task):
		case l.from <= now && k.free(l.task, now, spare) && !k.soon(l.task, now):
			out = append(out, k.begin(l.task, now))
		default:
			rest = append(rest, l)
		}
	}
	k.late = rest
	return out
}

// free says whether both ends are idle and have more than spare starts left in this minute.
func (k *Keeper) free(t Task, now time.Duration, spare int) bool {
	return !k.busy[t.From] && !k.busy[t.To] && k.started(t.From, now)+spare < k.p.c.PerMinute && k.started(t.To, now)+spare < k.p.c.PerMinute
}

// soon says whether the plan wants one of the ends before an exchange that starts now would be over.
func (k *Keeper) soon(t Task, now time.Duration) bool {
	wanted := func(b int) bool { return k.next[b] >= now && k.next[b] <= now+k.p.c.Exchange }
	return wanted(t.From) || wanted(t.To)
}

// started counts a beacon's starts within the last minute.
func (k *Keeper) started(b int, now time.Duration) int {
	list := k.start[b]
	for len(list) > 0 && list[0] <= now-time.Minute {
		list = list[1:]
	}
	k.start[b] = list
	return len(list)
}

func (k *Keeper) begin(t Task, now time.Duration) Task {
	for _, b := range []int{t.From, t.To} {
		k.busy[b] = true
		k.start[b] = append(k.start[b], now)
	}
	return t
}

// Finish ends an exchange that Due returned. A failed one is tried again later, ever more rarely.
func (k *Keeper) Finish(t Task, ok bool, now time.Duration) {
	k.busy[t.From], k.busy[t.To] = false, false
	i := k.pair(t.From, t.To)
	if ok {
		k.tick(t.From, t.To)
		delete(k.fails, i)
		return
	}
	wait := min(firstRetry<<min(k.fails[i], 10), lastRetry)
	k.fails[i]++
	k.late = append(k.late, late{t, now + wait})
}

// Missing returns the pairs that are not finished and not under way, for the next period to begin with; it needs the plan's end to
// have been reached, before that it returns only what was missed so far.
func (k *Keeper) Missing() []Task {
	var list []Task
	for _, l := range k.late {
		if !k.finished(l.task) {
			list = append(list, l.task)
		}
	}
	return list
}

// Carry adds pairs that an earlier period left over.
func (k *Keeper) Carry(tasks []Task) {
	for _, t := range tasks {
		if n := k.p.c.Beacons; t.From >= 0 && t.To >= 0 && t.From < n && t.To < n && t.From != t.To {
			k.late = append(k.late, late{Task{From: t.From, To: t.To}, 0})
		}
	}
}
