// Package service carries enrolment and appraisal over the network, for machines whose people do not want to carry files: the verifier
// of RFC 9334 as a small daemon, and the client that beacons and cores renew their results with.
//
// One connection is one errand, on one stream of a QUIC channel as package channel makes it:
//
//	machine → service   Hello{purpose, key, exporter value}        signed by the machine's key
//	machine ← service   Welcome{nonce, exporter value, machine id} signed by the appraiser's key
//	appraise:  → evidence that answers the nonce                   ← result
//	enrol:     → application   ← activation challenge   → secret   ← enrolment record
//
// What it believes: keys. Both sides sign the channel's exporter value, so neither certificates nor addresses matter, and whoever
// stands in the middle has two channels whose values differ.
//
// What it promises: a nonce is fresh, answered once, on its own channel, within a deadline. A refusal travels with the name of the check
// that refused, so that the machine's people read the same sentinel as the appraiser's. A service signs only what its appraiser
// concludes; a machine takes only what the appraiser that it was told of has signed.
//
// What an attacker may do: connect, send anything, be slow. Errands are bounded in number, size and time; signatures are checked before
// evidence is, and an enrolment begins only for a machine that the appraiser's people admitted by name.
package service
