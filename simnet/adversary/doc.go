// Package adversary holds those who try to be where they are not. Each has a name, what it owns and what it tries, and is made of
// the same powers that a real one has: it may hold, redirect, rewrite and replay packets, lie with its own clocks and sign with its
// own keys. None can make a packet faster; that is the one thing the fabric below does not offer.
//
// What it promises: an attack does what its name says, over the real programs, and nothing of the programs is changed for it.
package adversary
