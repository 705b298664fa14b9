// Package drift finds what changed in round trips over time and says what it looks like: a route that changed, congestion, a beacon's
// own link, a beacon that moved, a clock at fault.
//
// What it believes: the minimum of a path is its length, and the rest is queues. A step of the low quantiles that stays is another
// path; a swelling above unchanged low quantiles is congestion. What happens at one time to most pairs of one beacon is the beacon:
// by the same amount for all peers, its link; by amounts that differ, up and down, another place; only where the beacon holds the
// stopwatch, or in proportion to the round trip, its clock.
//
// What it promises: pure functions of the series; no clock is read. Series are cut where their distribution changes (ED-PELT: Haynes,
// Fearnhead and Eckley, "A computationally efficient nonparametric approach for changepoint detection", Statistics and Computing
// 27, 2017), with a penalty that grows with the series' own autocorrelation, so that smoothed tables are not cut to pieces. Kinds
// are descriptions for people, not verdicts: a beacon that moved must still be convicted by the audit.
//
// What an attacker may do: add delay at will, and so draw any rise; a fall below what light allows is the audit's. Values that are
// no round trip are refused, gaps are gaps.
package drift
