// Package directory is the signed constellation: which beacons there are, where they stand, who operates them, which gates may
// ask, and against which roots their attestation is appraised.
//
// What it believes: a beacon's position comes from a survey and not from the beacon. Whoever can write this list can move a
// landmark, so it takes j of k directory keys to sign it, every part of it has an expiry, and its epoch only grows.
//
// What it promises: a Directory that Verify returned was signed by at least the threshold of known keys, is valid now, and obeys
// all rules listed at Verify. Decoding alone never makes one: the zero value and hand-filled values are drafts, which Sign can
// publish and nobody accepts as verified.
//
// What an attacker may do: hand in any bytes; replay an older epoch (VerifyNext refuses); publish two directories with one epoch
// if j keys are his (VerifyNext calls it by its name). With fewer than j keys he can do nothing.
package directory
