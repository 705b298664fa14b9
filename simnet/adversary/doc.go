// Package adversary holds those who try to be where they are not. Each has a name, what it owns and what it tries, and is made of
// the same powers that a real one has: it may hold, redirect, rewrite and replay packets, lie with its own clocks and sign with its
// own keys. None can make a packet faster; that is the one thing the fabric below does not offer.
//
// What it promises: an attack does what its name says, over the real programs, and nothing of the programs is changed for it.
//
// Library lists them all, with what each owns, tries and breaks and what its strength means. Each comes in up to two forms under one
// name: over the wire, as powers over the packets, clocks and keys of the real programs; and drawn, as what it does to a Scene, the
// exchanges of one proof that are not run but sampled. What signatures, MACs and nonces refuse cannot be drawn (ByProtocol): there
// the drawn form does what the protocol leaves it.
package adversary
