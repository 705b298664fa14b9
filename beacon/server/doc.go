// Package server is a beacon's daemon: QUIC on one socket, and package exchange for every connection.
//
// What it believes. Whoever connects is a stranger until a gate that the directory lists has asked this beacon about this core,
// and the core has signed this very channel. So strangers get little: a handshake, one stream, one message of bounded size, a
// few comparisons. Signatures come after those, an encapsulation and a signature of our own after these, and a statement after
// at least eight verified rounds.
//
// What it promises. State is bounded: handshakes, exchanges in all, exchanges of an address prefix, exchanges of a core, bytes
// of a message. Every wait has a deadline. Above a number of unfinished handshakes a client must first prove its address
// (Retry). The socket's reading goroutine answers rounds itself, so no queue of slow work stands before a stamp. When the
// context ends, exchanges in progress may finish; new ones are refused. Logs name ids, counts and reasons, never keys, seeds or
// challenges.
//
// What an attacker may do. He may open connections from many addresses and be refused when the places are taken; he may send
// garbage, which costs a map look-up; with a gate's challenge and a core's key he may have MaxPerCore exchanges at a time. What
// he cannot do is make an interval shorter: stamps are not made here but in package timing, and the clock is only handed in.
package server
