// Package estimate says where a core probably is: a posterior over places, with the jurisdictions, points and regions that follow.
//
// An estimate is shown, scored and may veto; it can never grant. It shares no type with a verdict, and no package on the way to a
// verdict imports this one.
//
// # What it believes
//
// A core stands at one of a list of candidates: a populated place, the site of a beacon, or a cell of land. The prior says how
// likely each is before anything is measured; the likelihood says how well the measured round trips fit it.
//
// The likelihood starts from the density of a round trip given distance (calib/model): a hard floor at the physical bound, a skewed
// body, a heavy right tail. Each round trip becomes a normal score z, standard normal at the true place if beacons were alone in
// the world. They are not: paths are shared, and two hundred beacons taken as independent make a posterior that is absurdly sure.
// So the scores of one target are jointly normal (a Gaussian copula), and their mean and covariance come from the beacons' own
// round trips with each other:
//
//	z(x, j) = effect(j) + effect(x) + field(x, j) + noise
//
// where field is smooth in both ends: hosts near each other see distant beacons through the same cables. Its value at x is
// predicted from the beacons around x by kriging, with the variance that this leaves. effect(x) is the core's own access link, a
// nuisance that all beacons share. A small liar term keeps one false round trip from deciding.
//
// What remains wrong with the model is measured, not argued away: every beacon in turn is located by the others, and weights for
// the parts of likelihood and prior are fitted to where the beacons truly stand (a log-linear pool), as are the share of a broad
// fallback, the size of a metro, and the levels of the regions (split conformal prediction, Vovk et al.: Algorithmic Learning in a
// Random World, 2005): a 90 % region is the one that held nine in ten of the beacons.
//
// # What it promises
//
// The same input gives the same estimate to the bit, with any number of goroutines. Nothing about a beacon that is left out reaches
// its own estimate. Regions are calibrated under one assumption, which is said with them: that the core is placed like the beacons.
//
// # What an attacker may do
//
// Delay answers, which moves the estimate; that is why it grants nothing. Hand in any numbers: they are refused with a reason.
package estimate
