// Package fabric is a packet network in one process: net.PacketConn endpoints whose packets arrive after the one-way delay,
// jitter and loss of their pair. The real programs run over it unchanged, quic-go included; in real time for people to watch,
// and in virtual time under testing/synctest for tests.
//
// What it believes: its Path, which says for each packet how long it is under way. It does not know places.
//
// What it promises.
//   - Never early: a packet is handed to its reader after a reading of the clock at or past the moment it was sent plus its delay
//     (package delayline has the proof), and no interceptor can shorten that, because what it redirects travels on from where
//     the interceptor stands. In virtual time delays are exact.
//   - Repeatable: each directed pair of endpoints draws from a source of its own, made from the seed and the two names, in the
//     order of the pair's packets. A program that sends the same packets sees the same network, whoever else is talking.
//   - Bounded: queues, packets under way and packet size have limits; what exceeds them is dropped and counted, as on a wire.
//   - Clean: packets are copied on the way in and on the way out; Close ends every goroutine and unblocks every reader.
//
// Packets of one pair stay in order unless Overtake is set: a packet that meets a queue holds up those behind it. This adds
// delay and never takes any away.
//
// What an attacker may do: everything that a network may. Interceptors see, drop, delay, duplicate, rewrite and redirect packets
// at an endpoint, and SendRaw writes any sender's address. The adversaries of simnet are made of these.
package fabric
