// Package grant decides: it turns a core's proof into a lease, or into a refusal
// that names the check which refused.
//
// The order of a grant. First everything is verified, by pure functions of the
// proof, the directory, the policy, the account and the time ([Decide]). Only
// then comes the one durable transaction (package store): the answer's bytes,
// the debit, both nonces, the ledger leaf. Only then are the bytes sent. A retry
// of the request gets the identical bytes; a crash anywhere leaves all or
// nothing.
//
//	request ──▶ answered before? ──▶ enrolled, switched on ──▶ challenge mine,
//	open, this core's ──▶ lock's sequence and usage report ──▶ proof verified
//	──▶ attestation ──▶ verdict ──▶ policy ──▶ lease ──▶ transaction ──▶ send
//
// What it believes: the verified directory, the policy in force, its own key and
// clock, and the store. A proof's age is taken from the moment at which this gate
// issued the challenge, on its own monotonic clock: no clock of a core or beacon
// makes a proof younger. After a restart no challenge is open; cores ask again.
// Where gates share a store (Config.Shared) a challenge outlives its process and is
// answered by any of them; its age is then by two wall clocks, and errs long.
//
// What an attacker may do: be a core and send anything in any order, as often as
// liked, at once; replay; ask with a copy of a core's key (two copies in use fork
// the chain of proofs; the fork is seen at the third request at the latest, and
// the core is switched off until somebody has looked).
package grant
