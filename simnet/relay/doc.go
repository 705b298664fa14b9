// Package relay puts distance between real sockets: a UDP relay in user space that forwards packets between clients and one
// server after a one-way delay, jitter, loss, duplication and reordering of each direction. It stands in for netem, which not
// every kernel has, wherever two real programs are to be as far apart as cities.
//
// What it believes: its clock (Go's monotonic one). It does not look into packets.
//
// What it promises: never early. Proof. Let a client read its clock at t0 before it sends. The relay reads its own clock at t1
// after the packet came out of its socket, so t1 ≥ t0 (one machine, one monotonic clock). The packet is due at t1 + delay, or
// later where it waits behind another or draws jitter, which is never negative. The delay line calls release only after a
// reading of the clock at or past the due time (package delayline), and only then the packet goes into a socket; what the
// receiver reads from its clock afterwards is at least t0 + delay. No kernel stamp enters: those are of the real-time clock,
// which may step. What the relay's own wake-up adds is on the safe side, and Stats tells the part that it can see: how late
// packets left after they were due.
//
// What an attacker may do: knock from any number of addresses, with any bytes. Sessions, packets under way and the time a silent
// session is kept are limited; what comes to a session's socket from anybody but the server is dropped and counted.
package relay
