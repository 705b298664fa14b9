// Package stage is where the real programs play: any number of beacons, a gate and any number of cores in one process, with real
// keys, QUIC, store and locks, over whatever network the fabric is given. Boxes and stories are played on it.
//
// What it believes: the places that it is told. A program that stands elsewhere than the directory or its own claim says is simply
// placed there; nobody else is told.
//
// What it promises: nothing of a program is replaced. What an adversary needs, it is handed: the endpoints, for their packets; the
// clocks, which go right until somebody sets them wrong; the configuration of a core's prober, which it owns anyway.
//
// Under testing/synctest the whole of it runs in virtual time, and what it measures depends on the network alone. It must then be
// made and closed inside the bubble.
package stage
