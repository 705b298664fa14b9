// Package world says where hosts stand and how long packets travel between them. A world is data: a table of places, a seed, and
// a delay model. There are two models: a synthetic one, whose parameters summarise public measurements, and the replay of a
// measured matrix (calib/dataset).
//
// What a world may have beyond these: routes that change at given times or by chance, queues that follow the hour of the day, ways
// faster than fibre, access links with their own laws, and clocks that are wrong. Whatever depends on time takes the time as an
// argument, counted from the world's start: OneWayAt, MinRTTAt, WaitAt, Clock.Reading. The built-in world has none of it.
//
// What it believes of the synthetic Internet. The least round trip of a pair is light in fibre along the great circle plus an
// excess for detours and equipment, which grows with distance more slowly than distance itself and scatters log-normally from
// pair to pair. What a packet waits beyond the least depends on the access link at which it leaves its host.
//
// What it promises.
//   - Physics holds: no one-way delay is below chord/c between the positions that the places state, whatever the seed, the medium
//     and the hour; nothing that jitter adds is negative. Without faster media no usual round trip is below light in fibre along
//     the great circle either. In a measured world physics is what the data say: hosts there may claim false places, and that is
//     the point of replaying them.
//   - Repeatable: every draw comes from the world's seed and the names of the two places, in no order. Adding a place changes
//     nothing between the others.
//   - Absent is not zero: a pair that was not measured has no path, and its packets are lost.
//
// What an attacker may do in it is not decided here but in simnet/fabric, whose interceptors he owns.
package world
