// Package prober is the core's side of a proof's measurements: it asks every beacon of a gate's committee at once and returns
// the statements that it has verified and countersigned.
//
// What it believes. The committee is the gate's choice, the addresses and keys are the directory's. A beacon that does not
// answer, or answers wrongly, costs its statement and nothing else: fewer statements make a larger region, never a wrong one.
//
// What it promises. A statement that Run returns was checked twice: against the exchange as this core saw it, and against
// directory and challenge by the same function that the gate will use. The answering loop does nothing but answer: packets are
// handled on the goroutine that reads them. Every wait has a deadline; ctx ends everything.
//
// What an attacker may do. As network: delay and drop. As beacon: refuse, stall until the deadline, or sign a time of its own
// making, which is what f is for. As beacon it learns this core's key, address and round trips, as any beacon must.
package prober
