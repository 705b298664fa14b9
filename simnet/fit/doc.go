// Package fit makes a synthetic world of a measured set, and says how far the one is from the other.
//
// What it believes: nothing that it is told. The set's pairs are split by a seed into a half that the world is fitted to and a half that
// it has not seen; nodes whose claimed places contradict light are left out before. All figures are of the second half.
//
// What it fits. The least round trips: light in fibre along the great circle and an excess, first by a law of five numbers
// (world.Profile), then by a table of the excess's quantiles at each distance with the share of its variance that the two hosts and the two
// countries decide (world.Table). The difference of the two directions. What a packet waits beyond the least, from the gap between a
// pair's average and its minimum, and how that differs from host to host; from a series of single round trips, the whole law.
//
// What it promises. The same set, seed and build give the same world and the same report. The fitted world is a file (world.File) and is
// judged as that file says, rounding included. The distance between two distributions is Kolmogorov and Smirnov's: the greatest difference
// of their cumulative shares, for all pairs of a distance bin. Beside it stands what chance alone would make of samples so
// small, and how far the two halves of the measurement are from each other: no model can be expected below that.
//
// What an attacker may do: hand in a set of lies. A world fitted to lies is a world of lies; it decides nothing.
package fit
