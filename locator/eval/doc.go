// Package eval scores the locator, and the published methods beside it, on measured round trips between hosts at known places.
//
// What it believes: a set of calib/dataset, without the nodes that calib/audit convicts of standing elsewhere. Places of the others
// are taken as true to the size of a city.
//
// What it does: each node with at least ten measured others is in turn the core, the others (all of them, or a random few) are the
// beacons. Every method answers from the same round trips and the same splits. Nothing that a target took part in reaches any fit:
// not its round trips, not its place, not its country. What a method fits for all targets at once is fitted to sums from which the
// target's share is left out, or on folds without the target.
//
// The methods:
//
//   - ursa: locator/estimate. Its training runs once for each fold, on the beacons outside the fold; a target of the fold is then
//     located by all other beacons.
//   - shortest-ping: the nearest beacon in time.
//   - cbg, cbg++, spotter: written from their papers; each file names the paper and what it leaves out.
//
// The proof is scored beside them: region and verdict with f = 0 at both speed classes, against the true country and the EU.
//
// What it promises: the same report for the same input, but for the milliseconds. A metric that a method does not define is null.
package eval
