// Package model says which delay goes with which distance: a fit to the round trips of beacons whose places are known.
//
// What it believes: that tomorrow's paths look like today's. That is a habit of networks and no law, so nothing here may bound
// anything. Distances that come out of this package have a type of their own, Kilometres, and not the earth.Metres that bounds are
// made of; no package on the way to a verdict imports this one, and a test walks the imports to keep it so. A fit can never
// tighten a proof.
//
// What it holds:
//
//   - Curve: the quantiles of delay given distance, a density between them, and its score: the number of normal standard
//     deviations by which a round trip is slower than the median at that distance. A hard floor lies under it, the physical bound.
//   - Bestline: the line under all points of one landmark, by the linear programme of CBG (Gueye, Ziviani, Crovella, Fdida:
//     Constraint-based geolocation of Internet hosts, IEEE/ACM Transactions on Networking 14(6), 2006), solved on the lower convex
//     hull.
//   - Offset: the delay in milliseconds that all paths of one beacon share, by median polish (Tukey, Exploratory Data Analysis,
//     1977, chapter 11).
//   - Profile: what is known of three kinds of network before anything was measured: the public Internet, private backbones, and
//     homes behind access links. A fit leans on the profile that predicts held-out round trips best, and leaves it as pairs come in.
//
// What it promises: a fit is a function of its input, the same to the bit in any order of pairs; a share of liars that moves or
// delays some beacons moves the quantiles by no more than the share; round trips faster than light are left out and counted.
//
// What an attacker may do: hand in any bytes as a model file, any numbers as pairs. Both are refused with a reason or used; none
// panics. Who poisons the calibration degrades the estimate, and no more.
package model
