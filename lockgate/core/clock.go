package core

import "time"

// timepiece adds up the time that passes, and errs long: what a lease says in
// seconds ends early rather than late.
//
// It takes steps, not readings. A clock that is set back loses the one step in
// which that happened; a clock that stands still, or crawls, is overtaken by the
// work that was done: so many processors cannot have worked longer than each of
// them for all the time that has passed.
type timepiece struct {
	read   func() time.Duration
	cores  time.Duration // how many processors there are
	last   time.Duration // newest reading
	worked time.Duration // CPU time at that reading
	at     time.Duration // what has passed, above 0
}

func newTimepiece(read func() time.Duration, cores int) timepiece {
	return timepiece{read: read, cores: time.Duration(max(cores, 1)), last: read(), at: 1}
}

// now is the time that has passed, given the workload's CPU time so far.
func (t *timepiece) now(worked time.Duration) time.Duration {
	r := t.read()
	t.at += max(r-t.last, (worked-t.worked)/t.cores, 0)
	t.last, t.worked = r, worked
	return t.at
}

// goClock reads the monotonic clock of the process, which also lives in
// simulated time.
func goClock() func() time.Duration {
	begun := time.Now()
	return func() time.Duration { return time.Since(begun) }
}
