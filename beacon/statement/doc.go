// Package statement is what is signed about a timed exchange: the gate's challenge, a beacon's statement, the core's proof, and
// the one way from such claims to a Fact.
//
// What it believes: whoever hands in a proof is the adversary. Only what a signature covers is a fact, and only together with the
// directory, the challenge and the keys that the verifier knows from elsewhere.
//
//	gate  ── Challenge ──▶ core      signed by the gate, type "challenge"
//	beacon ─ Statement ──▶ core      signed by the beacon ("statement"), countersigned by the core ("countersign")
//	core  ── Proof ──────▶ gate      signed by the core, type "proof"; holds the challenge and all statements
//
// What it promises: decoding yields claims (Challenge, Statement, Proof). VerifyChallenge, VerifyStatement and VerifyProof are pure
// functions of their arguments, list their checks in their comments, and answer each failure with its own error. A Fact that was
// not made by them bounds nothing: its Bound is the largest possible round trip.
//
// Every object is deterministic CBOR (package canon) with integer keys and integers only; units stand in the names.
//
// What an attacker may do: hand in any bytes; be the core, and sign what it likes; be up to f beacons, and state any time; replay,
// splice, drop, reorder. Dropping statements is allowed and never helps: fewer bounds make a larger region.
package statement
