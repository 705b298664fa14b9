// Package sample draws what a timed exchange would have measured, without running it: no packets, keys or clocks, only the chance
// that the simulated network would have had. Millions of exchanges a second, where the real programs over simnet/fabric make
// hundreds.
//
// What it believes. The waits of packets are independent draws from the law of the host that they leave (simnet/world), packets of
// one direction stay in order, and hosts answer at once. A round is three packets: the beacon's challenge CH, the core's answer RS
// and the beacon's close FN. The beacon times CH to RS, the core RS to FN; each includes one way there and one way back, so the
// asymmetry of a path cancels, and both include the wait of the same RS, so they are not independent.
//
//	beacon   CH ──── B ───>      ┐ T_b = least + B + C
//	core         <── C ──── RS   ┘ ┐
//	beacon   FN ──── B'───>        ┘ T_c = least + C + B'
//
// Two ways of drawing, one law. Exchange walks through the rounds by the rules of beacon/exchange: random pauses, lost rounds,
// time-outs, the agreement of the two smallest that ends it. Bound draws only the larger of the two sides' minima for a fixed number
// of rounds, by one look into the inverse of its distribution function:
//
//	F(z) = 1 - (1-P(T_b ≤ z))^k - (1-P(T_c ≤ z))^k + (1 - P(T_b ≤ z or T_c ≤ z))^k
//
// The package's tests hold Exchange against the real state machines over a fabric's lanes, and Bound against Exchange.
//
// What it promises.
//
//   - Never early: no drawn round trip is below the path's least.
//   - Repeatable: a draw depends on the law and on its Key, which is made from a seed and names, and on nothing else: not on order,
//     not on the number of processors.
//   - No allocation in Exchange, Bound or Key.
//
// What an attacker may do is not decided here but in simnet/adversary, which changes paths and what is made of the results.
package sample
