// Package mesh says which beacon measures which, and when: every ordered pair once in a period, in an order that nobody can guess
// without the seed and everybody can check with it.
//
// What it believes: measuring must not disturb service. So in each round of a plan a beacon takes part in at most one exchange, as
// the asker or as the asked; starts are spread over the round; and nobody exceeds its budget of exchanges in any minute.
//
// What it promises. A plan is a pure function of its Config: the same seed gives the same tasks, on any machine. It is not stored
// but computed round by round (the circle method of round-robin tournaments on shuffled names), so that a thousand beacons' day, a
// million exchanges, takes no memory. A Keeper walks through a plan on a clock that is handed in. What was missed is caught up
// when both ends are free, within the same budget, and what was done before a crash is not done again.
//
// What an attacker may do: a beacon that knows the seed knows when it will be asked. It gains little (only upper bounds on distance
// are believed, and an exchange cannot be answered early), but a liar may prefer to behave while certain peers ask: so the seed
// should stay with whoever instructs the beacons until the period is over, and be published then. A beacon that never answers costs
// its share of exchanges and a growing delay between attempts, nothing else.
package mesh
