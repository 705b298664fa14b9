// Package delayline holds values back until they are due: the one scheduler under the simulated network (simnet/fabric) and the
// relay for real sockets (simnet/relay).
//
// What it believes: its clock, Go's monotonic one. Under testing/synctest that clock is virtual; the line notices by itself (a
// clock that does not move while it is being looked at is virtual, or too coarse to spin on) and then waits by timers alone.
//
// What it promises: never early. A value leaves the line only after a reading of the clock at or past its due time, and whoever
// takes a stamp afterwards reads a later time still. If the due time was a reading taken after the packet was handed in, plus
// the delay, then (stamp after) - (stamp before) ≥ delay, whatever the scheduler of the machine does. Values that are due
// together leave by rank and then in the order in which they came, so that virtual runs repeat.
//
// How late, it measures. In real time it sleeps on a kernel timer (a timerfd on Linux: Go's own timers are served by epoll in
// whole milliseconds) until shortly before the next value is due, and looks at the clock for the rest, yielding to other
// goroutines; it never spins while nothing is due within that span. Lateness counts what was lost nevertheless.
//
// What an attacker may do: push as fast as he can. The line holds a fixed number of values and refuses more.
package delayline
