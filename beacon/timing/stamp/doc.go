// Package stamp is the clock rule: what a measured interval is, and which stamps may bound it. It is pure; clocks are handed in.
//
// What it believes. A round trip bounds a distance only if the stopwatch started no later than the packet left and stopped
// no earlier than the answer came. Anybody can add delay, so a stamp may err long but never short. A host has two clocks:
// real time (which the kernel writes on received packets, and which NTP or an administrator may step or slew) and the raw
// monotonic clock (which nobody slews). Neither alone is enough: kernel stamps exist only in real time.
//
// What it promises.
//
//   - A Departure exists only because Send read the clocks *before* it called write. There is no other way to make one, so a
//     clock read after the send returned (which measures negative round trips) cannot be built; nor can "the last packet
//     written" stand in for the challenge (a delayed acknowledgement then makes a 40 ms path read 15 ms), because a
//     Departure belongs to exactly the write that it wraps.
//   - An Arrival exists only because Receive read the clock *after* read returned: it is that look, or a kernel stamp not
//     later than that look.
//   - Between(departure, arrival) takes the interval by the stamps and adds max(0, raw elapsed - real elapsed), so that slewing
//     real time cannot shorten it; it refuses the round when the two clocks differ by more than 500 ppm + 1 µs, so that a step
//     cannot either. It refuses zero, negative and absurd intervals; it never clamps one.
//   - Quality says how far the clocks themselves may be wrong. Whoever turns an interval into a radius adds twice the granularity and
//     the rate error; a 4 ms clock costs 1,200 km and says so (Quality.Cost).
//
// What an attacker may do. He may own the peer, the network and the moment of every packet: he can then lengthen intervals,
// nothing else. Whoever owns the host's clocks owns its measurements: that host is then one of the f faulty ones, and the other
// side's own interval still stands. A virtual machine paused between two reads of the same clocks is such a host.
//
// Sources: Linux Documentation/networking/timestamping.rst (receive stamps are taken after arrival, transmit stamps before the
// hand-over to the interface); adjtimex(2) (500 ppm for NTP's slew).
package stamp
