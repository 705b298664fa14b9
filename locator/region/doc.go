// Package region answers: given upper limits on the distance from some beacons, of which at most f fault domains lie, where can
// the core stand?
//
// What it believes. A bound is a ball: "not farther than Radius from Centre", straight through the Earth, in metres of WGS84
// chord. A beacon belongs to one or more domains; beacons of a faulty domain may say anything, beacons of no faulty domain tell
// the truth. At most f domains are faulty; f is absolute, never a share of those who answered.
//
// The theorem. Let E(x) be the bounds that exclude a place x. At the true place every bound in E is a lie, so every beacon of E
// has a faulty domain: the faulty domains, at most f, meet the domain set of every bound in E. Write viol(x) for the smallest
// number of domains that meets all of them (with one domain per beacon: the number of domains that exclude x). Then
// Region_f = {x : viol(x) ≤ f} holds the true place. Nothing else is used: no lower bound on distance, no average, no outlier
// dropped before counting.
//
// What it promises.
//
//   - Over-approximation. Search returns whole S2 cells; every place of Region_f at any height of earth's shell is in one of them.
//   - Monotony (the design's promise 2). Weaker evidence - a larger radius, a bound less, a larger f - never returns a smaller set
//     of cells, and never turns a comparison with an area from "not within" to "within". The proof is below.
//   - Determinism. The result depends on the set of bounds, not on their order, and is computed by one goroutine without clock,
//     file or randomness; searches may run in any number of goroutines.
//
// Proof of monotony. For a bound i and a cell C let out_i(C) be true when for C or one of its ancestors A the least chord from
// the centre to the column over A exceeds the radius. out_i(C) depends on the cell and the bound alone, is inherited by children,
// and can only become false when the radius grows. A cell is kept when the bounds with out_i(C) can be blamed on at most f
// domains. The set blamed grows with tighter evidence, and a smaller set needs no more domains, so for weaker evidence B' and
// stronger B: kept under B implies kept under B'; and a cell whose child is kept is kept. Shortcuts do not change the kept set:
// a bound whose greatest chord to a cell's column is within its radius can exclude no part of the cell (both chords bound the
// same true distances), so it is not asked again below, and a cell where what is still open could be blamed on f domains
// altogether is taken whole.
//
// The search goes down level by level and stops at the first level on which more than Detail cells are kept (or at MaxLevel).
// At equal level weaker evidence keeps at least as many cells, so it stops at the same level or a coarser one. Compare then
// follows a fixed rule: a cell is a leaf when its level has reached the search's level and its class is not Border, or when it
// has reached RefineLevels more. So the leaves under B lie inside the leaves under B', and kept leaves inside kept leaves. The
// class of a leaf is that of its first ancestor from the face downwards that is not Border, which depends on the area alone.
// Hence if every kept leaf under B' is In, so is every kept leaf under B. No budget in time or in number of steps exists that
// could cut this short; the work is bounded by the levels and by MaxBounds.
//
// What an attacker may do. Answer late (the region grows), not answer (the region grows), lie with up to f domains (the truth stays
// in), send garbage (refused: see the sentinels). With more than f faulty domains all is lost, and sometimes visible: an empty region.
package region
