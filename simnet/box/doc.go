// Package box is the whole system in one process: beacons, a gate and a core as the real programs, with real keys, QUIC, store and
// workload, over simulated distance.
//
// What it believes: the world that it is given, for who stands where and how long a packet is under way. The programs do not
// know that they are in a box; a core that stands elsewhere than it says is simply placed there.
//
// What it promises: nothing of a program is replaced. An attack (package adversary) owns what its description says, and whatever
// refuses it would refuse it on a real network.
//
// What an attacker may do: everything that package adversary offers.
package box
