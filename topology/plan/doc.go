// Package plan decides which beacons to ask and where to put the next one.
//
// What it believes: delays between places that were never measured follow a stated model (Delay), and what a set of round trips
// proves is for somebody else to say (Locator): the packages that judge stand to the right of topology and are handed in.
//
// What it promises: every answer is an estimate of what would be proven if delays were as modelled; nothing here enters a proof.
// Searches are heuristics and say so: Committee is a local optimum under exchanging one member, Extend is greedy. All answers are
// deterministic, whatever the number of goroutines, and stop early when their context ends.
//
// What an attacker may do: offer sites and places that lie. They are validated for shape; whether a beacon stands where it says is
// for calibration to find out.
package plan
