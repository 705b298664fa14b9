// Package exchange is the protocol ursa/1 between one core and one beacon, both sides as pure state machines: `now` and an
// event go in, what to do next comes out. It reads no clock, opens no socket and draws no randomness of its own.
//
// What it believes. Only an upper bound on distance is evidence, because anybody can add delay and nobody can send faster than
// light. A round trip bounds the distance to whoever could answer, and only the holder of one core's keys can: the answer to a
// challenge is a MAC under a key that comes from an encapsulation to the core's timed key and from the TLS channel that
// both identities signed. The timed key is drawn when the core starts and lives in its memory only; the statement names it, and the
// core's attestation result has to name the same. Signatures are slow and stand outside the timed phase; inside it there is nothing but HMAC-SHA-256.
//
// The run (CH, RS and FN are 64-byte packets beside QUIC, the rest are messages on one QUIC stream):
//
//	core                                                           beacon
//	 | Init{challenge, core key, timed key, nonce_c, commit(seed_c), exporter, sig} -->|  checks cheap before dear
//	 |<-- Accept{nonce_b, session, kem_ct, commit(seed_b), limits, exporter, sig}
//	 |      k_c, k_r, k_f = HKDF(kem secret ‖ exporter; nonces; ids, session, both messages)
//	 | Ready -------------------------------------------------------------->|
//	 |<-- CH{i, ch_i, HMAC(k_c, "C"‖session‖i‖ch_i)} ---------------------- t1 before the send
//	 u1 -- RS{i, d_i, HMAC(k_r, "R"‖session‖i‖ch_i‖d_i)} -----------------> t2 on receipt, T_b = t2 - t1
//	 u2 <- FN{i, HMAC(k_f, "F"‖session‖i‖d_i‖ch_i)} -----------------------   T_c = u2 - u1
//	 |                      ... one challenge outstanding, 8 to 64 rounds ...
//	 |<-- Stop{sent, commit(beacon's times)}
//	 | Times{core's times, seed_c, sig} ----------------------------------->|  checks d_i
//	 |<-- Result{statement, sig, seed_b, beacon's times} -------------------|
//	 | Countersign{hash of statement, sig} -------------------------------->|  core has checked ch_i, times, statement
//
// What it promises.
//
//   - A round counts only if its answer verified under this session's key, for this index, while its challenge was outstanding. A packet
//     that does not verify changes nothing. An index is answered once, nothing is sent twice, a lost round is gone.
//   - Challenge values are fixed by a commitment before the first round and unknown to the core until the last, so a beacon cannot choose them to
//     suit an accomplice, and a core cannot answer early. The same holds for the core's own challenges d_i.
//   - Both sides time the rounds with their own clocks and neither knows the other's times when it commits to its own.
//   - Whatever differs in the two sides' views (channel, identities, challenge, opening) gives different keys, and no round verifies.
//   - The core sees the statement before it countersigns, and countersigns nothing that its own transcript contradicts.
//
// What an attacker may do. He may own the network, the TLS front end of either side, every other core and up to f beacons. He
// can prevent a statement; he can make intervals longer. To make one shorter he needs the keys inside the core, or a beacon's
// own signature.
//
// Two places where this goes beyond the drawing it was built from, and why. CH carries a MAC too: without it, whoever can write
// to the port could use up a round's index with a packet that nobody verified. And the core's challenges d_i come from a
// committed seed as well, so that a transcript is determined by the two openings and their order.
package exchange
